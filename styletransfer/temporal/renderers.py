"""Render single frames by moments that several frames share: by the network, or by a table of colors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from ..media import Picture
from ..media.picture import with_bit_depth
from ..model import StyleStatistics
from ..options import StyleSchedule, StylizeOptions
from ..pipeline.regions import build_shares
from ..region_maps import RegionMaps
from ..style_measurer import StyleSource
from ..tensor_stylizer import TensorStylizer
from ..transfer.content_moments import ContentMoments, MomentsRecord
from .frame import Frame

Moments = TypeVar("Moments")

# Whitening a frame by moments of others amplifies whatever these others do not have. With fewer pixels than
# this per channel there is much of that: at 96 x 128 pixels a noisy still scene flickers 7 times as strongly.
SAMPLES_PER_CHANNEL = 2


class Rendering(NamedTuple):
    """A stylized frame, and the share of the style in every pixel, [H, W]; None for all."""

    picture: Picture
    painted: Tensor | None = None


class FrameRenderer(Protocol[Moments]):
    """Measures frames, and renders them with what was measured on others."""

    def measure(self, frame: Frame) -> Moments:
        """Return the moments of a frame."""

    def render(self, frame: Frame, moments: Sequence[Moments], weights: Sequence[float]) -> Rendering:
        """Stylize a frame with the weighted mean of moments; without any, with its own."""


@dataclass(frozen=True, eq=False)
class FrameSettings:
    """What all frames of a video share.

    Attributes:
        samples: Stylizes them.
        styles: The styles.
        options: Options of frames that have their final size, with stroke scale and style size resolved.
        maps: Where each style is painted, in every frame; None for everywhere.
        schedule: Weights of the styles that change with time; None for those of the options.
        bit_depth: Bits per channel of the results; None for those of each frame.
    """

    samples: TensorStylizer
    styles: Sequence[StyleSource]
    options: StylizeOptions
    maps: RegionMaps | None = None
    schedule: StyleSchedule | None = None
    bit_depth: int | None = None

    def weights_at(self, time: float) -> tuple[float, ...] | None:
        """Return the weights of the styles at a time."""
        return self.options.style_weights if self.schedule is None else self.schedule.weights_at(time)

    def options_at(self, time: float) -> StylizeOptions:
        """Return the options at a time."""
        return replace(self.options, style_weights=self.weights_at(time))

    def dtype(self, picture: Picture) -> torch.dtype:
        """Return the type of the result of a frame."""
        return torch.uint8 if (self.bit_depth or picture.bit_depth) == 8 else torch.uint16

    def finish(self, frame: Frame, pixels: Tensor) -> Picture:
        """Return a result with the frame's alpha channel."""
        alpha = frame.picture.alpha
        depth = 8 if pixels.dtype == torch.uint8 else 16
        return Picture(pixels, None if alpha is None else with_bit_depth(alpha, depth))


class StillRenderer:
    """Renders each frame as a picture by itself; it has no moments."""

    def __init__(self, settings: FrameSettings) -> None:
        self.settings = settings

    def measure(self, frame: Frame) -> None:
        """Return nothing."""

    def render(self, frame: Frame, moments: Sequence[None], weights: Sequence[float]) -> Rendering:
        """Stylize a frame."""
        settings, filled = self.settings, frame.picture.with_hidden_colors_filled()
        options, dtype = settings.options_at(frame.time), settings.dtype(frame.picture)
        pixels, *_ = settings.samples.stylize(
            filled.pixels, filled.alpha, settings.styles, options, dtype, None, frame.masks or settings.maps
        )
        return Rendering(settings.finish(frame, pixels))


class ColorRenderer:
    """Renders frames by a table of colors; the moments of a frame are its table."""

    def __init__(self, settings: FrameSettings) -> None:
        self.settings, self.grader = settings, settings.samples.grader

    def measure(self, frame: Frame) -> Tensor:
        """Return the table of a frame."""
        filled, options = frame.picture.with_hidden_colors_filled(), self.settings.options_at(frame.time)
        return self.grader.fit_table(filled.pixels, filled.alpha, self.settings.styles, options)

    def render(self, frame: Frame, moments: Sequence[Tensor], weights: Sequence[float]) -> Rendering:
        """Map the colors of a frame by the mean of tables, which is equal to the bit if they are."""
        table, total = moments[0].clone(), sum(weights)
        for each, weight in zip(moments, weights, strict=True):
            table += weight / total * (each - moments[0])
        filled = frame.picture.with_hidden_colors_filled()
        pixels = self.grader.apply_table(table, filled.pixels, self.settings.dtype(frame.picture))
        return Rendering(self.settings.finish(frame, pixels))


@dataclass(frozen=True, eq=False)
class FrameMoments:
    """Moments of a frame under the network.

    Attributes:
        contents: Moments of the small copy, where there is one, then those of the frame.
        regions: The regions that the frame has.
        styles: The styles that have any weight, whose patches the biases belong to.
    """

    contents: list[ContentMoments]
    regions: tuple[bool, ...]
    styles: tuple[bool, ...]

    @property
    def are_reliable(self) -> bool:
        """Whether there are enough pixels at every level for the moments to describe other frames too."""
        levels = (level for content in self.contents for level in content.found)
        return all(
            sum(float(region.count) for region in level) >= SAMPLES_PER_CHANNEL * level[0].mean.shape[-1]
            for level in levels
        )


class _Target(NamedTuple):
    """What one frame is given."""

    styles: list[StyleStatistics]
    masks: Tensor | None
    weighted: tuple[bool, ...]


class NetworkRenderer:
    """Renders frames by the network."""

    def __init__(self, settings: FrameSettings) -> None:
        self.settings = settings
        self._lock = Lock()
        self._measured: dict[bool, list[StyleStatistics]] = {}
        self._blend: tuple[object, StyleStatistics] | None = None
        self._mean: tuple[object, list[ContentMoments]] = None, []

    def measure(self, frame: Frame) -> FrameMoments:
        """Return the moments of a frame."""
        picture = frame.picture.with_hidden_colors_filled()
        target = self._find_target(frame, picture)
        record = MomentsRecord(measures_only=True)
        self._run(frame, picture, target, record)
        return FrameMoments(record.measured, self._find_regions(target), target.weighted)

    def render(self, frame: Frame, moments: Sequence[FrameMoments], weights: Sequence[float]) -> Rendering:
        """Stylize a frame with the mean of reliable moments of frames that have the same regions.

        Without any, it is given its own.
        """
        picture = frame.picture.with_hidden_colors_filled()
        target = self._find_target(frame, picture)
        regions = self._find_regions(target)
        alike = [
            (each, weight)
            for each, weight in zip(moments, weights, strict=True)
            if each.regions == regions and each.are_reliable
        ]
        record = MomentsRecord()
        if alike:
            record = MomentsRecord(self._find_mean(alike, target))
        pixels = self._run(frame, picture, target, record)
        painted = None
        if target.masks is not None and self.settings.options.outside == "content":
            painted = (target.masks.float().sum(0) / 255).clamp_(max=1)
        return Rendering(self.settings.finish(frame, pixels), painted)

    def _find_mean(
        self, alike: Sequence[tuple[FrameMoments, float]], target: _Target
    ) -> list[ContentMoments]:
        """Return the mean of moments; frames that share it get the same objects, which is what saves time."""
        key = [*alike, target.weighted]
        with self._lock:
            if self._mean[0] != key:
                shares = [weight for _, weight in alike]
                bias_shares = [weight if each.styles == target.weighted else 0.0 for each, weight in alike]
                contents = zip(*(each.contents for each, _ in alike), strict=True)
                means = [ContentMoments.mean(each, shares, bias_shares) for each in contents]
                self._mean = key, means
            return self._mean[1]

    def _run(self, frame: Frame, picture: Picture, target: _Target, record: MomentsRecord) -> Tensor:
        options = self.settings.options_at(frame.time)
        return self.settings.samples.pipeline.stylize(
            picture.pixels,
            target.styles[0] if target.masks is None else target.styles,
            options,
            self.settings.dtype(frame.picture),
            alpha=picture.alpha,
            masks=target.masks,
            moments=record,
        )

    def _find_target(self, frame: Frame, picture: Picture) -> _Target:
        settings = self.settings
        exact = settings.dtype(picture) != torch.uint8
        with self._lock:
            if exact not in self._measured:
                self._measured[exact] = settings.samples.measure_styles(
                    settings.styles, settings.options, settings.maps, exact=exact
                )
        styles, maps = self._measured[exact], frame.masks or settings.maps
        masks = None if maps is None else maps.content_masks(picture.height, picture.width, picture.alpha)
        if masks is not None and len(masks) == len(styles):
            return _Target(styles, masks, ())
        weights = settings.weights_at(frame.time)
        if weights is None and len(styles) == 1:
            return _Target(styles, masks, ())
        weights = weights or (1.0,) * len(styles)
        key = exact, weights
        blend = self._blend
        if blend is None or blend[0] != key:
            # One blend stays the same object, so that the pipeline finds its square roots again.
            self._blend = blend = key, StyleStatistics.blend(styles, weights)
        return _Target([blend[1]], masks, tuple(weight > 0 for weight in weights))

    def _find_regions(self, target: _Target) -> tuple[bool, ...]:
        if target.masks is None:
            return ()
        shares = build_shares(target.masks, outside=self.settings.options.outside == "content")
        return tuple(bool(share.any()) for share in shares)
