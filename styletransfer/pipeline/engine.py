"""Run a network over pictures of any size: the passes that measure, and the one that paints.

The transfer needs the statistics of whole maps, so a level can only be decoded once the level below it is
decoded everywhere. Each pass goes over the picture in strips; what is not kept from the pass before is
computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..linalg import Statistics
from ..model import Autoencoder
from .accumulation import Accumulator
from .coloring import Coloring
from .folding import fold_map, place_kernel, read_kernels, scale_inputs, scale_outputs
from .graph import Graph, Node, pull
from .layers import Kernel, PictureMap
from .memory import keep_resident_below
from .rows import FeatureMap, Observer, Store

Levels = Sequence[Statistics]


@dataclass(frozen=True)
class Plan:
    """How to go over a picture.

    Attributes:
        tile: Rows of the picture per strip.
        store: The maps that are stored by the pass that computes them first; the others are computed again
            whenever they are needed.
        ceiling: Bytes that the process should occupy at most, freed memory included; None for any.
    """

    tile: int
    store: frozenset[Node] = frozenset()
    ceiling: int | None = None


@dataclass
class Fit:
    """What the measuring passes found out: a feed-forward network that paints one content in one style.

    Attributes:
        decoder: Convolutions by level, the transfer folded in.
        stores: Maps of the content that the passes have left.
    """

    decoder: dict[int, Sequence[Kernel]] = field(default_factory=dict)
    stores: dict[Node, Store] = field(default_factory=dict)


class Engine:
    """A network made ready to be run in one precision on one device.

    Args:
        model: The network.
        dtype: Of the convolutions and of the maps between them.
        device: Where they run; statistics are decomposed on the CPU.
    """

    def __init__(self, model: Autoencoder, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype, self.device = dtype, device
        self.depth = len(model.architecture.widths) - 1
        self.pooling = model.architecture.pooling
        self.widths = model.architecture.widths
        self.skips = [skip.detach() for skip in model.decoder.skips]
        encoder = [read_kernels(scale) for scale in model.encoder.scales]
        encoder[0][0] = scale_inputs(encoder[0][0], 255)
        self.encoder = [self._place(kernels) for kernels in encoder]
        self._decoder = [read_kernels(scale) for scale in model.decoder.scales]
        self._decoder[0][-1] = scale_outputs(self._decoder[0][-1], 255)

    def measure(self, samples: Tensor, plan: Plan) -> tuple[Statistics, ...]:
        """Measure the encoder's features of a picture at every level, finest first.

        Args:
            samples: [3, H, W], uint8, uint16 or float in 0..1.
            plan: How to go over it; a plan without stores does.
        """
        return self._encode(samples, Fit(), plan, range(self.depth + 1))

    def fit(
        self,
        samples: Tensor,
        coloring: Coloring | Callable[[Levels], Coloring],
        plan: Plan,
    ) -> Fit:
        """Find the map of every level that gives the content the statistics of its target.

        Args:
            samples: The content, [3, H, W], uint8, uint16 or float in 0..1.
            coloring: The statistics to reach; or what returns them for those of the content.
            plan: How to go over the content.
        """
        fit = Fit()
        finest = self.depth if isinstance(coloring, Coloring) else 0
        own = self._encode(samples, fit, plan, range(finest, self.depth + 1))
        if not isinstance(coloring, Coloring):
            coloring = coloring(own)
        merged = own[-1]
        for level in range(self.depth, -1, -1):
            first, *rest = self._decoder[level]
            folded = fold_map(first, *coloring.map_from(merged, level))
            fit.decoder[level] = self._place([folded, *rest])
            if level:
                merged = self._decode(samples, level - 1, fit, plan)
        return fit

    def paint(self, samples: Tensor, fit: Fit, plan: Plan, emit: Observer) -> None:
        """Paint a picture by what was found out about it, or about a copy of another size.

        Args:
            samples: The content, [3, H, W].
            fit: Of the content; stores are used up.
            plan: How to go over the content.
            emit: Gets the first row and the rows [h, W, 3] of each strip, near 0..255, not clamped.
        """
        graph = self._graph(samples, fit, last=frozenset(fit.stores))
        painted = graph.painted()
        painted.observers.append(emit)
        self._pull(painted, 0, plan.tile, plan.ceiling)

    def _encode(self, samples: Tensor, fit: Fit, plan: Plan, levels: range) -> tuple[Statistics, ...]:
        """Encode a picture and measure the features of some levels."""
        graph = self._graph(samples, fit, store=plan.store)
        accumulators = [Accumulator(graph.features(level)) for level in levels]
        self._pull(graph.features(self.depth), self.depth, plan.tile, plan.ceiling)
        return tuple(accumulator.result() for accumulator in accumulators)

    def _decode(self, samples: Tensor, level: int, fit: Fit, plan: Plan) -> Statistics:
        """Decode up to the merged map of a level and measure it."""
        last = frozenset(node for node in fit.stores if not is_needed_after(node, level, plan.store))
        graph = self._graph(samples, fit, store=plan.store, last=last)
        merged = graph.merged(level)
        accumulator = Accumulator(merged)
        self._pull(merged, level, plan.tile << graph.finest, plan.ceiling)
        for node in last:
            del fit.stores[node]
        return accumulator.result()

    @staticmethod
    def _pull(sink: FeatureMap, level: int, tile: int, ceiling: int | None) -> None:
        """Compute a map strip by strip, and look at the memory after each."""
        if ceiling is not None:
            sink.observers.append(lambda start, rows: keep_resident_below(ceiling))
        pull(sink, level, tile)

    def _graph(
        self,
        samples: Tensor,
        fit: Fit,
        store: frozenset[Node] = frozenset(),
        last: frozenset[Node] = frozenset(),
    ) -> Graph:
        picture = PictureMap(samples, self.dtype, self.device)
        return Graph(self, picture, fit.decoder, fit.stores, store, last)

    def _place(self, kernels: Sequence[Kernel]) -> list[Kernel]:
        return [place_kernel(kernel, self.dtype, self.device) for kernel in kernels]


def is_needed_after(node: Node, level: int, store: frozenset[Node]) -> bool:
    """Tell whether a stored map is read by passes after the one that measures the merged map of a level."""
    if node.kind == "pooled":  # read where the level below it is computed again
        node = Node("features", node.level + 1)
    if Node("merged", level) in store:  # all that later passes read of this level and those below it
        return node.level < level
    if Node("upper", level) in store:
        return node.level < level or node == Node("features", level)
    return True
