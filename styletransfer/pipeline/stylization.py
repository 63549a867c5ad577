"""Measure styles and stylize pictures, as tensors, with one loaded model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from threading import Event, Lock
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..errors import MemoryLimitError, OptionError
from ..model import Autoencoder, LoadedModel, StyleStatistics
from ..options import RuntimeOptions, StylizeOptions, parse_bytes
from ..refinement import Refiner
from ..transfer import TransferTarget
from ..transfer.content_moments import ContentMoments, MomentsRecord
from .base import Pipeline
from .device import PRECISIONS
from .feature_graph import FittedNetwork
from .memory_plan import (
    MIB,
    StreamingPlan,
    default_memory,
    matching_bytes,
    minimum_bytes,
    plan_passes,
    row_bytes,
    waiting_bytes,
)
from .network_runner import NetworkRunner
from .output_image import OutputImage, keep_chroma, measure_colors
from .process_memory import available_memory, is_tuned, resident_memory, return_freed_memory
from .regions import PixelWeights, RegionStyle, find_region_style, select_regions
from .resampling import (
    add_upsampled,
    as_samples,
    as_weights,
    average_blocks,
    convert_samples,
    fade_samples_,
    make_thumbnail,
    white_level,
)
from .streamed_maps import ProgressCallback

# Share of the copy's change that is added to the picture. All of it would cover thin lines of the content,
# and the statistics are reached without.
UNDERPAINTING = 0.8
# Bytes of the regions' shares at all scales, relative to their masks: coarser scales are float32.
SHARES_AT_ALL_SCALES = 3
# From this number of pixels on, freed memory is returned to the system before and during the passes. For
# smaller pictures the time to get it back (0.2 s of 0.6 s at 1024 x 1024) matters more.
TRIM_PIXELS = 2**22


class StylizationPipeline(Pipeline):
    """Paints pictures with an encoder-decoder; see `Pipeline`.

    Args:
        model: An `Autoencoder` with the fingerprint that style statistics carry.
        runtime: Device, precision and memory.
        stop: An event that is checked after every strip.
    """

    paints = True

    def __init__(
        self,
        model: LoadedModel,
        runtime: RuntimeOptions | None = None,
        stop: Event | None = None,
    ) -> None:
        super().__init__(model.fingerprint, runtime, stop)
        assert isinstance(model.network, Autoencoder)
        self._network = model.network
        self.runner = NetworkRunner(model.network, self.precision, self.device)
        self._folding = Lock()
        self._folded: WeakKeyDictionary[ContentMoments, tuple[object, FittedNetwork]] = WeakKeyDictionary()
        self._targets: WeakKeyDictionary[StyleStatistics, tuple[str, TransferTarget]] = WeakKeyDictionary()

    @cached_property
    def _float32_runner(self) -> NetworkRunner:
        """The runner for results of more than eight bits, in which mixed precision would show."""
        if self.precision.name != "mixed":
            return self.runner
        return NetworkRunner(self._network, PRECISIONS["fp32"], self.device)

    def measure(
        self, style: Tensor, alpha: Tensor | None = None, *, exact: bool = False, patches: bool = True
    ) -> StyleStatistics:
        """Compute the statistics of a style picture; see `Pipeline.measure`."""
        runner = self._float32_runner if exact else self.runner
        samples, alpha = as_samples(style), as_weights(alpha)
        with self._computing():
            plan, bank = self._plan(runner, samples, match=patches), None
            if patches:
                levels, bank = runner.measure_with_patches(samples, plan, self._check_stop, alpha)
            else:
                levels = runner.measure(samples, plan, self._check_stop, alpha)
        colors = measure_colors(samples, alpha)
        return StyleStatistics(levels, self.fingerprint, bank=bank, colors=colors)

    def stylize(
        self,
        content: Tensor,
        style: StyleStatistics | Sequence[StyleStatistics],
        options: StylizeOptions,
        dtype: torch.dtype | None = None,
        progress: ProgressCallback | None = None,
        refiner: Refiner | None = None,
        alpha: Tensor | None = None,
        masks: Tensor | None = None,
        moments: MomentsRecord | None = None,
    ) -> Tensor:
        """Stylize a picture; see `Pipeline.stylize`."""
        regions, shares = select_regions(style, masks, keeps_outside=options.outside == "content")
        for each in regions:
            if each is not None:
                self._check_style(each, options)
        if regions == [None]:
            return convert_samples(content, dtype or content.dtype)
        record = moments or MomentsRecord()
        return self._stylize_regions(
            content, regions, shares, options, dtype, progress, refiner, alpha, record
        )

    def _check_style(self, style: StyleStatistics, options: StylizeOptions) -> None:
        if style.model != self.fingerprint:
            raise OptionError("the style was measured by another model", hint="measure the style again")
        if options.stroke_scale not in {None, style.stroke_scale}:
            raise OptionError(
                f"the style was measured for stroke scale {style.stroke_scale}, not {options.stroke_scale}",
                hint="measure it again for this one",
            )

    def _stylize_regions(
        self,
        content: Tensor,
        regions: Sequence[StyleStatistics | None],
        shares: Tensor | None,
        options: StylizeOptions,
        dtype: torch.dtype | None,
        progress: ProgressCallback | None,
        refiner: Refiner | None,
        alpha: Tensor | None,
        record: MomentsRecord,
    ) -> Tensor:
        """Stylize regions; None stands for one whose pixels are kept, which is the last."""
        original, alpha = as_samples(content), as_weights(alpha)
        samples = original
        dtype = dtype or content.dtype
        kept = shares[-1:] if shares is not None and regions[-1] is None else None
        styles = [style for style in regions if style is not None]
        if refiner is not None and styles[0].underpainting is None:
            return self._refine(content, styles[0], options, dtype, progress, refiner, alpha, kept)
        runner = self.runner if dtype == torch.uint8 else self._float32_runner
        result_bytes = samples.numel() * dtype.itemsize
        reuse = None
        copy_share = 0.0
        if styles[0].underpainting is not None:
            # A picture that does not fit is refused before any work. The copy is overwritten by the result
            # where its type allows that.
            source = 0 if dtype == samples.dtype and samples.device.type == "cpu" else samples.nbytes
            self._plan(runner, samples, result_bytes + source)
            # Refinement takes nearly all of the time.
            scale = styles[0].stroke_scale
            copy_share = options.passes / (options.passes + scale**2) if refiner is None else 0.95
            report = self._reporter(progress, 0, copy_share)
            below = [style and style.underpainting for style in regions]
            samples = reuse = self._underpaint(
                samples, below, shares, scale, options, report, refiner, alpha, record
            )
            if self.runtime.max_memory is not None:
                for each in {self.runner, self._float32_runner}:
                    each.release_patches()
        elif options.passes > 1 and options.alpha > 0:  # at 0, the last pass alone counts
            copy_share = 1 - 1 / options.passes
            earlier = replace(options, passes=options.passes - 1, preserve_color="none")
            # With more than eight bits, so that rounding does not grow from pass to pass.
            wide = torch.uint16 if not samples.is_floating_point() else samples.dtype
            report = self._reporter(progress, 0, copy_share)
            painted = self._stylize_regions(
                samples, regions, shares, earlier, wide, report, None, alpha, record.of_copy()
            )
            samples = painted if options.alpha == 1 else fade_samples_(painted, samples, options.alpha)
        # The last pass reads every row once, before it is overwritten.
        keeps_chroma = options.preserve_color == "luma"
        result = OutputImage(original, dtype, keep_chroma=keeps_chroma, reuse=reuse, kept=kept)
        scales = runner.depth + 1
        wanted = [find_region_style(style, options, scales, self._find_target) for style in regions]
        matches = any(each.matches for each in wanted)
        other_bytes = 0 if shares is None else SHARES_AT_ALL_SCALES * shares.nbytes
        other_bytes += 0 if result.pixels is reuse else result_bytes
        plan = self._plan(runner, samples, other_bytes, match=matches)
        report = self._reporter(progress, copy_share, 1)
        with self._computing():
            weights = PixelWeights.of(shares, alpha, self.device)
            if record.given is not None:
                fitted = self._fold(runner, regions, options, wanted, next(record.given), weights)
            elif options.content_statistics == "exact":
                fitted = runner.fit(samples, wanted, plan, report, weights)
            else:
                thumbnail, opacity, small_shares = make_thumbnail(samples, alpha, shares)
                small_plan = self._plan(runner, thumbnail, match=matches)
                small_weights = PixelWeights.of(small_shares, opacity, self.device)
                small = runner.fit(thumbnail, wanted, small_plan, self._check_stop, small_weights)
                # Its stores are of another size.
                fitted = replace(small, stores={}, done=0.0, weights=weights)
            record.measured.append(fitted.moments)
            if not record.measures_only:
                runner.apply(samples, fitted, plan, result.write, report)
        if self.runtime.max_memory is not None:
            return_freed_memory()  # for the caller, who is going to write the result
        return result.pixels.view(content.shape)

    def _fold(
        self,
        runner: NetworkRunner,
        regions: Sequence[StyleStatistics | None],
        options: StylizeOptions,
        wanted: Sequence[RegionStyle],
        moments: ContentMoments,
        weights: PixelWeights,
    ) -> FittedNetwork:
        """Fold transfers into a network, or find them folded for another frame of the same moments."""
        key = runner, regions, replace(options, style_weights=None)
        with self._folding:
            known, fitted = self._folded.get(moments, (None, None))
            if fitted is None or known != key:
                # Moments that their own entry refers to would never be forgotten.
                fitted = replace(runner.fold(wanted, moments), moments=ContentMoments([], []))
                self._folded[moments] = key, fitted
        return replace(fitted, stores={}, weights=weights, moments=moments)

    def _underpaint(
        self,
        samples: Tensor,
        regions: Sequence[StyleStatistics | None],
        shares: Tensor | None,
        scale: int,
        options: StylizeOptions,
        progress: ProgressCallback,
        refiner: Refiner | None,
        alpha: Tensor | None,
        record: MomentsRecord,
    ) -> Tensor:
        """Stylize a small copy and give the picture its colors and strokes."""
        small = average_blocks(samples, scale, alpha)
        opacity, small_shares = (
            None if each is None else average_blocks(each, scale) for each in (alpha, shares)
        )
        options = replace(options, stroke_scale=1, preserve_color="none")
        stylized = self._stylize_regions(
            small, regions, small_shares, options, None, progress, refiner, opacity, record.of_copy()
        )
        return add_upsampled(samples, (stylized.to(small.device) - small).mul_(UNDERPAINTING), scale)

    def _refine(
        self,
        content: Tensor,
        style: StyleStatistics,
        options: StylizeOptions,
        dtype: torch.dtype,
        progress: ProgressCallback | None,
        refiner: Refiner,
        alpha: Tensor | None,
        kept: Tensor | None,
    ) -> Tensor:
        """Refine the result for a content whose strokes are not enlarged."""
        samples = as_samples(content)
        height, width = samples.shape[1:]
        needed, limit = refiner.estimate_bytes(height, width), self.runtime.max_memory
        if limit is not None and needed > parse_bytes(limit):
            raise MemoryLimitError(
                f"refining {width}x{height} pixels needs {needed // MIB + 1}M, {limit} is the limit",
                hint="allow more memory, or do not refine",
            )
        floats = (samples.float() / white_level(samples))[None]
        result = refiner.refine(floats, self._reporter(progress, 0, 1))
        if options.alpha < 1:
            plain = self.stylize(floats, style, replace(options, preserve_color="none"), alpha=alpha)
            result = plain.lerp(result, options.alpha)
        if options.preserve_color == "luma":
            result = keep_chroma(result, floats.cpu())
        if kept is not None:
            result = result.lerp(floats.cpu(), kept.cpu().float() / white_level(kept))
        return convert_samples(result.view(content.shape), dtype)

    def _plan(
        self, runner: NetworkRunner, samples: Tensor, result_bytes: int = 0, *, match: bool = False
    ) -> StreamingPlan:
        """Plan the passes over a picture within the user's limit, or within what the machine has left.

        Raises:
            MemoryLimitError: The lowest strips would not fit into the user's limit.
        """
        height, width = samples.shape[1:]
        pixels = height * width
        architecture = runner.architecture if match else runner.plain_architecture
        precision = runner.precision
        limited = self.runtime.max_memory is not None
        trims = pixels >= TRIM_PIXELS or limited
        if trims:
            return_freed_memory()
        # A process of our own is measured; in a program that uses the library, other parts allocate too.
        taken = resident_memory() - self._memory_at_start if is_tuned() else 0
        taken = max(taken, samples.nbytes) + result_bytes
        limit = None
        if self.runtime.max_memory is not None:
            taken += waiting_bytes(architecture, precision, height, width) + matching_bytes(architecture)
            limit = parse_bytes(self.runtime.max_memory) - taken
            if (least := minimum_bytes(architecture, precision, height, width)) > limit:
                raise MemoryLimitError(
                    f"{width}x{height} pixels need {(taken + least) // MIB + 1}M beside the "
                    f"{self._memory_at_start // MIB}M of the program itself, "
                    f"{self.runtime.max_memory} is the limit",
                    hint="allow more memory or make the picture smaller",
                )
        elif self.device.type == "cpu" and (available := available_memory()) is not None:
            limit = min(default_memory(pixels), available // 2)
        elif self.device.type != "cpu":
            limit = 2**62
        plan = plan_passes(architecture, precision, (height, width), tile=self.runtime.tile, limit=limit)
        if limit is None or not trims:
            return plan
        ceiling = self._memory_at_start + taken + limit
        if limited:  # a strip must fit in before memory is returned again
            ceiling -= row_bytes(precision, width) * min(plan.tile, height)
        return replace(plan, memory_ceiling=ceiling, strict=limited)

    def _find_target(self, style: StyleStatistics, transform: str) -> TransferTarget:
        """Return the target of a style; its square roots are computed once while the style exists."""
        known, target = self._targets.get(style, (None, None))
        if target is None or known != transform:
            target = TransferTarget(style.levels, transform, style.colors)
            self._targets[style] = transform, target
        return target
