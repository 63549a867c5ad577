"""Run a network over pictures of any size: the passes that measure, and the pass that computes the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..linalg import Statistics
from ..model import Autoencoder
from ..transfer import TransferTarget
from ..transfer.color_curves import OUTPUT_PIXELS
from ..transfer.content_moments import ContentMoments
from ..transfer.patch_matching import MAX_PATCHES, PatchBank
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
from .memory_plan import StreamingPlan, divide_work
from .output_image import find_color_transfers, measure_colors, transfer_colors
from .process_memory import limit_resident_memory
from .regions import (
    NO_WEIGHTS,
    AffineMap,
    Levels,
    PixelWeights,
    RegionStyle,
    borrow_statistics,
    find_targets,
    sample_weights,
)
from .resampling import WHITE, in_unit_range
from .streamed_maps import FeatureMap, Observer, ProgressCallback, StatisticsAccumulator, WorkSpan, run
from .streaming_layers import ConvParameters, PictureMap, read_parameters

# Number of patches of a content by which the use of a style's patches is balanced.
QUERY_PATCHES = 512


class NetworkRunner:
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
        levels, _ = self._encode(samples, fitted, plan, range(self.depth + 2), WorkSpan(progress, 0, 1))
        return tuple(level for (level,) in levels)

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
        passes = list_passes(fitted.architecture, plan.store)
        passes = passes[: [step.target for step in passes].index(finest) + 1]
        spans = divide_work(self.architecture, passes, progress)
        scale, wanted = self.depth, range(self.depth + 2)
        stride = self._matcher.piece_stride(scale)
        measured, patches = self._encode(samples, fitted, plan, wanted, spans[0], stride, MAX_PATCHES)
        levels = tuple(level for (level,) in measured)
        target = TransferTarget(levels, "wct")
        found = levels[-1]
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
        fitted = self._begin(styles, weights)
        architecture = fitted.architecture
        passes = list_passes(architecture, plan.store)
        spans = divide_work(self.architecture, passes, progress)
        fitted.done = spans[-1].start
        known = all(isinstance(style.target, TransferTarget) for style in styles)
        levels = range(self.depth + 1 if known else 0, self.depth + 2)
        own, patches = self._encode(
            samples, fitted, plan, levels, spans[0], 1, QUERY_PATCHES if architecture.key_widths else 0
        )
        measured, found = passes[0].target, list(own[-1])
        fitted.moments = ContentMoments(own, [found])
        if not known:
            counts = fitted.weights.statistics
            regions = [None] if counts is None else [each[None] for each in counts.samples]
            fitted.moments.quantiles.extend(measure_colors(samples, region) for region in regions)
        targets = find_targets(styles, fitted.moments)
        for step, span in zip(passes[1:-1], spans[1:-1], strict=True):
            self._fold(fitted, styles, targets, found, measured, patches)
            measured = step.target
            chooses = measured.kind == "merged" and architecture.key_scale(measured.scale) == measured.scale
            most = OUTPUT_PIXELS if measured == OUTPUT else QUERY_PATCHES if chooses else 0
            found, patches = self._measure(samples, fitted, plan, step, span, 1, most)
            fitted.moments.found.append(found)
        self._fold(fitted, styles, targets, found, measured, patches)
        return fitted

    def fold(
        self, styles: Sequence[RegionStyle], moments: ContentMoments, weights: PixelWeights = NO_WEIGHTS
    ) -> FittedNetwork:
        """Return what `fit` returns for a content of such moments, which is not looked at; nothing is stored.

        Args:
            styles: What each region is given.
            moments: Moments of the content.
            weights: How the pixels of the content count, and the regions' shares of them.
        """
        fitted = self._begin(styles, weights)
        fitted.moments, targets = moments, find_targets(styles, moments)
        for step, found in zip(list_passes(fitted.architecture, frozenset()), moments.found, strict=False):
            self._fold(fitted, styles, targets, found, step.target, None)
        return fitted

    def _begin(self, styles: Sequence[RegionStyle], weights: PixelWeights) -> FittedNetwork:
        """Return a network that is not fitted yet."""
        matches = any(style.matches for style in styles)
        architecture = self.architecture if matches else self.plain_architecture
        return FittedNetwork(dict(self._encoder), architecture, weights=weights)

    def _fold(
        self,
        fitted: FittedNetwork,
        styles: Sequence[RegionStyle],
        targets: Sequence[TransferTarget],
        found: Levels,
        measured: Node,
        patches: Tensor | None,
    ) -> None:
        """Add to a network what follows from the statistics of a map, and from some of its patches."""
        if measured == OUTPUT:
            kept = [style.keeps_pixels for style in styles]
            counts, colors = fitted.weights.statistics, fitted.moments.colors
            transfers = find_color_transfers(targets, found, kept, colors, patches, counts)
            fitted.colors.extend(transfer.to(self.device) for transfer in transfers)
        elif measured == decoder_input(measured.scale, fitted.architecture):
            self._add_transfers(fitted, targets, found, measured.scale)
        else:
            self._add_matching(fitted, styles, found, measured.scale, patches)

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
            fitted.transfers[node] = [self._place_map(*each) for each in maps]
        fitted.parameters[node] = self._place(node, [first, *rest])

    def _add_matching(
        self,
        fitted: FittedNetwork,
        styles: Sequence[RegionStyle],
        found: Levels,
        scale: int,
        patches: Tensor | None,
    ) -> None:
        """Add what is matched at a scale; without patches, the biases are those of the moments."""
        weights: Sequence[Tensor | None] = [None] * len(styles)
        if patches is not None and len(patches) and fitted.weights.statistics is not None:
            samples = fitted.weights.statistics.samples
            weights = list(sample_weights(scale, samples, QUERY_PATCHES))
        fitted.matching[scale] = []
        banks = [style.bank if style.matches else None for style in styles]
        pieces, first = self._matcher.join(banks, scale), 0
        known = fitted.moments.biases.get(scale, [None] * len(styles))
        biases: list[Tensor | None] = []
        for index, (style, bank, region) in enumerate(zip(styles, banks, found, strict=True)):
            weight, bias = weights[index], known[index]
            match = style.match_factor(scale)
            matching, keys = self._matcher.prepare(bank, match, scale, region, patches, weight, bias)
            biases.append(matching.bias)
            fitted.matching[scale].append(matching._replace(pieces=pieces, first=first))
            first += 0 if bank is None else len(bank.pieces[scale])
            if keys is not None:
                node = Node("matches", scale)
                fitted.parameters[node] = self._place(node, [keys])
        if patches is not None:
            fitted.moments.biases[scale] = biases

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

        output.observers.append(
            lambda start, rows: emit(start, transfer_colors(rows, fitted.colors, shares, start))
        )
        self._run(output, 0, plan.tile, plan, WorkSpan(progress, fitted.done, 1))

    def _encode(
        self,
        samples: Tensor,
        fitted: FittedNetwork,
        plan: StreamingPlan,
        levels: range,
        span: WorkSpan,
        stride: int = 1,
        most: int = 0,
    ) -> tuple[list[list[Statistics]], Tensor]:
        """Encode a picture, measure each region at some levels, and sample the deepest features."""
        step = list_passes(fitted.architecture, plan.store)[0]
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
        return found, sampler.result()

    def _measure(
        self,
        samples: Tensor,
        fitted: FittedNetwork,
        plan: StreamingPlan,
        step: Pass,
        span: WorkSpan,
        stride: int,
        most: int,
    ) -> tuple[list[Statistics], Tensor]:
        """Measure each region of a map of the decoder, the output's colors in 0..1; sample its patches."""
        graph = self._graph(samples, fitted, plan, step.stored - step.released, step.released)
        sink = graph.find(step.target)
        accumulator = StatisticsAccumulator(sink, fitted.weights.statistics, step.target.scale)
        sampler = PatchSampler(sink, stride, most, margin=0 if step.target == OUTPUT else 1)
        self._run(sink, step.target.scale, plan.tile << graph.finest_scale, plan, span)
        for each in step.released - step.stored:
            del fitted.stores[each]
        found = borrow_statistics(accumulator.result())
        found = [in_unit_range(region) for region in found] if step.target.kind == "output" else found
        return found, sampler.result()

    @staticmethod
    def _run(sink: FeatureMap, scale: int, tile: int, plan: StreamingPlan, span: WorkSpan) -> None:
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

    def _place_map(self, matrix: Tensor, offset: Tensor) -> AffineMap:
        return matrix.float().to(self.device), offset.float().to(self.device)

    def _place(self, node: Node, parameters: Sequence[ConvParameters]) -> list[ConvParameters]:
        return [
            each.to(self.precision.convolution_dtype(node, index), self.device)
            for index, each in enumerate(parameters)
        ]
