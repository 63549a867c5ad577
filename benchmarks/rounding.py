"""Find the convolutions that tolerate bfloat16: how a result changes when some of them round.

    python -m benchmarks.rounding PAIRS --size 512

PAIRS is a folder of NAME.content.* and NAME.style.*; pictures are resized to the long edge. The table shows
differences from float32 in levels of 255, as means over the pairs and for the worst pair. Its rows are a
style that is encoded in bfloat16, each convolution of a content alone, and `--precision mixed` and `bf16`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.linalg.tables import Table
from styletransfer.evaluation import read_pairs
from styletransfer.media import read_picture, readable_extensions, resize_picture
from styletransfer.model import Architecture, Autoencoder, load_autoencoder
from styletransfer.pipeline.device import PRECISIONS, PrecisionPolicy
from styletransfer.pipeline.feature_graph import OUTPUT, Node
from styletransfer.pipeline.memory_plan import StreamingPlan, list_storage
from styletransfer.pipeline.network_runner import NetworkRunner
from styletransfer.pipeline.output_image import OutputImage
from styletransfer.pipeline.regions import RegionStyle
from styletransfer.transfer import TransferTarget


class OneConvolution(PrecisionPolicy):
    """A policy whose name is that of the only convolution in the tolerant type; see `name_convolution`."""

    def convolution_dtype(self, node: Node, index: int) -> torch.dtype:
        """Return the type of a convolution."""
        return self.tolerant if self.name == name_convolution(node, index) else self.content


def name_convolution(node: Node, index: int) -> str:
    """Name a convolution by the half of the network, its scale, and its number among those of the scale."""
    scale = node.scale + (node.kind == "decoded")
    return f"{'encoder' if node.kind == 'encoded' else 'decoder'}, 1/{2**scale}, no. {index + 1}"


def list_policies(architecture: Architecture) -> Iterator[PrecisionPolicy]:
    """List the policies that are compared to float32."""
    full, low = torch.float32, torch.bfloat16
    depth = len(architecture.widths)
    for scale, count in enumerate(architecture.convolutions):
        for index in range(count):
            yield OneConvolution(name_convolution(Node("encoded", scale), index), full, low)
    for scale in reversed(range(depth)):
        node = Node("decoded", scale - 1) if scale else OUTPUT
        for index in range(architecture.decoder_depths[scale]):
            yield OneConvolution(name_convolution(node, index), full, low)
    yield from (PRECISIONS[name] for name in ("mixed", "bf16"))


class SamplePair(NamedTuple):
    """Samples of a content and a style, each [3, H, W], uint8."""

    content: Tensor
    style: Tensor


def read_samples(folder: Path, size: int) -> dict[str, SamplePair]:
    """Read all pairs of a folder, resized to a long edge, by their names."""
    return {
        pair.name: SamplePair(
            *(resize_picture(read_picture(path), size).pixels for path in (pair.content, pair.style))
        )
        for pair in read_pairs(folder, readable_extensions())
    }


@torch.no_grad()
def stylize(
    model: Autoencoder, precision: PrecisionPolicy, pair: SamplePair, *, half_precision: bool = False
) -> Tensor:
    """Stylize a content with all of its maps stored; return levels of 255 [3, H, W] as floats."""
    runner = NetworkRunner(model, precision, torch.device("cpu"))
    plan = StreamingPlan(64, list_storage(runner.architecture, precision)[0].nodes, half_precision)
    target = TransferTarget(runner.measure(pair.style, plan), "wct")
    result = OutputImage(pair.content, torch.uint8, keep_chroma=False)
    runner.apply(pair.content, runner.fit(pair.content, [RegionStyle(target)], plan), plan, result.write)
    return result.pixels.float()


def compare(found: Tensor, exact: Tensor) -> tuple[float, ...]:
    """Return mean, 99 and 99.9 % quantile and maximum of the differences, and the percentage above 2."""
    differences = (found - exact).abs().flatten()
    quantiles = (differences.kthvalue(int(share * len(differences))).values for share in (0.99, 0.999))
    above = 100 * (differences > 2).float().mean()
    return tuple(float(each) for each in (differences.mean(), *quantiles, differences.max(), above))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--model", default="default", help="name of a model or path of its weights")
    parser.add_argument("--size", type=int, default=512, help="long edge of the pictures")
    arguments = parser.parse_args()
    model = load_autoencoder(arguments.model)
    pairs = list(read_samples(arguments.pairs, arguments.size).values())
    exact = [stylize(model, PRECISIONS["fp32"], pair) for pair in pairs]
    title = f"{len(pairs)} pairs of {arguments.size} pixels, means (and the worst pair)"
    table = Table(title, ["in bfloat16", "mean", "99 %", "99.9 %", "largest", "% above 2"])
    for policy in list_policies(model.architecture):
        found = [
            compare(stylize(model, policy, pair), result) for pair, result in zip(pairs, exact, strict=True)
        ]
        columns = zip(torch.tensor(found).T, (2, 0, 0, 0, 2), strict=True)
        cells = [f"{column.mean():.2f} ({column.max():.{digits}f})" for column, digits in columns]
        table.add(policy.name, *cells)
    print(table.to_markdown())


if __name__ == "__main__":
    main()
