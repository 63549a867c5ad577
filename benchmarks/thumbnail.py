"""What `--statistics thumbnail` costs and saves, against the exact statistics of the same contents.

    python -m benchmarks.thumbnail photo.jpg ... --size 2048

Printed are differences of the 8-bit results and seconds of processor time for the transfer.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from styletransfer.api import Stylizer
from styletransfer.media import read_picture, resize_picture
from styletransfer.options import Measurement, RuntimeOptions, StylizeOptions
from styletransfer.pipeline.memory import hold_freed_memory

EXAMPLES = Path(__file__).parents[1] / "examples"


def main() -> None:
    """Print a row for each content."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    examples = sorted((EXAMPLES / "content").glob("*.jpg"))
    parser.add_argument("contents", nargs="*", type=Path, default=examples)
    parser.add_argument("--style", type=Path, default=EXAMPLES / "style" / "knife.jpg")
    parser.add_argument("--size", type=int, default=2048, help="long edge of the contents")
    given = parser.parse_args()
    hold_freed_memory()
    stylizer = Stylizer(runtime=RuntimeOptions(device="cpu", threads=1))
    style = stylizer.measure_style(given.style)
    print("content           mean   p99   max  of 255   exact s  thumbnail s")
    for path in given.contents:
        content = resize_picture(read_picture(path), given.size)
        results, seconds = [], []
        ways: tuple[Measurement, ...] = ("exact", "thumbnail")
        for way in ways:
            start = time.process_time()
            result = stylizer.stylize_picture(content, [style], StylizeOptions(statistics=way))
            seconds.append(time.process_time() - start)
            results.append(result.pixels.short())
        difference = (results[0] - results[1]).abs().flatten()
        p99 = difference[:: max(1, len(difference) // 10**6)].float().quantile(0.99)
        levels = f"{difference.float().mean():6.2f} {p99:5.0f} {difference.max():5d}"
        print(f"{path.stem:15} {levels} {seconds[0]:16.2f} {seconds[1]:12.2f}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
