"""Give photographs the light and the colors of others, with one network of couplings."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event

import torch
from torch import Tensor

from ..errors import OptionError
from ..linalg import Statistics
from ..model import CouplingNetwork, LoadedModel, StyleStatistics
from ..options import RuntimeOptions, StylizeOptions
from ..pipeline import Pipeline, ProgressCallback
from ..pipeline.output_image import OutputImage
from ..pipeline.regions import (
    AffineMap,
    PixelWeights,
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
from ..refinement import Refiner
from ..transfer.content_moments import ContentMoments, MomentsRecord
from ..transfer.monge_map import bounded_monge_map
from .guided_upsampling import FIT_STEP, apply_functions, fit_functions
from .strips import plan_strip_rows
from .transfer_passes import TransferPasses

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
            passes = self._open(samples, weights, self._plan(samples), rounded=not exact)
            (found,) = passes.measure(self._check_stop)
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
            passes = self._open(small, weights, rows, rounded=dtype == torch.uint8)
            record = moments or MomentsRecord()
            if record.given is None:
                found = passes.measure(self._reporter(progress, 0, 0.4))
                record.measured.append(ContentMoments([found], []))
            else:
                (found,) = next(record.given).levels
            if record.measures_only:
                return convert_samples(content, dtype)
            maps = [self._find_map(own, each, strength) for own, each in zip(found, styles, strict=True)]
            report = self._reporter(progress, 0.4, 1 if factor == 1 else 0.8)
            if factor == 1:
                passes.apply(maps, result.write, report)
            else:
                moved = torch.empty(small.shape)

                def store(start: int, strip: Tensor) -> None:
                    moved[:, start : start + strip.shape[1]] = strip / WHITE

                passes.apply(maps, store, report)
                functions = fit_functions(small.cpu(), moved)
                report = self._reporter(progress, 0.8, 1)
                apply_functions(samples, functions, FIT_STEP * factor, result.write, report)
        return result.pixels.view(content.shape)

    def _find_map(self, own: Statistics, style: StyleStatistics | None, strength: float) -> AffineMap:
        """Return the map of a region's features; without a style they stay as they are."""
        if style is None:
            channels = self.architecture.channels
            return torch.eye(channels, device=self.device), torch.zeros(channels, device=self.device)
        matrix, offset = bounded_monge_map(own, style.levels[0], strength)
        return matrix[0].float().to(self.device), offset[0].float().to(self.device)

    def _open(self, samples: Tensor, weights: PixelWeights, rows: int, *, rounded: bool) -> TransferPasses:
        """Prepare the passes over a picture; a result of eight bits may be computed in bfloat16."""
        bfloat16 = rounded and self.precision.name != "fp32"
        return TransferPasses(self.network, samples, weights, rows, self.device, bfloat16=bfloat16)

    def _plan(self, samples: Tensor, other_bytes: int = 0) -> int:
        _, height, width = samples.shape
        return plan_strip_rows(self.architecture, (height, width), self.runtime, samples.nbytes + other_bytes)
