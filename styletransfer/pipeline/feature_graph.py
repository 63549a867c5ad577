"""The maps of the network over one picture, and the passes that compute them.

The transfer needs the statistics of whole maps, so a level can only be decoded once the level below it is
decoded everywhere. Each pass goes over the picture in strips and measures one map; the last pass produces the
result. What an earlier pass did not store is computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from ..model import Architecture
from .matching_layers import MatchedMap, MatchesMap, ScaleMatching
from .streaming import FeatureMap, FeatureStore, StoredMap
from .streaming_layers import ConvParameters, MergedMap, PictureMap, PooledMap, chain_convolutions

# "encoded": the encoder's features of a scale. "pooled": the same at half the size. "decoded": the decoder's
# features from the next coarser scale, before they are upsampled. "merged": the sum of both. "matches": the
# patches of the style that resemble the merged map. "matched": the merged map, whitened, with these patches
# in it. The merged map, or the matched one where there is one, is given the style's statistics. "output": the
# picture that the decoder makes of it at the finest scale.
Kind = Literal["encoded", "pooled", "decoded", "merged", "matches", "matched", "output"]


class Node(NamedTuple):
    """One map of the network.

    Attributes:
        kind: What the map holds.
        scale: The picture's height and width are halved this many times.
    """

    kind: Kind
    scale: int


OUTPUT = Node("output", 0)
# Number of finest scales that may be stored in half precision. They take most of the memory, and the rounding
# changes few pixels by one level (benchmarks/half_precision.py). Coarser transfers amplify it up to 5 times.
HALF_PRECISION_SCALES = 2


def list_sources(node: Node, architecture: Architecture) -> tuple[Node, ...]:
    """Return the maps from which a map is computed; none for a map that is computed from the picture."""
    kind, scale = node
    match kind:
        case "encoded":
            return (Node("pooled", scale - 1),) if scale else ()
        case "pooled":
            return (Node("encoded", scale),)
        case "decoded":
            return (decoder_input(scale + 1, architecture),)
        case "output":
            return (decoder_input(0, architecture),)
        case "merged":
            return Node("decoded", scale), Node("encoded", scale)
        case "matches":
            return (merged_map(scale, architecture),)
        case "matched":
            key_scale = architecture.key_scale(scale)
            assert key_scale is not None
            return Node("matches", key_scale), merged_map(scale, architecture)


def merged_map(scale: int, architecture: Architecture) -> Node:
    """Return the map in which encoder and decoder meet; at the deepest scale that is the encoder's."""
    return Node("encoded" if scale == architecture.depth else "merged", scale)


def decoder_input(scale: int, architecture: Architecture) -> Node:
    """Return the map that the decoder reads at a scale, after it was given the style's statistics."""
    if architecture.key_scale(scale) is not None:
        return Node("matched", scale)
    return merged_map(scale, architecture)


class Network(Protocol):
    """The properties of a network that a graph uses."""

    @property
    def skips(self) -> Sequence[Tensor]:
        """Weights of the encoder's channels in the merged maps, by scale."""

    def map_dtype(self, node: Node) -> torch.dtype:
        """Return the type in which a map is computed."""

    def store_dtype(self, node: Node) -> torch.dtype:
        """Return the type in which a map is stored."""


class FeatureGraph:
    """The maps of one pass: read from stores where earlier passes have left them, computed otherwise.

    Args:
        network: The network's properties.
        architecture: The network's architecture, without matching where no patches are matched.
        picture: The picture.
        parameters: Convolutions by the map that they compute, as far as they are known.
        matching: What is matched at every scale, as far as it is known.
        stores: Stores of earlier passes. This pass adds its own.
        store: The maps that this pass stores when it computes them.
        last_use: The stores that no later pass reads.
        half_precision: Whether the maps of the finest scales are stored in half precision.
        alpha: Opacity of the pixels, with which they count in statistics; None if all pixels are opaque.
    """

    def __init__(
        self,
        network: Network,
        architecture: Architecture,
        picture: PictureMap,
        parameters: Mapping[Node, Sequence[ConvParameters]],
        matching: Mapping[int, ScaleMatching],
        stores: dict[Node, FeatureStore],
        store: frozenset[Node] = frozenset(),
        last_use: frozenset[Node] = frozenset(),
        *,
        half_precision: bool = False,
        alpha: PictureMap | None = None,
    ) -> None:
        self._weights: list[FeatureMap] = [] if alpha is None else [alpha]
        self.network, self.picture, self.parameters = network, picture, parameters
        self.architecture, self.matching = architecture, matching
        self.stores, self.store, self.last_use = stores, store, last_use
        self.half_precision = half_precision
        self.finest_scale = architecture.depth  # scale of the largest map that this pass computes
        self._maps: dict[Node, FeatureMap] = {}

    def find(self, node: Node) -> FeatureMap:
        """Return a map of this pass; it is built at the first call."""
        if node in self._maps:
            return self._maps[node]
        if node in self.stores:
            found: FeatureMap = StoredMap(self.stores[node], last_use=node in self.last_use)
        else:
            found = self._build(node)
            self.finest_scale = min(self.finest_scale, node.scale)
            if node in self.store:
                half = self.half_precision and node.scale < HALF_PRECISION_SCALES
                dtype = self.network.store_dtype(node)
                self.stores[node] = FeatureStore(found, dtype, half_precision=half)
        self._maps[node] = found
        return found

    def weights(self, scale: int) -> FeatureMap | None:
        """Return the weights of the pixels at a scale, averaged as often as the scale was halved."""
        while 0 < len(self._weights) <= scale:
            self._weights.append(PooledMap(self._weights[-1], "average", torch.float32))
        return self._weights[scale] if self._weights else None

    def _build(self, node: Node) -> FeatureMap:
        """Build a map from its sources."""
        sources: list[FeatureMap] = [self.find(each) for each in list_sources(node, self.architecture)]
        source = sources[0] if sources else self.picture
        if node.kind == "pooled":
            consumer = self.parameters[Node("encoded", node.scale + 1)][0]
            return PooledMap(source, self.architecture.pooling, consumer.weight.dtype)
        if node.kind == "merged":
            decoded, encoded = sources
            return MergedMap(decoded, encoded, self.network.skips[node.scale], self.network.map_dtype(node))
        if node.kind == "matched":
            matches, merged = sources
            dtype = self.network.map_dtype(node)
            return MatchedMap(matches, merged, self.matching[node.scale], dtype)
        chain = chain_convolutions(
            source,
            self.parameters[node],
            self.architecture.negative_slope,
            activate_last=node.kind in {"encoded", "decoded"},
        )
        return MatchesMap(chain, self.matching[node.scale]) if node.kind == "matches" else chain


class Pass(NamedTuple):
    """One pass over the picture.

    Attributes:
        target: The map that the pass measures; the last pass emits it.
        computed: The maps that the pass computes.
        stored: The computed maps that the pass stores.
        released: The stores that no later pass reads.
    """

    target: Node
    computed: frozenset[Node]
    stored: frozenset[Node]
    released: frozenset[Node]


@cache
def list_passes(architecture: Architecture, store: frozenset[Node]) -> tuple[Pass, ...]:
    """List the passes in their order.

    Args:
        architecture: The network's architecture, without matching where no patches are matched.
        store: The maps that are stored by the pass that computes them first.
    """
    targets: list[Node] = []
    for scale in range(architecture.depth, -1, -1):
        # A merged map is whitened before it is matched, and the mixture is whitened again.
        targets += dict.fromkeys((merged_map(scale, architecture), decoder_input(scale, architecture)))
    found: list[tuple[Node, frozenset[Node], frozenset[Node], frozenset[Node]]] = []
    present: set[Node] = set()
    for target in [*targets, OUTPUT, OUTPUT]:
        reached = _reach(target, architecture, present)
        computed = frozenset(reached - present)
        found.append((target, computed, computed & store, frozenset(reached & present)))
        present |= computed & store
    passes: list[Pass] = []
    needed_later: set[Node] = set()
    for target, computed, stored, read in reversed(found):
        passes.append(Pass(target, computed, stored, frozenset((read | stored) - needed_later)))
        needed_later |= read
    return tuple(reversed(passes))


def _reach(target: Node, architecture: Architecture, present: set[Node]) -> set[Node]:
    """Return the maps that a pass touches, from its target back to those that are stored."""
    reached, ahead = set(), [target]
    while ahead:
        node = ahead.pop()
        if node not in reached:
            reached.add(node)
            if node not in present:
                ahead += list_sources(node, architecture)
    return reached
