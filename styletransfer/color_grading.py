"""Colors without texture: pictures graded by a table, and styles that get the colors of a content.

Everything goes strip by strip, so a large picture never exists in full as floats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import NamedTuple

import torch
from torch import Tensor

from .errors import CancelledError, OptionError
from .linalg import Statistics, compute_statistics, merge_statistics
from .media import Picture, resize_picture
from .media.cube_lut import CubeLut
from .model import StyleStatistics
from .options import StylizeOptions, check_style_weights
from .picture_conversion import PictureSource, measure_edges, name_style, to_picture
from .pipeline import ProgressCallback
from .style_measurer import REMEMBERED_STYLES, STATISTICS_SUFFIX, KeyedCache, StyleKey, StyleSource
from .transfer.color_lut import apply_lut, identity_lut
from .transfer.color_transfer import (
    ColorDistribution,
    ColorHistogram,
    compress_gamut,
    fit_color_lut,
    gaussian_color_map,
)

STRIP_PIXELS = 2**18  # with the indices and weights of the interpolation, some 40 MB
# Largest slopes of the maps, one after the other, by which a style gets the content's colors. More would turn
# a gray style's noise into color. The later ones make up for contrast that is lost where colors are brought
# back into the range.
RECOLORING_SLOPES = (3.0, 1.3, 1.3)
# Amplitude of the dither, in levels. Below one half, so that a color that is a level already stays one.
DITHER = 0.49


class GradedPixels(NamedTuple):
    """Graded samples, [3, H, W] or [1, 3, H, W] like the content's, and the table that made them."""

    pixels: Tensor
    lut: CubeLut


class ColorGrader:
    """Gives pictures the colors of others; the colors of style files are remembered.

    Args:
        stop: An event that is checked after every strip; once it is set, all work ends with a CancelledError.
    """

    def __init__(self, stop: Event | None = None) -> None:
        self._stop = stop or Event()
        self._files = KeyedCache(self._measure_file, REMEMBERED_STYLES)

    def grade(
        self,
        content: Tensor,
        alpha: Tensor | None,
        styles: Sequence[StyleSource],
        options: StylizeOptions,
        dtype: torch.dtype | None = None,
        progress: ProgressCallback | None = None,
    ) -> GradedPixels:
        """Give a content the colors of a style or of a blend of styles, by a table and nothing else.

        Args:
            content: Samples [3, H, W] or [1, 3, H, W]: uint8, uint16 or float in 0..1.
            alpha: Opacity [1, H, W], with which the content's pixels count; None if all are opaque.
            styles: Pictures of the styles.
            options: Options, of which alpha and style_weights count. Alpha mixes the table with the identity.
            dtype: Type of the result: uint8, which is dithered, uint16 or a float type; None for the
                content's.
            progress: Called after every strip with the share of the work that is done, 0..1.

        Raises:
            OptionError: A style is statistics, or the weights do not fit.
            ImageError: A style cannot be read.
        """
        names = [Path(name_style(style)).stem for style in styles]
        lut = CubeLut(self.fit_table(content, alpha, styles, options), " + ".join(names))
        return GradedPixels(self.apply_table(lut.table, content, dtype, progress), lut)

    def apply_table(
        self,
        table: Tensor,
        content: Tensor,
        dtype: torch.dtype | None = None,
        progress: ProgressCallback | None = None,
    ) -> Tensor:
        """Map the colors of a content by a table of `fit_table`; other arguments as for `grade`."""
        samples = content.view(content.shape[-3:])
        result = torch.empty(samples.shape, dtype=dtype or content.dtype)
        for rows in _list_strips(samples):
            graded = apply_lut(table, _read_colors(samples, rows)).T.view(3, -1, samples.shape[2])
            result[:, rows] = _convert(graded, result.dtype, rows.start)
            self._check_stop()
            if progress is not None:
                progress(rows.stop / samples.shape[1])
        return result.view(content.shape)

    def recolor_styles(
        self, styles: Sequence[StyleSource], palette: Statistics, options: StylizeOptions
    ) -> list[Picture]:
        """Give styles the mean and the covariance of a content's colors.

        Args:
            styles: Pictures of the styles.
            palette: The content's colors, as `measure_palette` returns them.
            options: Options with stroke scale and style size resolved. Larger styles are reduced to what
                these need first.

        Returns:
            Pictures of 16 bits, which no cache of style files knows.

        Raises:
            OptionError: A style is statistics.
            ImageError: A style cannot be read.
        """
        assert options.style_size is not None
        assert options.stroke_scale is not None
        long_edge = options.style_size * options.stroke_scale
        recolored = []
        for style in styles:
            picture = _open_picture(
                style, "--preserve-color palette", "choose --preserve-color luma"
            ).as_style()
            picture = resize_picture(picture, min(long_edge, max(measure_edges(picture))))
            picture = picture.with_hidden_colors_filled()
            for largest_slope in RECOLORING_SLOPES:
                picture = self._recolor(picture, palette, largest_slope)
            recolored.append(picture)
        return recolored

    def measure_palette(self, content: Tensor, alpha: Tensor | None) -> Statistics:
        """Return mean and covariance of a content's colors; arguments as for `grade`."""
        return self._measure_moments(content.view(content.shape[-3:]), alpha)

    def _recolor(self, picture: Picture, target: Statistics, largest_slope: float) -> Picture:
        """Give a picture a mean and a covariance of colors, as far as they fit into the range."""
        moments = self._measure_moments(picture.pixels, picture.alpha)
        matrix, offset = gaussian_color_map(moments, target, largest_slope)
        pixels = torch.empty(picture.pixels.shape, dtype=torch.uint16)
        for rows in _list_strips(pixels):
            mapped = _read_colors(picture.pixels, rows).double() @ matrix.mT + offset
            inside = compress_gamut(mapped).T.reshape(3, -1, picture.width)
            pixels[:, rows] = _convert(inside, torch.uint16, rows.start)
            self._check_stop()
        return Picture(pixels, picture.with_bit_depth(16).alpha)

    def fit_table(
        self, content: Tensor, alpha: Tensor | None, styles: Sequence[StyleSource], options: StylizeOptions
    ) -> Tensor:
        """Return the table for a content, mixed with the identity; arguments and errors as for `grade`."""
        weights = options.style_weights or (1.0,) * len(styles)
        if not styles or len(weights) != len(styles):
            raise OptionError(
                f"{len(weights)} style weights for {len(styles)} styles", hint="give one per style"
            )
        check_style_weights(weights)
        measured = [self._measure(style) for style in styles]
        own = self._measure_colors(content.view(content.shape[-3:]), alpha)
        return identity_lut().lerp(fit_color_lut(own, measured, weights), options.alpha)

    def _measure(self, style: StyleSource) -> ColorDistribution:
        if isinstance(style, str | Path) and Path(style).suffix != STATISTICS_SUFFIX:
            return self._files.get(StyleKey.of(Path(style)))
        return self._measure_style(style)

    def _measure_file(self, key: StyleKey) -> ColorDistribution:
        return self._measure_style(key.path)

    def _measure_style(self, style: StyleSource) -> ColorDistribution:
        picture = _open_picture(style, "--color-only", "leave out --color-only").as_style()
        return self._measure_colors(picture.pixels, picture.alpha)

    def _measure_colors(self, samples: Tensor, alpha: Tensor | None) -> ColorDistribution:
        """Collect the colors of samples [3, H, W]; if none is visible, all count alike."""
        histogram = ColorHistogram()
        for rows in _list_strips(samples):
            histogram.add(_read_colors(samples, rows), _read_weights(alpha, rows))
            self._check_stop()
        return histogram.summarize() or self._measure_colors(samples, None)

    def _measure_moments(self, samples: Tensor, alpha: Tensor | None) -> Statistics:
        """Return mean and covariance of samples [3, H, W]; if none is visible, all count alike."""
        parts = []
        for rows in _list_strips(samples):
            weights = _read_weights(alpha, rows)
            colors = _read_colors(samples, rows).T[None]
            parts.append(compute_statistics(colors, None if weights is None else weights[None]))
            self._check_stop()
        merged = merge_statistics(*parts)
        return merged if merged.count.item() else self._measure_moments(samples, None)

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise CancelledError


def _open_picture(style: StyleSource, option: str, remedy: str) -> Picture:
    """Return the picture of a style, or say that an option needs it."""
    is_file = isinstance(style, str | Path) and Path(style).suffix == STATISTICS_SUFFIX
    if isinstance(style, StyleStatistics) or is_file:
        raise OptionError(
            f"{name_style(style)}: {option} needs the picture of the style, not its statistics",
            hint=f"give the picture, or {remedy}",
        )
    source: PictureSource = style
    return to_picture(source)


def _list_strips(samples: Tensor) -> Iterator[slice]:
    """Yield slices of rows of samples [3, H, W], about `STRIP_PIXELS` pixels each."""
    height, width = samples.shape[1:]
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def _read_colors(samples: Tensor, rows: slice) -> Tensor:
    """Return the colors of some rows, [M, 3], float32 in 0..1, on the CPU."""
    strip = samples[:, rows].cpu()
    white = 1 if strip.is_floating_point() else torch.iinfo(strip.dtype).max
    return strip.float().div_(white).clamp_(0, 1).flatten(1).T.contiguous()


def _read_weights(alpha: Tensor | None, rows: slice) -> Tensor | None:
    """Return the opacity of some rows, [M], float32 in 0..1."""
    return None if alpha is None else alpha[0, rows].float().div_(torch.iinfo(alpha.dtype).max).flatten()


def _convert(colors: Tensor, dtype: torch.dtype, top: int) -> Tensor:
    """Convert rows [3, h, W] in 0..1, of which the first is row `top`, to samples.

    8 bits are dithered. All channels of a pixel get the same, so that gray stays gray. 16 bits need none.
    """
    if dtype.is_floating_point:
        return colors.to(dtype)
    levels = colors * torch.iinfo(dtype).max
    if dtype == torch.uint8:
        levels += _dither(top, *levels.shape[1:])
    return levels.round_().clamp_(0, torch.iinfo(dtype).max).to(dtype)


def _dither(top: int, height: int, width: int) -> Tensor:
    """Return thresholds around 0 that neighbors share as little as they can, [h, W], float32.

    Source: Jimenez 2014 (SIGGRAPH course, Advances in Real-Time Rendering), interleaved gradient noise.
    """
    y = torch.arange(top, top + height, dtype=torch.float64)[:, None]
    x = torch.arange(width, dtype=torch.float64)
    noise = (52.9829189 * (0.06711056 * x + 0.00583715 * y).frac()).frac()
    return noise.sub_(0.5).mul_(2 * DITHER).float()
