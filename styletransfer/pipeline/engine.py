"""Run a network over pictures of any size: the passes that measure, and the pass that computes the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from ..linalg import Statistics
from ..model import Autoencoder
from ..transfer import TransferTarget
from ..transfer.matching import MAX_PATCHES, PatchBank
from .base import ProgressCallback
from .device import PrecisionPolicy
from .feature_graph import (
    OUTPUT,
    FeatureGraph,
    FittedNetwork,
    Node,
    Pass,
    decoder_input,
    list_passes,
    merged_map,
)
from .matching_layers import PatchMatcher, PatchSampler, whiten_patches
from .memory import limit_resident_memory
from .memory_plan import StreamingPlan, count_products
from .regions import (
    NO_WEIGHTS,
    Levels,
    PixelWeights,
    RegionStyle,
    borrow_statistics,
    mix_maps,
    sample_weights,
)
from .resampling import WHITE
from .streaming import FeatureMap, Observer, StatisticsAccumulator, run
from .streaming_layers import ConvParameters, PictureMap, read_parameters

# Number of patches of a content by which the use of a style's patches is balanced.
QUERY_PATCHES = 512


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
        fitted = FittedNetwork(
            self._encoder, self.plain_architecture, weights=PixelWeights.of(None, alpha, self.device)
        )
        (levels,), _ = self._encode(samples, fitted, plan, range(self.depth + 2), _Span(progress, 0, 1))
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
        fitted = FittedNetwork(
            dict(self._encoder), self.plain_architecture, weights=PixelWeights.of(None, alpha, self.device)
        )
        passes = self._list_passes(fitted, plan)
        passes = passes[: [step.target for step in passes].index(finest) + 1]
        spans = self._spans(passes, progress)
        (levels,), patches = self._encode(
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
            self._add_transfers(fitted, [target], [found], scale)
            scale = step.target.scale
            (found,), patches = self._measure(
                samples, fitted, plan, step, span, self._matcher.piece_stride(scale), MAX_PATCHES
            )
        pieces[scale] = whiten_patches(patches, found)
        return levels, self._matcher.build_bank(pieces, alpha)

    def fit(
        self,
        samples: Tensor,
        styles: Sequence[RegionStyle],
        plan: StreamingPlan,
        progress: ProgressCallback | None = None,
        weights: PixelWeights = NO_WEIGHTS,
    ) -> FittedNetwork:
        """Find the maps of every level that give the content the statistics of its target.

        Args:
            samples: The content, [3, H, W], uint8, uint16 or float in 0..1.
            styles: What each region is given; one entry for a content without regions.
            plan: How to go over the content.
            progress: Called after every strip; the last pass, `apply`, is part of the work.
            weights: How the pixels count, and the regions' shares of them.
        """
        matches = any(style.matches for style in styles)
        architecture = self.architecture if matches else self.plain_architecture
        fitted = FittedNetwork(dict(self._encoder), architecture, weights=weights)
        passes = self._list_passes(fitted, plan)
        spans = self._spans(passes, progress)
        fitted.done = spans[-1].start
        coarsest = self.depth + 1
        known = all(isinstance(style.target, TransferTarget) for style in styles)
        levels = range(coarsest if known else 0, coarsest + 1)
        own, patches = self._encode(
            samples, fitted, plan, levels, spans[0], 1, QUERY_PATCHES if matches else 0
        )
        targets = [
            style.target if isinstance(style.target, TransferTarget) else style.target(region)
            for style, region in zip(styles, own, strict=True)
        ]
        found, measured = [region[-1] for region in own], passes[0].target
        for step, span in zip(passes[1:-1], spans[1:-1], strict=True):
            if measured == decoder_input(measured.scale, architecture):
                self._add_transfers(fitted, targets, found, measured.scale)
            else:
                self._add_matching(fitted, styles, found, measured.scale, patches)
            measured = step.target
            chooses = measured.kind == "merged" and architecture.key_scale(measured.scale) == measured.scale
            most = QUERY_PATCHES if chooses else 0
            found, patches = self._measure(samples, fitted, plan, step, span, 1, most)
        for target, style, region in zip(targets, styles, found, strict=True):
            # A region that keeps its pixels adds nothing to the result.
            matrix, offset = target.find_map(region, 0)
            share = 0 if style.keeps_pixels else 1
            fitted.color_maps.append(
                ((share * matrix).float().to(self.device), (share * WHITE * offset).float().to(self.device))
            )
        return fitted

    def release_patches(self) -> None:
        """Free what is kept ready for the next content in the same style."""
        self._matcher.release()

    def _add_transfers(
        self, fitted: FittedNetwork, targets: Sequence[TransferTarget], found: Levels, scale: int
    ) -> None:
        """Add the transfers of a scale: one is folded into the convolution that follows it."""
        node = Node("decoded", scale - 1) if scale else OUTPUT
        first, *rest = self._decoder[node]
        maps = [target.find_map(region, scale + 1) for target, region in zip(targets, found, strict=True)]
        if len(maps) == 1:
            first = first.fold_map(*maps[0])
        else:
            fitted.transfers[node] = [
                (matrix.float().to(self.device), offset.float().to(self.device)) for matrix, offset in maps
            ]
        fitted.parameters[node] = self._place(node, [first, *rest])

    def _add_matching(
        self,
        fitted: FittedNetwork,
        styles: Sequence[RegionStyle],
        found: Levels,
        scale: int,
        patches: Tensor,
    ) -> None:
        """Add what is matched at a scale."""
        weights: Sequence[Tensor | None] = [None] * len(styles)
        if len(patches) and fitted.weights.statistics is not None:
            samples = fitted.weights.statistics.samples
            weights = list(sample_weights(scale, samples, QUERY_PATCHES))
        fitted.matching[scale] = []
        banks = [style.bank if style.matches else None for style in styles]
        pieces, first = self._matcher.join(banks, scale), 0
        for style, bank, region, weight in zip(styles, banks, found, weights, strict=True):
            match = style.match_factor(scale)
            matching, keys = self._matcher.prepare(bank, match, scale, region, patches, weight)
            fitted.matching[scale].append(matching._replace(pieces=pieces, first=first))
            first += 0 if bank is None else len(bank.pieces[scale])
            if keys is not None:
                node = Node("matches", scale)
                fitted.parameters[node] = self._place(node, [keys])

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
            emit: Receives the index of the first row and a strip [3, h, W], near 0..255, not clamped. Regions
                that keep their pixels count as black there.
            progress: Called after every strip.
        """
        # No later pass would read what this one could store.
        graph = self._graph(samples, fitted, plan, last_use=frozenset(fitted.stores))
        output, shares = graph.find(OUTPUT), fitted.weights.shares

        def transfer_colors(start: int, rows: Tensor) -> None:
            # Contiguous wherever the rows come from, because products of other strides round differently.
            if shares is not None:
                mixed = mix_maps(rows.float(), fitted.color_maps, shares, 0, start)
                emit(start, mixed.permute(2, 0, 1))
                return
            matrix, offset = fitted.color_maps[0]
            colors = rows.permute(2, 0, 1).float().contiguous().flatten(1)
            emit(start, torch.addmm(offset.unsqueeze(1), matrix, colors).view(3, *rows.shape[:2]))

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
    ) -> tuple[list[tuple[Statistics, ...]], Tensor]:
        """Encode a picture, measure levels of each region, and sample patches of the deepest features."""
        step = self._list_passes(fitted, plan)[0]
        graph = self._graph(samples, fitted, plan, step.stored - step.released)
        maps = [graph.find(Node("encoded", level - 1)) if level else graph.picture for level in levels]
        accumulators = [
            StatisticsAccumulator(each, fitted.weights.statistics, max(0, level - 1))
            for each, level in zip(maps, levels, strict=True)
        ]
        sink = graph.find(step.target)
        sampler = PatchSampler(sink, stride, most)
        self._run(sink, self.depth, plan.tile, plan, span)
        found = [borrow_statistics(each.result()) for each in accumulators]
        if not levels.start:
            found[0] = [in_unit_range(region) for region in found[0]]
        return list(zip(*found, strict=True)), sampler.result()

    def _measure(
        self,
        samples: Tensor,
        fitted: FittedNetwork,
        plan: StreamingPlan,
        step: Pass,
        span: _Span,
        stride: int,
        most: int,
    ) -> tuple[list[Statistics], Tensor]:
        """Measure each region of a map of the decoder, the output's colors in 0..1; sample its patches."""
        graph = self._graph(samples, fitted, plan, step.stored - step.released, step.released)
        sink = graph.find(step.target)
        accumulator = StatisticsAccumulator(sink, fitted.weights.statistics, step.target.scale)
        sampler = PatchSampler(sink, stride, most)
        self._run(sink, step.target.scale, plan.tile << graph.finest_scale, plan, span)
        for each in step.released - step.stored:
            del fitted.stores[each]
        found = borrow_statistics(accumulator.result())
        found = [in_unit_range(region) for region in found] if step.target.kind == "output" else found
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
        half = plan.half_precision
        return FeatureGraph(self, fitted, picture, store, last_use, half_precision=half)

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
