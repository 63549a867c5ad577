"""The maps of the network over one picture, wired as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from .layers import Kernel, MergedMap, PictureMap, PooledMap, chain_convolutions
from .rows import FeatureMap, Store, StoredMap

# "features": the encoder's, of a scale. "pooled": the same, halved. "upper": the decoder's from the scale
# below, before they are doubled. "merged": both together, which the decoder gives the style's statistics.
# "painted": what the decoder makes of the finest of these, of scale 0.
Kind = Literal["features", "pooled", "upper", "merged", "painted"]


class Node(NamedTuple):
    """A map of the network."""

    kind: Kind
    scale: int


PAINTED = Node("painted", 0)
# The finest scales take most of the memory and bear half precision: it moves a pixel by a level here and
# there (benchmarks/half_precision.py). The gains of the coarser transfers would make up to five of it.
HALVED = 2


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
    def encoder(self) -> Sequence[Sequence[Kernel]]:
        """Convolutions by scale."""

    @property
    def skips(self) -> Sequence[Tensor]:
        """Weights of the encoder's channels in the merged maps, by scale."""


class Graph:
    """The maps of one pass over a picture: from stores where passes before have left them, else computed.

    Args:
        network: The weights.
        picture: The picture.
        decoder: Convolutions of the decoder by scale, with the transfer folded in; as far as known.
        stores: Of passes before; this pass adds its own.
        store: What this pass shall store of what it computes.
        last: The stores that no later pass will read.
        halve: Whether the maps of the finest scales are stored in half precision.
    """

    def __init__(
        self,
        network: Network,
        picture: PictureMap,
        decoder: dict[int, Sequence[Kernel]],
        stores: dict[Node, Store],
        store: frozenset[Node] = frozenset(),
        last: frozenset[Node] = frozenset(),
        *,
        halve: bool = False,
    ) -> None:
        self.network, self.picture, self.decoder = network, picture, decoder
        self.stores, self.store, self.last, self.halve = stores, store, last, halve
        self.finest = network.depth  # scale of the largest map that this pass computes
        self._maps: dict[Node, FeatureMap] = {}

    def features(self, scale: int) -> FeatureMap:
        """Return the encoder's features of a scale."""

        def build() -> FeatureMap:
            source = self.pooled(scale - 1) if scale else self.picture
            return chain_convolutions(source, self.network.encoder[scale], self.network.slope)

        return self._find(Node("features", scale), build)

    def pooled(self, scale: int) -> FeatureMap:
        """Return the features of a scale, halved."""
        return self._find(
            Node("pooled", scale), lambda: PooledMap(self.features(scale), self.network.pooling)
        )

    def upper(self, scale: int) -> FeatureMap:
        """Return the decoder's features from below a scale, still to be doubled."""
        return self._find(
            Node("upper", scale),
            lambda: chain_convolutions(self.merged(scale + 1), self.decoder[scale + 1], self.network.slope),
        )

    def merged(self, scale: int) -> FeatureMap:
        """Return what the decoder gives the style's statistics at a scale."""
        if scale == self.network.depth:
            return self.features(scale)
        return self._find(
            Node("merged", scale),
            lambda: MergedMap(self.upper(scale), self.features(scale), self.network.skips[scale]),
        )

    def painted(self) -> FeatureMap:
        """Return the picture, in colours that still have to become the style's."""

        def build() -> FeatureMap:
            kernels, slope = self.decoder[0], self.network.slope
            return chain_convolutions(self.merged(0), kernels, slope, activate_last=False)

        return self._find(PAINTED, build)

    def _find(self, node: Node, build: Callable[[], FeatureMap]) -> FeatureMap:
        """Return the map of this pass, making it if it is the first time."""
        if node in self._maps:
            return self._maps[node]
        if node in self.stores:
            found: FeatureMap = StoredMap(self.stores[node], last=node in self.last)
        else:
            found = build()
            self.finest = min(self.finest, node.scale)
            if node in self.store:
                self.stores[node] = Store(found, halve=self.halve and node.scale < HALVED)
        self._maps[node] = found
        return found


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
