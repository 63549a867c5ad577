"""Run a network over pictures of any size: the passes that measure, and the one that paints.

The transfer needs the statistics of whole maps, so a level can only be decoded once the level below it is
decoded everywhere. Each pass goes over the picture in strips; what is not kept from the pass before is
computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..linalg import Statistics
from ..model import Autoencoder
from .accumulation import Accumulator
from .coloring import Coloring
from .folding import fold_map, place_kernel, read_kernels, scale_inputs, scale_outputs
from .graph import PAINTED, Graph, Node, pull
from .layers import Kernel, PictureMap
from .memory import keep_resident_below
from .rows import FeatureMap, Observer, Store

# Of every level: the picture, then the features of every scale, finest first.
Levels = Sequence[Statistics]
WHITE = 255


@dataclass(frozen=True)
class Plan:
    """How to go over a picture.

    Attributes:
        tile: Rows of the picture per strip.
        store: The maps that are stored by the pass that computes them first; the others are computed again
            whenever they are needed.
        halve: Whether those of the finest scales are stored in half precision.
        ceiling: Bytes that the process should occupy at most, freed memory included; None for any.
    """

    tile: int
    store: frozenset[Node] = frozenset()
    halve: bool = False
    ceiling: int | None = None


@dataclass
class Fit:
    """What the measuring passes found out: a feed-forward network that paints one content in one style.

    Attributes:
        decoder: Convolutions by scale, the transfer folded in.
        recolor: Matrix [3, 3] and offset [3] of the map that ends it, from pixel to pixel, in 0..255.
        stores: Maps of the content that the passes have left.
    """

    decoder: dict[int, Sequence[Kernel]] = field(default_factory=dict)
    recolor: tuple[Tensor, Tensor] | None = None
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
        self.slope = model.architecture.negative_slope
        self.skips = [skip.detach() for skip in model.decoder.skips]
        encoder = [read_kernels(scale) for scale in model.encoder.scales]
        encoder[0][0] = scale_inputs(encoder[0][0], WHITE)
        self.encoder = [self._place(kernels) for kernels in encoder]
        self._decoder = [read_kernels(scale) for scale in model.decoder.scales]
        self._decoder[0][-1] = scale_outputs(self._decoder[0][-1], WHITE)

    def measure(self, samples: Tensor, plan: Plan) -> tuple[Statistics, ...]:
        """Measure a picture and the encoder's features at every scale: of every level, the picture first.

        Args:
            samples: [3, H, W], uint8, uint16 or float in 0..1.
            plan: How to go over it; a plan without stores does.
        """
        return self._encode(samples, Fit(), plan, range(self.depth + 2))

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
        coarsest = self.depth + 1
        own = self._encode(
            samples, fit, plan, range(coarsest if isinstance(coloring, Coloring) else 0, coarsest + 1)
        )
        if not isinstance(coloring, Coloring):
            coloring = coloring(own)
        merged = own[-1]
        for scale in range(self.depth, -1, -1):
            first, *rest = self._decoder[scale]
            folded = fold_map(first, *coloring.map_from(merged, scale + 1))
            fit.decoder[scale] = self._place([folded, *rest])
            merged = self._decode(samples, fit, plan, Node("merged", scale - 1) if scale else PAINTED)
        matrix, offset = coloring.map_from(in_unit_range(merged), 0)
        fit.recolor = matrix.float().to(self.device), (WHITE * offset).float().to(self.device)
        return fit

    def paint(self, samples: Tensor, fit: Fit, plan: Plan, emit: Observer) -> None:
        """Paint a picture by what was found out about it, or about a copy of another size.

        Args:
            samples: The content, [3, H, W].
            fit: Of the content; stores are used up.
            plan: How to go over the content.
            emit: Gets the first row and the strip [3, h, W] from there on, near 0..255, not clamped.
        """
        assert fit.recolor is not None
        matrix, offset = fit.recolor

        def recolor(start: int, rows: Tensor) -> None:
            colors = rows.permute(2, 0, 1).reshape(3, -1).float()
            emit(start, torch.addmm(offset.unsqueeze(1), matrix, colors).view(3, *rows.shape[:2]))

        # What this pass could store would be read by nobody.
        graph = self._graph(samples, fit, replace(plan, store=frozenset()), frozenset(fit.stores))
        painted = graph.painted()
        painted.observers.append(recolor)
        self._pull(painted, 0, plan.tile, plan.ceiling)

    def _encode(self, samples: Tensor, fit: Fit, plan: Plan, levels: range) -> tuple[Statistics, ...]:
        """Encode a picture and measure some levels."""
        graph = self._graph(samples, fit, plan)
        maps = [graph.features(level - 1) if level else graph.picture for level in levels]
        accumulators = [Accumulator(each) for each in maps]
        self._pull(graph.features(self.depth), self.depth, plan.tile, plan.ceiling)
        found = [accumulator.result() for accumulator in accumulators]
        return tuple(found if levels.start else [in_unit_range(found[0]), *found[1:]])

    def _decode(self, samples: Tensor, fit: Fit, plan: Plan, node: Node) -> Statistics:
        """Decode up to a map, and measure it."""
        last = frozenset(each for each in fit.stores if not is_needed_after(each, node, plan.store))
        graph = self._graph(samples, fit, plan, last)
        sink = graph.painted() if node == PAINTED else graph.merged(node.scale)
        accumulator = Accumulator(sink)
        self._pull(sink, node.scale, plan.tile << graph.finest, plan.ceiling)
        for each in last:
            del fit.stores[each]
        return accumulator.result()

    @staticmethod
    def _pull(sink: FeatureMap, scale: int, tile: int, ceiling: int | None) -> None:
        """Compute a map strip by strip, and look at the memory after each."""
        if ceiling is not None:
            sink.observers.append(lambda start, rows: keep_resident_below(ceiling))
        pull(sink, scale, tile)

    def _graph(self, samples: Tensor, fit: Fit, plan: Plan, last: frozenset[Node] = frozenset()) -> Graph:
        picture = PictureMap(samples, self.dtype, self.device)
        return Graph(self, picture, fit.decoder, fit.stores, plan.store, last, halve=plan.halve)

    def _place(self, kernels: Sequence[Kernel]) -> list[Kernel]:
        return [place_kernel(kernel, self.dtype, self.device) for kernel in kernels]


def is_needed_after(node: Node, done: Node, store: frozenset[Node]) -> bool:
    """Tell whether a stored map is read by passes after the one that measures a merged or the painted map."""
    if node.kind == "pooled":  # read where the scale below it is computed again
        node = Node("features", node.scale + 1)
    if done == PAINTED:
        return PAINTED not in store
    if done in store:  # all that later passes read of this scale and those below it
        return node.scale < done.scale
    if Node("upper", done.scale) in store:
        return node.scale < done.scale or node == Node("features", done.scale)
    return True


def in_unit_range(colors: Statistics) -> Statistics:
    """Turn statistics of a picture in 0..255 into those of the same in 0..1."""
    return colors._replace(mean=colors.mean / WHITE, covariance=colors.covariance / WHITE**2)
