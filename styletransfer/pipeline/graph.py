"""The maps of the network over one picture, wired as they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from .layers import Kernel, MergedMap, PictureMap, PooledMap, chain_convolutions
from .rows import FeatureMap, Store, StoredMap

# "features": the encoder's, of a scale. "pooled": the same, halved. "upper": the decoder's from the scale
# below, before they are doubled. "merged": both together, which the decoder gives the style's statistics.
# "painted": the picture that it makes of the finest of these.
Kind = Literal["features", "pooled", "upper", "merged", "painted"]


class Node(NamedTuple):
    """A map of the network.

    Attributes:
        kind: What it is.
        scale: Its height and width are those of the picture, halved so many times.
    """

    kind: Kind
    scale: int


PAINTED = Node("painted", 0)
# The finest scales take most of the memory and bear half precision: it moves a pixel by a level here and
# there (benchmarks/half_precision.py). The gains of the coarser transfers would make up to five of it.
HALVED = 2


def list_sources(node: Node, depth: int) -> tuple[Node, ...]:
    """Return the maps that one is computed of; none for what is computed of the picture."""
    kind, scale = node
    match kind:
        case "features":
            return (Node("pooled", scale - 1),) if scale else ()
        case "pooled":
            return (Node("features", scale),)
        case "upper":
            return (find_merged(scale + 1, depth),)
        case "painted":
            return (find_merged(0, depth),)
        case "merged":
            return Node("upper", scale), Node("features", scale)


def find_merged(scale: int, depth: int) -> Node:
    """Return what the decoder reads at a scale: at the deepest, where nothing is merged, the features."""
    return Node("features" if scale == depth else "merged", scale)


class Network(Protocol):
    """What a graph needs to know of a network."""

    @property
    def depth(self) -> int:
        """The deepest scale."""

    @property
    def pooling(self) -> str:
        """How features are halved, "average" or "max"."""

    @property
    def slope(self) -> float:
        """Of the activations, below zero."""

    @property
    def skips(self) -> Sequence[Tensor]:
        """Weights of the features' channels in the merged maps, by scale."""

    def choose_for_map(self, node: Node) -> torch.dtype:
        """Return the type of a map."""

    def choose_for_store(self, node: Node) -> torch.dtype:
        """Return the type that a map is stored in."""


class Graph:
    """The maps of one pass over a picture: from stores where passes before have left them, else computed.

    Args:
        network: The weights.
        picture: The picture.
        kernels: Convolutions by the map they lead to; as far as known.
        stores: Of passes before; this pass adds its own.
        store: What this pass shall store of what it computes.
        last: The stores that no later pass will read.
        halve: Whether the maps of the finest scales are stored in half precision.
    """

    def __init__(
        self,
        network: Network,
        picture: PictureMap,
        kernels: Mapping[Node, Sequence[Kernel]],
        stores: dict[Node, Store],
        store: frozenset[Node] = frozenset(),
        last: frozenset[Node] = frozenset(),
        *,
        halve: bool = False,
    ) -> None:
        self.network, self.picture, self.kernels = network, picture, kernels
        self.stores, self.store, self.last, self.halve = stores, store, last, halve
        self.finest = network.depth  # scale of the largest map that this pass computes
        self._maps: dict[Node, FeatureMap] = {}

    def find(self, node: Node) -> FeatureMap:
        """Return a map of this pass, making it if it is the first time."""
        if node in self._maps:
            return self._maps[node]
        if node in self.stores:
            found: FeatureMap = StoredMap(self.stores[node], last=node in self.last)
        else:
            found = self._build(node)
            self.finest = min(self.finest, node.scale)
            if node in self.store:
                dtype = self.network.choose_for_store(node)
                self.stores[node] = Store(found, dtype, halve=self.halve and node.scale < HALVED)
        self._maps[node] = found
        return found

    def _build(self, node: Node) -> FeatureMap:
        """Make a map of those it is computed of."""
        sources: list[FeatureMap] = [self.find(each) for each in list_sources(node, self.network.depth)]
        source = sources[0] if sources else self.picture
        if node.kind == "pooled":
            reader = self.kernels[Node("features", node.scale + 1)][0]
            return PooledMap(source, self.network.pooling, reader.weight.dtype)
        if node.kind == "merged":
            upper, features = sources
            return MergedMap(
                upper, features, self.network.skips[node.scale], self.network.choose_for_map(node)
            )
        activate_last = node.kind != "painted"
        return chain_convolutions(source, self.kernels[node], self.network.slope, activate_last=activate_last)


def pull(sink: FeatureMap, scale: int, tile: int) -> None:
    """Compute a map from top to bottom, a strip at a time.

    Args:
        sink: The map.
        scale: Of the map: a row of scale 2 stands for four rows of the picture.
        tile: Rows of the picture per strip.
    """
    reader = sink.read()
    rows = max(1, tile >> scale)
    for start in range(0, sink.shape.height, rows):
        reader.take(start, min(start + rows, sink.shape.height))
