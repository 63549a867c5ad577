"""Compare `--content-statistics thumbnail` with the exact statistics of the same contents.

    python -m benchmarks.thumbnail photo.jpg ... --size 2048

Each row shows differences of the 8-bit results and the processor seconds of both.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from styletransfer.api import Stylizer
from styletransfer.media import read_picture, resize_picture
from styletransfer.options import ContentStatistics, RuntimeOptions, StylizeOptions
from styletransfer.pipeline.process_memory import tune_allocator

EXAMPLES = Path(__file__).parents[1] / "examples"


def main() -> None:
    """Print a row for each content."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    examples = sorted((EXAMPLES / "content").glob("*.jpg"))
    parser.add_argument("contents", nargs="*", type=Path, default=examples)
    parser.add_argument("--style", type=Path, default=EXAMPLES / "style" / "knife.jpg")
    parser.add_argument("--size", type=int, default=2048, help="long edge of the contents")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tune_allocator()
    stylizer = Stylizer(runtime=RuntimeOptions(device="cpu"))
    style = stylizer.measure_style(arguments.style)
    print("content           mean   p99   max  of 255   exact s  thumbnail s")
    choices: tuple[ContentStatistics, ...] = ("exact", "thumbnail")
    for path in arguments.contents:
        content = resize_picture(read_picture(path), arguments.size)
        results, seconds = [], []
        for choice in choices:
            start = time.process_time()
            result = stylizer.stylize_picture(content, [style], StylizeOptions(content_statistics=choice))
            seconds.append(time.process_time() - start)
            results.append(result.picture.pixels.short())
        difference = (results[0] - results[1]).abs().flatten()
        p99 = difference[:: max(1, len(difference) // 10**6)].float().quantile(0.99)
        levels = f"{difference.float().mean():6.2f} {p99:5.0f} {difference.max():5d}"
        print(f"{path.stem:15} {levels} {seconds[0]:16.2f} {seconds[1]:12.2f}", flush=True)


if __name__ == "__main__":
    main()
