"""Give photographs the light and the colors of others, with one network of couplings."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event

import torch
from torch import Tensor

from ..errors import OptionError
from ..linalg import Statistics, compute_statistics, merge_statistics
from ..model import CouplingNetwork, LoadedModel, StyleStatistics
from ..options import RuntimeOptions, StylizeOptions
from ..pipeline import Pipeline, ProgressCallback
from ..pipeline.output_image import OutputImage
from ..pipeline.regions import (
    AffineMap,
    PixelWeights,
    borrow_statistics,
    mix_maps,
    select_regions,
)
from ..pipeline.resampling import (
    WHITE,
    as_samples,
    as_weights,
    average_blocks,
    convert_samples,
    white_level,
)
from ..pipeline.streamed_maps import Observer
from ..refinement import Refiner
from ..transfer.content_moments import ContentMoments, MomentsRecord
from ..transfer.monge_map import bounded_monge_map
from .guided_upsampling import apply_functions, fit_functions
from .strips import Strip, list_strips, plan_strip_rows

# Pictures of twice this size and more are transferred as smaller copies. The functions that the copies show
# are applied to the full picture, so that all of its detail stays.
COPY_LONG_EDGE = 1024


class PhotorealisticPipeline(Pipeline):
    """Transfers the look of photographs with a network of couplings; see `Pipeline`.

    Args:
        model: A `CouplingNetwork` with the fingerprint that style statistics carry.
        runtime: Device, precision and memory.
        stop: An event that is checked after every strip.
    """

    paints = False

    def __init__(
        self,
        model: LoadedModel,
        runtime: RuntimeOptions | None = None,
        stop: Event | None = None,
    ) -> None:
        super().__init__(model.fingerprint, runtime, stop)
        network = model.network
        assert isinstance(network, CouplingNetwork)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self.architecture = network.architecture

    def measure(
        self, style: Tensor, alpha: Tensor | None = None, *, exact: bool = False, patches: bool = True
    ) -> StyleStatistics:
        """Compute the statistics of a style picture; see `Pipeline.measure`."""
        samples = as_samples(style)
        weights = PixelWeights.of(None, as_weights(alpha), self.device)
        with self._computing():
            (found,) = self._measure(samples, weights, self._plan(samples), not exact, self._check_stop)
        return StyleStatistics((found,), self.fingerprint)

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
        """Stylize a picture; see `Pipeline.stylize`. The content itself is returned for alpha 0."""
        styles, shares = select_regions(style, masks, keeps_outside=options.outside == "content")
        for each in styles:
            if each is not None and each.model != self.fingerprint:
                raise OptionError("the style was measured by another model", hint="measure the style again")
        _, strength = options.level_alphas(1)
        dtype = dtype or content.dtype
        if styles == [None] or (strength == 0 and options.preserve_color != "luma"):
            return convert_samples(content, dtype)
        samples, opacity = as_samples(content), as_weights(alpha)
        kept = shares[-1:] if shares is not None and styles[-1] is None else None
        keeps_chroma = options.preserve_color == "luma"
        result = OutputImage(samples, dtype, keep_chroma=keeps_chroma, kept=kept, premultiplied=False)
        if strength == 0:
            result.write(0, samples.float() * (WHITE / white_level(samples)))
            return result.pixels.view(content.shape)
        factor = max(1, max(samples.shape[1:]) // COPY_LONG_EDGE)
        with self._computing():
            small, small_opacity, small_shares = (
                each if each is None or factor == 1 else average_blocks(each, factor, over)
                for each, over in ((samples, opacity), (opacity, None), (shares, None))
            )
            assert small is not None
            rows = self._plan(small, result.pixels.nbytes + samples.nbytes)
            weights = PixelWeights.of(small_shares, small_opacity, self.device)
            rounded = dtype == torch.uint8
            record = moments or MomentsRecord()
            if record.given is None:
                found = self._measure(small, weights, rows, rounded, self._reporter(progress, 0, 0.4))
                record.measured.append(ContentMoments([found], []))
            else:
                (found,) = next(record.given).levels
            if record.measures_only:
                return convert_samples(content, dtype)
            maps = [self._find_map(own, each, strength) for own, each in zip(found, styles, strict=True)]
            report = self._reporter(progress, 0.4, 1 if factor == 1 else 0.8)
            if factor == 1:
                self._apply(small, maps, weights, rows, rounded, result.write, report)
            else:
                moved = torch.empty(small.shape)

                def store(start: int, strip: Tensor) -> None:
                    moved[:, start : start + strip.shape[1]] = strip / WHITE

                self._apply(small, maps, weights, rows, rounded, store, report)
                functions = fit_functions(small.cpu(), moved)
                apply_functions(samples, functions, factor, result.write, self._reporter(progress, 0.8, 1))
        return result.pixels.view(content.shape)

    def _find_map(self, own: Statistics, style: StyleStatistics | None, strength: float) -> AffineMap:
        """Return the map of a region's features; without a style they stay as they are."""
        if style is None:
            channels = self.architecture.channels
            return torch.eye(channels, device=self.device), torch.zeros(channels, device=self.device)
        matrix, offset = bounded_monge_map(own, style.levels[0], strength)
        return matrix[0].float().to(self.device), offset[0].float().to(self.device)

    def _measure(
        self, samples: Tensor, weights: PixelWeights, rows: int, rounded: bool, progress: ProgressCallback
    ) -> list[Statistics]:
        """Measure the features of every region."""
        parts: list[list[Statistics]] = []
        height = samples.shape[1]
        for strip in list_strips(self.architecture, height, rows):
            strip = strip._replace(inner=strip.rows, outer=strip.inner)  # nothing is decoded
            features = self._encode(samples, strip, rounded).flatten(2)
            shares: list[Tensor | None] = [None]
            if weights.statistics is not None:
                shares = list(weights.statistics.rows(0, strip.rows.start, strip.rows.stop).flatten(1))
            if not parts:
                parts = [[] for _ in shares]
            for part, share in zip(parts, shares, strict=True):
                if share is None or share.any():
                    part.append(compute_statistics(features, None if share is None else share[None]))
            progress(strip.rows.stop / height)
        empty = next(part[0] for part in parts if part)
        nothing = empty._replace(count=torch.zeros_like(empty.count))
        return borrow_statistics([merge_statistics(*part) if part else nothing for part in parts])

    def _apply(
        self,
        samples: Tensor,
        maps: Sequence[AffineMap],
        weights: PixelWeights,
        rows: int,
        rounded: bool,
        emit: Observer,
        progress: ProgressCallback,
    ) -> None:
        """Map the features of every region and decode them; `emit` receives strips in 0..255."""
        height = samples.shape[1]
        for strip in list_strips(self.architecture, height, rows):
            features = self._encode(samples, strip, rounded)[0].permute(1, 2, 0).contiguous()
            moved = mix_maps(features, maps, weights.shares, 0, strip.inner.start).permute(2, 0, 1)[None]
            with self._autocast(rounded):
                pictures, _ = self.network.decode(moved)
            emit(strip.rows.start, strip.crop_inner(pictures)[0].float() * WHITE)
            progress(strip.rows.stop / height)

    def _encode(self, samples: Tensor, strip: Strip, rounded: bool) -> Tensor:
        """Encode a strip of samples [3, H, W] and return the features [1, C, h, W] of its inner rows."""
        pixels = samples[:, strip.outer].to(self.device).float()[None] / white_level(samples)
        with self._autocast(rounded):
            return strip.crop_outer(self.network.encode(pixels))

    def _plan(self, samples: Tensor, other_bytes: int = 0) -> int:
        _, height, width = samples.shape
        return plan_strip_rows(self.architecture, (height, width), self.runtime, samples.nbytes + other_bytes)

    def _autocast(self, rounded: bool) -> torch.autocast:
        """Convolve in bfloat16 where the precision and a result of eight bits allow it."""
        enabled = rounded and self.precision.name != "fp32"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)
