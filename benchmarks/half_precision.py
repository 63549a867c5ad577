"""Measure how a result changes when the maps of the finest scales are stored in half precision.

    python -m benchmarks.half_precision PAIRS --size 1024

PAIRS is a folder of NAME.content.* and NAME.style.*; pictures are resized to the long edge. The table shows
the largest difference from full precision, in levels of 255, and the share of the values that differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.linalg.tables import Table
from benchmarks.rounding import read_samples, stylize
from styletransfer.model import load_autoencoder
from styletransfer.pipeline.device import PRECISIONS


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--model", default="default", help="name of a model or path of its weights")
    parser.add_argument("--size", type=int, default=1024, help="long edge of the pictures")
    arguments = parser.parse_args()
    model = load_autoencoder(arguments.model)
    table = Table(f"{arguments.size} pixels, float32", ["pair", "largest", "share"])
    for name, pair in read_samples(arguments.pairs, arguments.size).items():
        full, half = (
            stylize(model, PRECISIONS["fp32"], pair, half_precision=choice) for choice in (False, True)
        )
        difference = (half - full).abs()
        table.add(name, int(difference.max()), f"{float((difference > 0).float().mean()):.4f}")
    print(table.to_markdown())


if __name__ == "__main__":
    main()
