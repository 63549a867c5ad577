"""The types that the convolutions compute in."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..model import Architecture
from .graph import PAINTED, Node

# The maps whose convolutions bear bfloat16, from which one on (benchmarks/rounding.py). Not among them are
# those that a transfer is folded into, or that make what a coarse transfer reads: it amplifies what features
# with little variance lose.
BEARING = {Node("features", 1): 1, Node("features", 2): 1, Node("upper", 0): 1, PAINTED: 0}


class Arithmetic(NamedTuple):
    """Types by convolution and by map.

    Attributes:
        name: As options call it.
        style: Of the convolutions that encode a style: their rounding averages out in its statistics.
        content: Of those that a content goes through, but for
        bearing: those of `BEARING`.
    """

    name: str
    style: torch.dtype
    content: torch.dtype
    bearing: torch.dtype

    def choose(self, node: Node, index: int) -> torch.dtype:
        """Return the type of one of the convolutions, counted from 0, that lead to a map of a content."""
        return self.bearing if node in BEARING and index >= BEARING[node] else self.content

    def choose_for_map(self, node: Node, architecture: Architecture) -> torch.dtype:
        """Return the type of a map of a content: of the convolution it comes from, else of the next one."""
        kind, scale = node
        if kind == "merged":
            return self.choose(Node("upper", scale - 1) if scale else PAINTED, 0)
        if kind == "pooled":
            return self.choose(Node("features", scale + 1), 0)
        if kind == "features":
            return self.choose(node, architecture.convolutions[scale] - 1)
        return self.choose(node, architecture.decoder_depths[scale + (kind == "upper")] - 1)

    def choose_for_store(self, node: Node, architecture: Architecture) -> torch.dtype:
        """Return the type that later passes read a map in: features as what they are merged into."""
        own = self.choose_for_map(node, architecture)
        if node.kind != "features" or node.scale == len(architecture.widths) - 1:
            return own
        merged = self.choose_for_map(Node("merged", node.scale), architecture)
        return min(own, merged, key=lambda dtype: dtype.itemsize)


ARITHMETICS = {
    "fp32": Arithmetic("fp32", torch.float32, torch.float32, torch.float32),
    "mixed": Arithmetic("mixed", torch.bfloat16, torch.float32, torch.bfloat16),
    "bf16": Arithmetic("bf16", torch.bfloat16, torch.bfloat16, torch.bfloat16),
}
