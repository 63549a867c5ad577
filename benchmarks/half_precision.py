"""What storing the maps of the finest scales in half precision changes.

    python -m benchmarks.half_precision PAIRS --size 1024

PAIRS is a folder of NAME.content.* and NAME.style.*, resized to the long edge. Printed are the
largest difference to full precision, in levels of 255, and the share of the values that differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from styletransfer.pipeline.arithmetic import ARITHMETICS

from benchmarks.linalg.tables import Table
from benchmarks.rounding import paint, read_samples
from styletransfer.model import load_model


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--size", type=int, default=1024)
    given = parser.parse_args()
    model = load_model(given.model).network
    table = Table(f"{given.size} pixels, float32", ["pair", "largest", "share"])
    for name, pair in read_samples(given.pairs, given.size).items():
        full, halved = (paint(model, ARITHMETICS["fp32"], pair, halve=way) for way in (False, True))
        difference = (halved - full).abs()
        table.add(name, int(difference.max()), f"{float((difference > 0).float().mean()):.4f}")
    print(table.to_markdown())


if __name__ == "__main__":
    main()
