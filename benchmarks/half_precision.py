"""What storing the maps of the finest scales in half precision changes.

    python -m benchmarks.half_precision PAIRS --size 1024

PAIRS is a folder of NAME.content.* and NAME.style.*; contents are resized to the long edge. Printed are the
largest difference to full precision, in levels of 255, and the share of the values that differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.linalg.tables import Table
from styletransfer.evaluation import read_pairs
from styletransfer.media import read_picture, readable_extensions, resize_picture
from styletransfer.model import load_model
from styletransfer.pipeline.arithmetic import ARITHMETICS
from styletransfer.pipeline.canvas import Canvas
from styletransfer.pipeline.coloring import Coloring
from styletransfer.pipeline.engine import Engine, Plan
from styletransfer.pipeline.planning import list_stores


@torch.no_grad()
def paint(engine: Engine, content: Tensor, coloring: Coloring, *, halve: bool) -> Tensor:
    """Paint a content, every map stored."""
    plan = Plan(64, list_stores(engine.architecture, engine.arithmetic)[0].nodes, halve)
    canvas = Canvas(content, torch.uint8, keep_chroma=False)
    engine.paint(content, engine.fit(content, coloring, plan), plan, canvas.paint)
    return canvas.pixels.int()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--size", type=int, default=1024)
    given = parser.parse_args()
    engine = Engine(load_model(given.model), ARITHMETICS["fp32"], torch.device("cpu"))
    table = Table(f"Contents of {given.size} pixels", ["pair", "largest", "share"])
    for pair in read_pairs(given.pairs, readable_extensions()):
        content = resize_picture(read_picture(pair.content), given.size).pixels
        coloring = Coloring(engine.measure(read_picture(pair.style).pixels, Plan(64)), "wct")
        full, halved = (paint(engine, content, coloring, halve=way) for way in (False, True))
        difference = (halved - full).abs()
        table.add(pair.name, int(difference.max()), f"{float((difference > 0).float().mean()):.4f}")
    print(table.to_markdown())


if __name__ == "__main__":
    main()
