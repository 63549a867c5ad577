"""The maps of the network over one picture, and the passes that compute them.

The transfer needs the statistics of whole maps, so a level can only be decoded once the level below it is
decoded everywhere. Each pass goes over the picture in strips and measures one map; the last pass produces the
result. What an earlier pass did not store is computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from ..model import Architecture
from ..transfer.content_moments import ContentMoments
from .matching_layers import MatchedMap, MatchesMap, RegionMatchesMap, ScaleMatching
from .output_image import ColorTransfer
from .regions import NO_WEIGHTS, AffineMap, PixelWeights
from .streamed_maps import FeatureMap, FeatureStore, StoredMap
from .streaming_layers import (
    ConvParameters,
    MergedMap,
    PictureMap,
    PooledMap,
    RegionTransferMap,
    chain_convolutions,
)

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


@dataclass
class FittedNetwork:
    """A feed-forward network that stylizes one content, as far as the measuring passes have found it.

    Attributes:
        parameters: Convolutions by the map they compute. Those of the decoder contain the transfers, unless
            there are several regions.
        architecture: The network's architecture, without matching if no patches are matched.
        matching: What is matched at every scale, one entry per region.
        transfers: With several regions, the transfer of each before the decoder's convolutions.
        colors: The color transfer of the output, per region.
        stores: Maps of the content that the passes have stored.
        done: Share of the work that `fit` has done on the content, 0..1; `apply` does the rest.
        weights: How the pixels of the content count.
        moments: What the passes have measured, or what was used instead.
    """

    parameters: dict[Node, list[ConvParameters]]
    architecture: Architecture
    matching: dict[int, list[ScaleMatching]] = field(default_factory=dict)
    transfers: dict[Node, list[AffineMap]] = field(default_factory=dict)
    colors: list[ColorTransfer] = field(default_factory=list)
    stores: dict[Node, FeatureStore] = field(default_factory=dict)
    done: float = 0.0
    weights: PixelWeights = NO_WEIGHTS
    moments: ContentMoments = field(default_factory=lambda: ContentMoments([], []))


class FeatureGraph:
    """The maps of one pass: read from stores where earlier passes have left them, computed otherwise.

    Args:
        network: The network's properties.
        fitted: The network as far as it is fitted. This pass adds its stores.
        picture: The picture.
        store: The maps that this pass stores when it computes them.
        last_use: The stores that no later pass reads.
        half_precision: Whether the maps of the finest scales are stored in half precision.
    """

    def __init__(
        self,
        network: Network,
        fitted: FittedNetwork,
        picture: PictureMap,
        store: frozenset[Node] = frozenset(),
        last_use: frozenset[Node] = frozenset(),
        *,
        half_precision: bool = False,
    ) -> None:
        self.network, self.fitted, self.picture = network, fitted, picture
        self.architecture, self.stores = fitted.architecture, fitted.stores
        self.store, self.last_use = store, last_use
        self.half_precision = half_precision
        self.finest_scale = self.architecture.depth  # scale of the largest map that this pass computes
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

    def _build(self, node: Node) -> FeatureMap:
        """Build a map from its sources."""
        sources: list[FeatureMap] = [self.find(each) for each in list_sources(node, self.architecture)]
        source = sources[0] if sources else self.picture
        if node.kind == "pooled":
            consumer = self.fitted.parameters[Node("encoded", node.scale + 1)][0]
            return PooledMap(source, self.architecture.pooling, consumer.weight.dtype)
        if node.kind == "merged":
            decoded, encoded = sources
            return MergedMap(decoded, encoded, self.network.skips[node.scale], self.network.map_dtype(node))
        if node.kind == "matched":
            matches, merged = sources
            dtype = self.network.map_dtype(node)
            regions = self.fitted.matching[node.scale]
            return MatchedMap(matches, merged, regions, self.fitted.weights.shares, node.scale, dtype)
        if node.kind == "matches":
            regions = self.fitted.matching[node.scale]
            if (shares := self.fitted.weights.shares) is not None:
                return RegionMatchesMap(source, regions, shares, node.scale)
            queries = chain_convolutions(source, self.fitted.parameters[node], 1, activate_last=False)
            return MatchesMap(queries, regions[0])
        parameters = self.fitted.parameters[node]
        if node in self.fitted.transfers:
            (read,) = list_sources(node, self.architecture)
            shares = self.fitted.weights.shares
            assert shares is not None
            dtype = parameters[0].weight.dtype
            source = RegionTransferMap(source, self.fitted.transfers[node], shares, read.scale, dtype)
        slope = self.architecture.negative_slope
        return chain_convolutions(source, parameters, slope, activate_last=node.kind != "output")


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
