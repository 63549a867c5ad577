"""Time what regions add: `python -m benchmarks.regions [--size 512]`.

One picture is stylized without regions, with two halves and with four quarters, each in a style of its own,
in turns in one run. The styles are measured before. The table shows medians of processor seconds on one
thread, and their ratios to the first row.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median

import torch

from styletransfer import Stylizer
from styletransfer.media import read_picture, resize_picture
from styletransfer.options import RuntimeOptions, StylizeOptions

EXAMPLES = Path(__file__).parents[1] / "examples"
STYLES = ("mosaic", "nocturne", "knife", "facets")


def split_into_cells(rows: int, columns: int, height: int, width: int) -> torch.Tensor:
    """Return a mask for every cell of a grid, [rows * columns, height, width]."""
    down = torch.arange(height) * rows // height
    across = torch.arange(width) * columns // width
    number = down[:, None] * columns + across
    return torch.stack([(number == index).to(torch.uint8) * 255 for index in range(rows * columns)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "mixed", "bf16"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    stylizer = Stylizer(runtime=RuntimeOptions(device="cpu", precision=arguments.precision))
    content = resize_picture(read_picture(EXAMPLES / "content" / "chelsea.jpg"), arguments.size).pixels
    styles = [stylizer.measure_style(EXAMPLES / "style" / f"{name}.jpg") for name in STYLES]
    height, width = content.shape[1:]
    options = StylizeOptions()
    seconds: dict[str, list[float]] = {}
    for repetition in range(arguments.repetitions + 1):
        for name, grid in (("no regions", (1, 1)), ("two regions", (1, 2)), ("four regions", (2, 2))):
            masks = split_into_cells(*grid, height, width)
            start = time.process_time()
            stylizer.pipeline.stylize(content, styles[: len(masks)], options, masks=masks)
            if repetition:  # the first one warms up
                seconds.setdefault(name, []).append(time.process_time() - start)
    plain = median(seconds["no regions"])
    for name, values in seconds.items():
        print(f"{name:14} {median(values):7.3f} s {median(values) / plain:6.2f}")


if __name__ == "__main__":
    main()
