"""Which convolutions bear bfloat16: what a result changes by when some of them round.

    python -m benchmarks.rounding PAIRS --size 512

PAIRS is a folder of NAME.content.* and NAME.style.*, resized to the long edge. Printed are differences to
float32 in levels of 255, means over the pairs and the worst of them: for a style that is encoded in bfloat16,
for each convolution of a content alone, and for what `--precision mixed` and `bf16` make of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from styletransfer.pipeline.arithmetic import ARITHMETICS, Arithmetic
from styletransfer.pipeline.coloring import Coloring
from styletransfer.pipeline.graph import PAINTED, Node
from styletransfer.pipeline.planning import list_stores
from torch import Tensor

from benchmarks.linalg.tables import Table
from styletransfer.evaluation import read_pairs
from styletransfer.media import read_picture, readable_extensions, resize_picture
from styletransfer.model import Architecture, Autoencoder, load_model
from styletransfer.pipeline.canvas import Canvas
from styletransfer.pipeline.engine import Engine, Plan


class OneConvolution(Arithmetic):
    """Only one convolution in bfloat16: that which its name tells, as `name_convolution` does."""

    def choose(self, node: Node, index: int) -> torch.dtype:
        """Return the type of a convolution."""
        return self.bearing if self.name == name_convolution(node, index) else self.content


def name_convolution(node: Node, index: int) -> str:
    """Name a convolution by the map that it and others lead to, the scale it works at, and its place."""
    scale = node.scale + (node.kind == "upper")
    return f"{'encoder' if node.kind == 'features' else 'decoder'}, 1/{2**scale}, no. {index + 1}"


def list_arithmetics(architecture: Architecture) -> Iterator[Arithmetic]:
    """List what is compared to float32."""
    full, low = torch.float32, torch.bfloat16
    yield Arithmetic("the style", low, full, full)
    depth = len(architecture.widths)
    for scale, count in enumerate(architecture.convolutions):
        for index in range(count):
            yield OneConvolution(name_convolution(Node("features", scale), index), full, full, low)
    for scale in reversed(range(depth)):
        node = Node("upper", scale - 1) if scale else PAINTED
        for index in range(architecture.decoder_depths[scale]):
            yield OneConvolution(name_convolution(node, index), full, full, low)
    yield from (ARITHMETICS[name] for name in ("mixed", "bf16"))


class Samples(NamedTuple):
    """A content and a style, each [3, H, W], uint8."""

    content: Tensor
    style: Tensor


def read_samples(folder: Path, size: int) -> dict[str, Samples]:
    """Read all pairs of a folder, resized to a long edge, by name."""
    return {
        pair.name: Samples(
            *(resize_picture(read_picture(path), size).pixels for path in (pair.content, pair.style))
        )
        for pair in read_pairs(folder, readable_extensions())
    }


@torch.no_grad()
def paint(model: Autoencoder, arithmetic: Arithmetic, pair: Samples, *, halve: bool = False) -> Tensor:
    """Paint a content, every map stored."""
    engine = Engine(model, arithmetic, torch.device("cpu"))
    plan = Plan(64, list_stores(engine.architecture, arithmetic)[0].nodes, halve)
    coloring = Coloring(engine.measure(pair.style, plan), "wct")
    canvas = Canvas(pair.content, torch.uint8, keep_chroma=False)
    engine.paint(pair.content, engine.fit(pair.content, coloring, plan), plan, canvas.paint)
    return canvas.pixels.float()


def compare(found: Tensor, exact: Tensor) -> tuple[float, ...]:
    """Return the mean difference, what 99 and 99.9 % stay below, the largest, and the share beyond 2 in %."""
    differences = (found - exact).abs().flatten()
    below = (differences.kthvalue(int(share * len(differences))).values for share in (0.99, 0.999))
    beyond = 100 * (differences > 2).float().mean()
    return tuple(float(each) for each in (differences.mean(), *below, differences.max(), beyond))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--size", type=int, default=512)
    given = parser.parse_args()
    model = load_model(given.model).network
    pairs = list(read_samples(given.pairs, given.size).values())
    exact = [paint(model, ARITHMETICS["fp32"], pair) for pair in pairs]
    title = f"{len(pairs)} pairs of {given.size} pixels, means (and the worst pair)"
    table = Table(title, ["in bfloat16", "mean", "99 %", "99.9 %", "largest", "% beyond 2"])
    for arithmetic in list_arithmetics(model.architecture):
        rows = torch.tensor(
            [
                compare(paint(model, arithmetic, pair), result)
                for pair, result in zip(pairs, exact, strict=True)
            ]
        )
        table.add(
            arithmetic.name,
            *(
                f"{column.mean():.2f} ({column.max():.{digits}f})"
                for column, digits in zip(rows.T, (2, 0, 0, 0, 2), strict=True)
            ),
        )
    print(table.to_markdown())


if __name__ == "__main__":
    main()
