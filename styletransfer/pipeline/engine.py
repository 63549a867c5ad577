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
from .arithmetic import Arithmetic
from .coloring import Coloring
from .folding import fold_map, place_kernel, read_kernels, scale_inputs, scale_outputs
from .graph import PAINTED, Graph, Node, pull
from .layers import Kernel, PictureMap
from .memory import keep_resident_below
from .passes import Pass, list_passes
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
        kernels: Convolutions by the map they lead to: the encoder's; the decoder's hold the transfers.
        recolor: Matrix [3, 3] and offset [3] of the map that ends it, from pixel to pixel, in 0..255.
        stores: Maps of the content that the passes have left.
    """

    kernels: dict[Node, list[Kernel]]
    recolor: tuple[Tensor, Tensor] | None = None
    stores: dict[Node, Store] = field(default_factory=dict)


class Engine:
    """A network made ready to be run in one precision on one device.

    Args:
        model: The network.
        arithmetic: Types of the convolutions and of the maps between them.
        device: Where they run; statistics are decomposed on the CPU.
    """

    def __init__(self, model: Autoencoder, arithmetic: Arithmetic, device: torch.device) -> None:
        self.arithmetic, self.device = arithmetic, device
        self.depth = len(model.architecture.widths) - 1
        self.pooling = model.architecture.pooling
        self.slope = model.architecture.negative_slope
        self.architecture = model.architecture
        encoder = [read_kernels(scale) for scale in model.encoder.scales]
        encoder[0][0] = scale_inputs(encoder[0][0], WHITE)
        features = {Node("features", scale): kernels for scale, kernels in enumerate(encoder)}
        self._encoder = {node: self._place(node, kernels) for node, kernels in features.items()}
        self._style_encoder = {
            node: [place_kernel(kernel, arithmetic.style, device) for kernel in kernels]
            for node, kernels in features.items()
        }
        self.skips = [skip.detach().flatten() for skip in model.decoder.skips]
        # The convolutions that transfers are to be folded into, by the map they lead to.
        painter, *others = [read_kernels(scale) for scale in model.decoder.scales]
        painter[-1] = scale_outputs(painter[-1], WHITE)
        self._kernels = {Node("upper", scale): kernels for scale, kernels in enumerate(others)}
        self._kernels[PAINTED] = painter

    def choose_for_map(self, node: Node) -> torch.dtype:
        """Return the type of a map of a content."""
        return self.arithmetic.choose_for_map(node, self.architecture)

    def choose_for_store(self, node: Node) -> torch.dtype:
        """Return the type that a map of a content is stored in."""
        return self.arithmetic.choose_for_store(node, self.architecture)

    def measure(self, samples: Tensor, plan: Plan) -> tuple[Statistics, ...]:
        """Measure a style and the encoder's features at every scale: of every level, the picture first.

        Args:
            samples: [3, H, W], uint8, uint16 or float in 0..1.
            plan: How to go over it; nothing is stored, as one pass is all there is.
        """
        return self._encode(
            samples, Fit(self._style_encoder), replace(plan, store=frozenset()), range(self.depth + 2)
        )

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
        fit = Fit(dict(self._encoder))
        coarsest = self.depth + 1
        own = self._encode(
            samples, fit, plan, range(coarsest if isinstance(coloring, Coloring) else 0, coarsest + 1)
        )
        if not isinstance(coloring, Coloring):
            coloring = coloring(own)
        found = own[-1]
        for step in self._list_passes(plan)[1:-1]:
            node, level = find_folding(step.target)
            first, *rest = self._kernels[node]
            folded = fold_map(first, *find_map(coloring, found, level))
            fit.kernels[node] = self._place(node, [folded, *rest])
            found = self._measure(samples, fit, plan, step)
        matrix, offset = find_map(coloring, found, 0)
        fit.recolor = matrix.float().to(self.device), offset.float().to(self.device)
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
            # Contiguous wherever the rows come from: a product of other strides would round otherwise.
            colors = rows.permute(2, 0, 1).float().contiguous().flatten(1)
            emit(start, torch.addmm(offset.unsqueeze(1), matrix, colors).view(3, *rows.shape[:2]))

        # What this pass could store would be read by nobody.
        painted = self._graph(samples, fit, plan, last=frozenset(fit.stores)).find(PAINTED)
        painted.observers.append(recolor)
        self._pull(painted, 0, plan.tile, plan.ceiling)

    def _encode(self, samples: Tensor, fit: Fit, plan: Plan, levels: range) -> tuple[Statistics, ...]:
        """Encode a picture and measure some levels."""
        step = self._list_passes(plan)[0]
        graph = self._graph(samples, fit, plan, step.made - step.last)
        maps = [graph.find(Node("features", level - 1)) if level else graph.picture for level in levels]
        accumulators = [Accumulator(each) for each in maps]
        self._pull(graph.find(Node("features", self.depth)), self.depth, plan.tile, plan.ceiling)
        found = [accumulator.result() for accumulator in accumulators]
        return tuple(found if levels.start else [in_unit_range(found[0]), *found[1:]])

    def _measure(self, samples: Tensor, fit: Fit, plan: Plan, step: Pass) -> Statistics:
        """Measure a map of the decoder; a picture's colours in 0..1."""
        graph = self._graph(samples, fit, plan, step.made - step.last, step.last)
        sink = graph.find(step.target)
        accumulator = Accumulator(sink)
        self._pull(sink, step.target.scale, plan.tile << graph.finest, plan.ceiling)
        for each in step.last - step.made:
            del fit.stores[each]
        found = accumulator.result()
        return in_unit_range(found) if step.target.kind == "painted" else found

    def _list_passes(self, plan: Plan) -> tuple[Pass, ...]:
        return list_passes(self.depth, plan.store)

    @staticmethod
    def _pull(sink: FeatureMap, scale: int, tile: int, ceiling: int | None) -> None:
        """Compute a map strip by strip, and look at the memory after each."""

        def look(start: int, rows: Tensor) -> None:
            nonlocal ceiling
            ceiling = None if ceiling is None else keep_resident_below(ceiling)

        if ceiling is not None:
            sink.observers.append(look)
        pull(sink, scale, tile)

    def _graph(
        self,
        samples: Tensor,
        fit: Fit,
        plan: Plan,
        store: frozenset[Node] = frozenset(),
        last: frozenset[Node] = frozenset(),
    ) -> Graph:
        picture = PictureMap(samples, fit.kernels[Node("features", 0)][0].weight.dtype, self.device)
        return Graph(self, picture, fit.kernels, fit.stores, store, last, halve=plan.halve)

    def _place(self, node: Node, kernels: Sequence[Kernel]) -> list[Kernel]:
        return [
            place_kernel(kernel, self.arithmetic.choose(node, index), self.device)
            for index, kernel in enumerate(kernels)
        ]


def find_folding(target: Node) -> tuple[Node, int]:
    """Return the map whose convolutions lead to a measured one, and the level of what they read."""
    if target.kind == "painted":
        return target, 1
    return Node("upper", target.scale), target.scale + 2


def find_map(coloring: Coloring, found: Statistics, level: int) -> tuple[Tensor, Tensor]:
    """Return the map to the statistics of a level; that of colours is between pictures of 0..255."""
    matrix, offset = coloring.map_from(found, level)
    return matrix, offset if level else WHITE * offset


def in_unit_range(colors: Statistics) -> Statistics:
    """Turn statistics of a picture in 0..255 into those of the same in 0..1."""
    return colors._replace(mean=colors.mean / WHITE, covariance=colors.covariance / WHITE**2)
