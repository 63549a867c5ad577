"""The maps of the network over one picture, wired as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from .layers import Kernel, MergedMap, PictureMap, PooledMap, chain_convolutions
from .rows import FeatureMap, Store, StoredMap

# "features": the encoder's, of a level. "pooled": the same, halved. "upper": the decoder's from the level
# below, before they are doubled. "merged": both together, which the decoder gives the style's statistics.
Kind = Literal["features", "pooled", "upper", "merged"]


class Node(NamedTuple):
    """A map of the network."""

    kind: Kind
    level: int


class Network(Protocol):
    """What a graph needs to know of a network."""

    @property
    def depth(self) -> int:
        """The deepest level."""

    @property
    def pooling(self) -> str:
        """How features are halved, "average" or "max"."""

    @property
    def encoder(self) -> Sequence[Sequence[Kernel]]:
        """Convolutions by level."""

    @property
    def skips(self) -> Sequence[Tensor]:
        """Weights of the encoder's channels in the merged maps, by level."""


class Graph:
    """The maps of one pass over a picture: from stores where passes before have left them, else computed.

    Args:
        network: The weights.
        picture: The picture.
        decoder: Convolutions of the decoder by level, with the transfer folded in; as far as known.
        stores: Of passes before; this pass adds its own.
        store: What this pass shall store of what it computes.
        last: The stores that no later pass will read.
    """

    def __init__(
        self,
        network: Network,
        picture: PictureMap,
        decoder: dict[int, Sequence[Kernel]],
        stores: dict[Node, Store],
        store: frozenset[Node] = frozenset(),
        last: frozenset[Node] = frozenset(),
    ) -> None:
        self.network, self.picture, self.decoder = network, picture, decoder
        self.stores, self.store, self.last = stores, store, last
        self.finest = network.depth  # level of the largest map that this pass computes
        self._maps: dict[Node, FeatureMap] = {}

    def features(self, level: int) -> FeatureMap:
        """Return the encoder's features of a level."""

        def build() -> FeatureMap:
            source = self.pooled(level - 1) if level else self.picture
            return chain_convolutions(source, self.network.encoder[level])

        return self._find(Node("features", level), build)

    def pooled(self, level: int) -> FeatureMap:
        """Return the features of a level, halved."""
        return self._find(
            Node("pooled", level), lambda: PooledMap(self.features(level), self.network.pooling)
        )

    def upper(self, level: int) -> FeatureMap:
        """Return the decoder's features from below a level, still to be doubled."""
        return self._find(
            Node("upper", level),
            lambda: chain_convolutions(self.merged(level + 1), self.decoder[level + 1]),
        )

    def merged(self, level: int) -> FeatureMap:
        """Return what the decoder gives the style's statistics at a level."""
        if level == self.network.depth:
            return self.features(level)
        return self._find(
            Node("merged", level),
            lambda: MergedMap(self.upper(level), self.features(level), self.network.skips[level]),
        )

    def painted(self) -> FeatureMap:
        """Return the picture, near 0..255."""
        return chain_convolutions(self.merged(0), self.decoder[0], last_relu=False)

    def _find(self, node: Node, build: Callable[[], FeatureMap]) -> FeatureMap:
        """Return the map of this pass, making it if it is the first time."""
        if node in self._maps:
            return self._maps[node]
        if node in self.stores:
            found: FeatureMap = StoredMap(self.stores[node], last=node in self.last)
        else:
            found = build()
            self.finest = min(self.finest, node.level)
            if node in self.store:
                self.stores[node] = Store(found)
        self._maps[node] = found
        return found


def pull(sink: FeatureMap, level: int, tile: int) -> None:
    """Compute a map from top to bottom, a strip at a time.

    Args:
        sink: The map.
        level: Of the map: a row of level 2 stands for four rows of the picture.
        tile: Rows of the picture per strip.
    """
    reader = sink.read()
    rows = max(1, tile >> level)
    for start in range(0, sink.shape.height, rows):
        reader.take(start, min(start + rows, sink.shape.height))
