"""Run a network over pictures of any size: the passes that measure, and the pass that computes the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from ..linalg import Statistics
from ..model import Autoencoder
from ..transfer import TransferTarget
from .device import PrecisionPolicy
from .feature_graph import OUTPUT, FeatureGraph, Node, Pass, list_passes
from .memory import limit_resident_memory
from .memory_plan import StreamingPlan, count_products
from .streaming import WHITE, FeatureMap, FeatureStore, Observer, StatisticsAccumulator, run
from .streaming_layers import ConvParameters, PictureMap, read_parameters

# Statistics of every level: the picture, then the features of every scale, finest first.
Levels = Sequence[Statistics]
# Called after every strip with the share of the work that is done, 0..1. An exception that it raises ends the
# work and reaches the caller.
ProgressCallback = Callable[[float], None]


@dataclass
class FittedNetwork:
    """A feed-forward network that stylizes one content in one style, as the measuring passes found it.

    Attributes:
        parameters: Convolutions by the map they compute. Those of the decoder contain the transfers.
        color_map: Matrix [3, 3] and offset [3] of the color transfer of the output, in 0..255.
        stores: Maps of the content that the passes have stored.
        done: Share of the work that `fit` has done on the content, 0..1; `apply` does the rest.
        alpha: Opacity of the picture that is measured, [1, H, W]; None if all pixels are opaque.
    """

    parameters: dict[Node, list[ConvParameters]]
    color_map: tuple[Tensor, Tensor] | None = None
    stores: dict[Node, FeatureStore] = field(default_factory=dict)
    done: float = 0.0
    alpha: Tensor | None = None


class Engine:
    """A network that is ready to run in one precision on one device.

    Args:
        model: The network.
        precision: Types of the convolutions and of the maps between them.
        device: Device of the convolutions; statistics are decomposed on the CPU.
    """

    def __init__(self, model: Autoencoder, precision: PrecisionPolicy, device: torch.device) -> None:
        self.precision, self.device = precision, device
        self.architecture = model.architecture
        self.depth = len(model.architecture.widths) - 1
        self.pooling = model.architecture.pooling
        self.negative_slope = model.architecture.negative_slope
        encoder = [read_parameters(scale) for scale in model.encoder.scales]
        encoder[0][0] = encoder[0][0].scale_inputs(WHITE)
        encoded = {Node("encoded", scale): parameters for scale, parameters in enumerate(encoder)}
        self._encoder = {node: self._place(node, parameters) for node, parameters in encoded.items()}
        self._style_encoder = {
            node: [each.to(precision.style, device) for each in parameters]
            for node, parameters in encoded.items()
        }
        self.skips = [skip.detach().flatten() for skip in model.decoder.skips]
        # The decoder's convolutions, into which transfers will be folded.
        finest, *coarser = [read_parameters(scale) for scale in model.decoder.scales]
        finest[-1] = finest[-1].scale_outputs(WHITE)
        self._decoder = {Node("decoded", scale): parameters for scale, parameters in enumerate(coarser)}
        self._decoder[OUTPUT] = finest

    def map_dtype(self, node: Node) -> torch.dtype:
        """Return the type in which a map of a content is computed."""
        return self.precision.map_dtype(node, self.architecture)

    def store_dtype(self, node: Node) -> torch.dtype:
        """Return the type in which a map of a content is stored."""
        return self.precision.store_dtype(node, self.architecture)

    def measure(
        self,
        samples: Tensor,
        plan: StreamingPlan,
        progress: ProgressCallback | None = None,
        alpha: Tensor | None = None,
    ) -> tuple[Statistics, ...]:
        """Measure the colors of a style and the encoder's features at every scale.

        Args:
            samples: [3, H, W], uint8, uint16 or float in 0..1.
            plan: How to go over the style. Nothing is stored, because there is only one pass.
            progress: Called after every strip.
            alpha: Opacity [1, H, W] with which pixels count; None if all are opaque.

        Returns:
            Statistics of every level, the picture's first.
        """
        plan = replace(plan, store=frozenset())
        fitted = FittedNetwork(self._style_encoder, alpha=alpha)
        return self._encode(samples, fitted, plan, range(self.depth + 2), _Span(progress, 0, 1))

    def fit(
        self,
        samples: Tensor,
        target: TransferTarget | Callable[[Levels], TransferTarget],
        plan: StreamingPlan,
        progress: ProgressCallback | None = None,
        alpha: Tensor | None = None,
    ) -> FittedNetwork:
        """Find the map of every level that gives the content the statistics of its target.

        Args:
            samples: The content, [3, H, W], uint8, uint16 or float in 0..1.
            target: The statistics to reach, or a function that returns them for those of the content.
            plan: How to go over the content.
            progress: Called after every strip; the last pass, `apply`, is part of the work.
            alpha: As for `measure`.
        """
        spans = self._spans(plan, progress)
        fitted = FittedNetwork(dict(self._encoder), done=spans[-1].start, alpha=alpha)
        coarsest = self.depth + 1
        levels = range(coarsest if isinstance(target, TransferTarget) else 0, coarsest + 1)
        own = self._encode(samples, fitted, plan, levels, spans[0])
        if not isinstance(target, TransferTarget):
            target = target(own)
        found = own[-1]
        for step, span in zip(self._list_passes(plan)[1:-1], spans[1:-1], strict=True):
            node, level = find_consumer(step.target)
            first, *rest = self._decoder[node]
            folded = first.fold_map(*find_map(target, found, level))
            fitted.parameters[node] = self._place(node, [folded, *rest])
            found = self._measure(samples, fitted, plan, step, span)
        matrix, offset = find_map(target, found, 0)
        fitted.color_map = matrix.float().to(self.device), offset.float().to(self.device)
        return fitted

    def apply(
        self,
        samples: Tensor,
        fitted: FittedNetwork,
        plan: StreamingPlan,
        emit: Observer,
        progress: ProgressCallback | None = None,
    ) -> None:
        """Compute the result with a network that was fitted to the content or to a copy of it.

        Args:
            samples: The content, [3, H, W].
            fitted: What `fit` returned; its stores are used up.
            plan: How to go over the content.
            emit: Receives the index of the first row and a strip [3, h, W], near 0..255, not clamped.
            progress: Called after every strip.
        """
        assert fitted.color_map is not None
        matrix, offset = fitted.color_map

        def transfer_colors(start: int, rows: Tensor) -> None:
            # Contiguous wherever the rows come from, because products of other strides round differently.
            colors = rows.permute(2, 0, 1).float().contiguous().flatten(1)
            emit(start, torch.addmm(offset.unsqueeze(1), matrix, colors).view(3, *rows.shape[:2]))

        # No later pass would read what this one could store.
        output = self._graph(samples, fitted, plan, last_use=frozenset(fitted.stores)).find(OUTPUT)
        output.observers.append(transfer_colors)
        self._run(output, 0, plan.tile, plan, _Span(progress, fitted.done, 1))

    def _encode(
        self,
        samples: Tensor,
        fitted: FittedNetwork,
        plan: StreamingPlan,
        levels: range,
        span: _Span,
    ) -> tuple[Statistics, ...]:
        """Encode a picture and measure some levels."""
        step = self._list_passes(plan)[0]
        graph = self._graph(samples, fitted, plan, step.stored - step.released)
        maps = [graph.find(Node("encoded", level - 1)) if level else graph.picture for level in levels]
        accumulators = [
            StatisticsAccumulator(each, graph.weights(max(0, level - 1)))
            for each, level in zip(maps, levels, strict=True)
        ]
        self._run(graph.find(Node("encoded", self.depth)), self.depth, plan.tile, plan, span)
        found = [accumulator.result() for accumulator in accumulators]
        return tuple(found if levels.start else [in_unit_range(found[0]), *found[1:]])

    def _measure(
        self, samples: Tensor, fitted: FittedNetwork, plan: StreamingPlan, step: Pass, span: _Span
    ) -> Statistics:
        """Measure a map of the decoder; the colors of the output in 0..1."""
        graph = self._graph(samples, fitted, plan, step.stored - step.released, step.released)
        sink = graph.find(step.target)
        accumulator = StatisticsAccumulator(sink, graph.weights(step.target.scale))
        self._run(sink, step.target.scale, plan.tile << graph.finest_scale, plan, span)
        for each in step.released - step.stored:
            del fitted.stores[each]
        found = accumulator.result()
        return in_unit_range(found) if step.target.kind == "output" else found

    def _list_passes(self, plan: StreamingPlan) -> tuple[Pass, ...]:
        return list_passes(self.depth, plan.store)

    def _spans(self, plan: StreamingPlan, progress: ProgressCallback | None) -> list[_Span]:
        """Divide the work among the passes, by their products."""
        work = [
            sum(count_products(self.architecture, node) for node in step.computed)
            for step in self._list_passes(plan)
        ]
        ends = list(accumulate(work, initial=0.0))
        return [_Span(progress, start / ends[-1], stop / ends[-1]) for start, stop in pairwise(ends)]

    @staticmethod
    def _run(sink: FeatureMap, scale: int, tile: int, plan: StreamingPlan, span: _Span) -> None:
        """Compute a map strip by strip; after each strip check the memory and report the progress."""
        ceiling, height = plan.memory_ceiling, sink.shape.height

        def after_strip(start: int, rows: Tensor) -> None:
            nonlocal ceiling
            ceiling = None if ceiling is None else limit_resident_memory(ceiling, strict=plan.strict)
            span.report((start + len(rows)) / height)

        # The function must not refer to the sink, because a reference cycle would outlive the pass.
        sink.observers.append(after_strip)
        run(sink, scale, tile)

    def _graph(
        self,
        samples: Tensor,
        fitted: FittedNetwork,
        plan: StreamingPlan,
        store: frozenset[Node] = frozenset(),
        last_use: frozenset[Node] = frozenset(),
    ) -> FeatureGraph:
        dtype = fitted.parameters[Node("encoded", 0)][0].weight.dtype
        picture = PictureMap(samples, dtype, self.device)
        alpha = fitted.alpha
        return FeatureGraph(
            self,
            picture,
            fitted.parameters,
            fitted.stores,
            store,
            last_use,
            half_precision=plan.half_precision,
            alpha=None if alpha is None else PictureMap(alpha, torch.float32, self.device),
        )

    def _place(self, node: Node, parameters: Sequence[ConvParameters]) -> list[ConvParameters]:
        return [
            each.to(self.precision.convolution_dtype(node, index), self.device)
            for index, each in enumerate(parameters)
        ]


@dataclass(frozen=True)
class _Span:
    """The part of a piece of work that one pass does."""

    callback: ProgressCallback | None
    start: float
    stop: float

    def report(self, share: float) -> None:
        """Report the share of the pass that is done."""
        if self.callback is not None:
            self.callback(self.start + (self.stop - self.start) * share)


def find_consumer(target: Node) -> tuple[Node, int]:
    """Return the map whose convolutions lead to a measured map, and the level of what they read."""
    if target.kind == "output":
        return target, 1
    return Node("decoded", target.scale), target.scale + 2


def find_map(target: TransferTarget, found: Statistics, level: int) -> tuple[Tensor, Tensor]:
    """Return the map to the statistics of a level; the map of the colors is for pictures in 0..255."""
    matrix, offset = target.find_map(found, level)
    return matrix, offset if level else WHITE * offset


def in_unit_range(colors: Statistics) -> Statistics:
    """Convert statistics of a picture in 0..255 into those of the same picture in 0..1."""
    return colors._replace(mean=colors.mean / WHITE, covariance=colors.covariance / WHITE**2)
