"""Run a network over pictures of any size: the passes that measure, and the pass that computes the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from ..linalg import Statistics
from ..model import Architecture, Autoencoder
from ..transfer import TransferTarget
from ..transfer.matching import MAX_PATCHES, PatchBank
from .device import PrecisionPolicy
from .feature_graph import (
    OUTPUT,
    FeatureGraph,
    Node,
    Pass,
    decoder_input,
    list_passes,
    merged_map,
)
from .matching_layers import PatchMatcher, PatchSampler, ScaleMatching, whiten_patches
from .memory import limit_resident_memory
from .memory_plan import StreamingPlan, count_products
from .streaming import WHITE, FeatureMap, FeatureStore, Observer, StatisticsAccumulator, run
from .streaming_layers import ConvParameters, PictureMap, read_parameters

# Statistics of every level: the picture, then the features of every scale, finest first.
Levels = Sequence[Statistics]
# Number of patches of a content by which the use of a style's patches is balanced.
QUERY_PATCHES = 512
# Called after every strip with the share of the work that is done, 0..1. An exception that it raises ends the
# work and reaches the caller.
ProgressCallback = Callable[[float], None]


@dataclass
class FittedNetwork:
    """A feed-forward network that stylizes one content in one style, as the measuring passes found it.

    Attributes:
        parameters: Convolutions by the map they compute. Those of the decoder contain the transfers.
        architecture: The network's architecture, without matching if no patches are matched.
        matching: What is matched at every scale.
        color_map: Matrix [3, 3] and offset [3] of the color transfer of the output, in 0..255.
        stores: Maps of the content that the passes have stored.
        done: Share of the work that `fit` has done on the content, 0..1; `apply` does the rest.
        alpha: Opacity of the picture that is measured, [1, H, W]; None if all pixels are opaque.
    """

    parameters: dict[Node, list[ConvParameters]]
    architecture: Architecture
    matching: dict[int, ScaleMatching] = field(default_factory=dict)
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
        self.plain_architecture = replace(self.architecture, key_widths=(), match_strengths=())
        self.depth = self.architecture.depth
        encoder = [read_parameters(scale) for scale in model.encoder.scales]
        encoder[0][0] = encoder[0][0].scale_inputs(WHITE)
        encoded = {Node("encoded", scale): parameters for scale, parameters in enumerate(encoder)}
        self._encoder = {node: self._place(node, parameters) for node, parameters in encoded.items()}
        self.skips = [skip.detach().flatten() for skip in model.decoder.skips]
        # The decoder's convolutions, into which transfers will be folded.
        finest, *coarser = [read_parameters(scale) for scale in model.decoder.scales]
        finest[-1] = finest[-1].scale_outputs(WHITE)
        self._decoder = {Node("decoded", scale): parameters for scale, parameters in enumerate(coarser)}
        self._decoder[OUTPUT] = finest
        self._matcher = PatchMatcher(model.decoder, device)

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
        fitted = FittedNetwork(self._encoder, self.plain_architecture, alpha=alpha)
        levels, _ = self._encode(samples, fitted, plan, range(self.depth + 2), _Span(progress, 0, 1))
        return levels

    def measure_with_patches(
        self,
        samples: Tensor,
        plan: StreamingPlan,
        progress: ProgressCallback | None = None,
        alpha: Tensor | None = None,
    ) -> tuple[tuple[Statistics, ...], PatchBank | None]:
        """Measure a style as `measure` does, and collect patches of what the decoder makes of it.

        Returns:
            Statistics of every level, and the patches; None from a network that matches none.
        """
        scales = [scale for scale in range(self.depth + 1) if self.architecture.key_scale(scale) is not None]
        if not scales:
            return self.measure(samples, plan, progress, alpha), None
        finest = merged_map(scales[0], self.plain_architecture)
        plan = replace(plan, store=frozenset(node for node in plan.store if node.scale >= scales[0]))
        fitted = FittedNetwork(dict(self._encoder), self.plain_architecture, alpha=alpha)
        passes = self._list_passes(fitted, plan)
        passes = passes[: [step.target for step in passes].index(finest) + 1]
        spans = self._spans(passes, progress)
        levels, patches = self._encode(
            samples,
            fitted,
            plan,
            range(self.depth + 2),
            spans[0],
            self._matcher.piece_stride(self.depth),
            MAX_PATCHES,
        )
        target = TransferTarget(levels, "wct")
        found, scale = levels[-1], self.depth
        pieces = {}
        for step, span in zip(passes[1:], spans[1:], strict=True):
            pieces[scale] = whiten_patches(patches, found)
            self._fold_transfer(fitted, target, found, scale)
            scale = step.target.scale
            found, patches = self._measure(
                samples, fitted, plan, step, span, self._matcher.piece_stride(scale), MAX_PATCHES
            )
        pieces[scale] = whiten_patches(patches, found)
        return levels, self._matcher.build_bank(pieces, samples.shape[1:], alpha)

    def fit(
        self,
        samples: Tensor,
        target: TransferTarget | Callable[[Levels], TransferTarget],
        plan: StreamingPlan,
        progress: ProgressCallback | None = None,
        alpha: Tensor | None = None,
        bank: PatchBank | None = None,
        match: float = 1.0,
    ) -> FittedNetwork:
        """Find the map of every level that gives the content the statistics of its target.

        Args:
            samples: The content, [3, H, W], uint8, uint16 or float in 0..1.
            target: The statistics to reach, or a function that returns them for those of the content.
            plan: How to go over the content.
            progress: Called after every strip; the last pass, `apply`, is part of the work.
            alpha: As for `measure`.
            bank: Patches of the style, which are matched where the network does that; None matches none.
            match: Factor for the strength of matching, 0..1.
        """
        matches = bank is not None and match > 0
        architecture = self.architecture if matches else self.plain_architecture
        fitted = FittedNetwork(dict(self._encoder), architecture, alpha=alpha)
        passes = self._list_passes(fitted, plan)
        spans = self._spans(passes, progress)
        fitted.done = spans[-1].start
        coarsest = self.depth + 1
        levels = range(coarsest if isinstance(target, TransferTarget) else 0, coarsest + 1)
        own, patches = self._encode(
            samples, fitted, plan, levels, spans[0], 1, QUERY_PATCHES if matches else 0
        )
        if not isinstance(target, TransferTarget):
            target = target(own)
        found, measured = own[-1], passes[0].target
        for step, span in zip(passes[1:-1], spans[1:-1], strict=True):
            if measured == decoder_input(measured.scale, architecture):
                self._fold_transfer(fitted, target, found, measured.scale)
            else:
                assert bank is not None
                scale = measured.scale
                matching, keys = self._matcher.prepare(bank, match, scale, found, patches)
                fitted.matching[scale] = matching
                if keys is not None:
                    node = Node("matches", scale)
                    fitted.parameters[node] = self._place(node, [keys])
            measured = step.target
            chooses = measured.kind == "merged" and architecture.key_scale(measured.scale) == measured.scale
            most = QUERY_PATCHES if chooses else 0
            found, patches = self._measure(samples, fitted, plan, step, span, 1, most)
        matrix, offset = target.find_map(found, 0)
        fitted.color_map = matrix.float().to(self.device), (WHITE * offset).float().to(self.device)
        return fitted

    def release_patches(self) -> None:
        """Free what is kept ready for the next content in the same style."""
        self._matcher.release()

    def _fold_transfer(
        self, fitted: FittedNetwork, target: TransferTarget, found: Statistics, scale: int
    ) -> None:
        """Fold the transfer of a scale into the convolution that follows it."""
        node = Node("decoded", scale - 1) if scale else OUTPUT
        first, *rest = self._decoder[node]
        folded = first.fold_map(*target.find_map(found, scale + 1))
        fitted.parameters[node] = self._place(node, [folded, *rest])

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
        stride: int = 1,
        most: int = 0,
    ) -> tuple[tuple[Statistics, ...], Tensor]:
        """Encode a picture, measure some levels, and sample patches of the deepest features."""
        step = self._list_passes(fitted, plan)[0]
        graph = self._graph(samples, fitted, plan, step.stored - step.released)
        maps = [graph.find(Node("encoded", level - 1)) if level else graph.picture for level in levels]
        accumulators = [
            StatisticsAccumulator(each, graph.weights(max(0, level - 1)))
            for each, level in zip(maps, levels, strict=True)
        ]
        sink = graph.find(step.target)
        sampler = PatchSampler(sink, stride, most)
        self._run(sink, self.depth, plan.tile, plan, span)
        found = [accumulator.result() for accumulator in accumulators]
        found = found if levels.start else [in_unit_range(found[0]), *found[1:]]
        return tuple(found), sampler.result()

    def _measure(
        self,
        samples: Tensor,
        fitted: FittedNetwork,
        plan: StreamingPlan,
        step: Pass,
        span: _Span,
        stride: int,
        most: int,
    ) -> tuple[Statistics, Tensor]:
        """Measure a map of the decoder, the output's colors in 0..1, and sample its patches."""
        graph = self._graph(samples, fitted, plan, step.stored - step.released, step.released)
        sink = graph.find(step.target)
        accumulator = StatisticsAccumulator(sink, graph.weights(step.target.scale))
        sampler = PatchSampler(sink, stride, most)
        self._run(sink, step.target.scale, plan.tile << graph.finest_scale, plan, span)
        for each in step.released - step.stored:
            del fitted.stores[each]
        found = accumulator.result()
        found = in_unit_range(found) if step.target.kind == "output" else found
        return found, sampler.result()

    @staticmethod
    def _list_passes(fitted: FittedNetwork, plan: StreamingPlan) -> tuple[Pass, ...]:
        return list_passes(fitted.architecture, plan.store)

    def _spans(self, passes: Sequence[Pass], progress: ProgressCallback | None) -> list[_Span]:
        """Divide the work among passes, by their products."""
        work = [sum(count_products(self.architecture, node) for node in step.computed) for step in passes]
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
            fitted.architecture,
            picture,
            fitted.parameters,
            fitted.matching,
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


def in_unit_range(colors: Statistics) -> Statistics:
    """Convert statistics of a picture in 0..255 into those of the same picture in 0..1."""
    return colors._replace(mean=colors.mean / WHITE, covariance=colors.covariance / WHITE**2)
