"""Textures: pictures without a content, in the style of others.

A texture starts as a quilt of the style's own pieces, or as noise where only the statistics of a style are
known. The network then repaints it: it joins the pieces and gives the whole the statistics of the style. For
a tile, the network sees the start continued on all sides, as far as a pixel can depend on another, so that
its result continues at the opposite edge as exactly as its start does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from .api import Stylizer
from .errors import OptionError, call_within_memory
from .media import Picture, resize_picture
from .model import StyleStatistics
from .options import StylizeOptions, TextureOptions, check_kind, resolve_stroke_scale
from .picture_conversion import measure_edges, to_picture
from .pipeline import ProgressCallback
from .pipeline.process_memory import check_available_memory
from .style_measurer import STATISTICS_SUFFIX, StyleSource, as_sequence
from .transfer.quilting import QuiltSource, lay_quilt
from .transfer.tiling import continue_periodically, cut_tile, resample_tile

# The coarsest maps of the network have this stride. A period of so many pixels is one of every map.
STRIDE = 16
# No pixel depends on one that is further away than this, except by the statistics of the whole.
MARGIN = 160
# A tile of fewer pixels has too few positions at the coarsest scale for statistics that hold beyond its
# edges. Then all that is seen counts.
LEAST_COUNTED = 256**2
# Strength with which the network repaints a quilt, which is made of the style already.
QUILT_ALPHA = 0.5
# Times that noise is repainted, until it has forms that pieces of the style resemble.
NOISE_PASSES = 4
# Width over which opposite edges of a refined tile are blended, because refinement is not exactly periodic.
BLENDED = 64
# Shortest edge of a style whose pieces are used.
SMALLEST_STYLE = 32


def synthesize_texture(
    stylizer: Stylizer,
    style: StyleSource | Sequence[StyleSource],
    options: TextureOptions | None = None,
    *,
    bit_depth: int = 8,
    progress: ProgressCallback | None = None,
) -> Picture:
    """Make a texture in a style.

    Equal arguments give equal pixels on one machine. Every part of the style is used about as often as any
    other.

    Args:
        stylizer: The model.
        style: One style or a sequence of them, which are blended; see `Stylizer.measure_style`. Where one of
            them is known by its statistics only, the texture starts as noise, and resembles the style less.
        options: How the texture looks; None for the defaults.
        bit_depth: Bits per channel, 8 or 16.
        progress: Called with the share of the work that is done, 0..1.

    Returns:
        A picture of exactly `options.size`.

    Raises:
        ImageError: A style cannot be read.
        OptionError: The number of weights is not that of the styles, statistics were measured for large
            strokes, or refinement lacks the picture of a style.
        MemoryLimitError: The texture does not fit into memory.

    Example:
        >>> from styletransfer import Stylizer, TextureOptions, synthesize_texture
        >>> options = TextureOptions(size=(512, 512), tileable=True)
        >>> synthesize_texture(Stylizer(), "waves.jpg", options)  # doctest: +SKIP
    """
    options = TextureOptions() if options is None else options
    check_kind("options", options, (TextureOptions,), "give TextureOptions(...)")
    styles = as_sequence(style)
    weights = options.style_weights or (1.0,) * len(styles)
    if len(weights) != len(styles):
        raise OptionError(f"{len(weights)} style weights for {len(styles)} styles", hint="give one per style")
    width, height = options.size
    check_available_memory(width, height)

    def make() -> Picture:
        generator = torch.Generator().manual_seed(options.seed)
        size = (round_period(height), round_period(width)) if options.tileable else (height, width)
        sources = _open_sources(styles, weights, options)
        if sources is None:
            pixels = torch.randint(256, (3, *size), generator=generator, dtype=torch.uint8)
        else:
            pixels = lay_quilt(size, sources, generator, periodic=options.tileable)
        passes = 1 if sources is not None else NOISE_PASSES
        plain = StylizeOptions(
            stroke_scale=1, style_size=options.style_size, style_weights=options.style_weights
        )
        look = plain if sources is None else replace(plain, alpha=QUILT_ALPHA)
        sources = None  # the pictures are not needed any more
        for index in range(passes):
            is_last = index == passes - 1
            report = None if progress is None else partial(_report, progress, index, passes)
            if is_last and options.refine:
                look = replace(plain, refine=options.refine)
            pixels = _repaint(stylizer, pixels, styles, look, bit_depth if is_last else 8, options, report)
        return Picture(resample_tile(pixels, (height, width)))

    message = f"out of memory while a texture of {width}x{height} pixels is made"
    return call_within_memory(make, message, hint="make it smaller, for example --size 1024")


def round_period(edge: int) -> int:
    """Return the multiple of STRIDE that is nearest to an edge of a tile, and not 0."""
    return max(1, round(edge / STRIDE)) * STRIDE


def _open_sources(
    styles: Sequence[StyleSource], weights: Sequence[float], options: TextureOptions
) -> list[QuiltSource] | None:
    """Read the styles; None if there are only statistics of one, or if one is too small to have pieces."""
    look = resolve_stroke_scale(StylizeOptions(style_size=options.style_size, stroke_scale=1))
    assert look.style_size is not None
    sources = []
    for style, weight in zip(styles, weights, strict=True):
        if isinstance(style, StyleStatistics):
            return None
        if isinstance(style, str | Path) and Path(style).suffix == STATISTICS_SUFFIX:
            return None
        picture = to_picture(style).as_style()
        reduced = resize_picture(picture, min(look.style_size, max(measure_edges(picture))))
        if min(measure_edges(reduced)) < SMALLEST_STYLE:
            return None
        filled = reduced.with_hidden_colors_filled().with_bit_depth(8)
        coverage = filled.coverage()
        sources.append(QuiltSource(filled.pixels, None if coverage is None else coverage[0], weight))
    return sources


def _repaint(
    stylizer: Stylizer,
    pixels: Tensor,
    styles: Sequence[StyleSource],
    look: StylizeOptions,
    bit_depth: int,
    options: TextureOptions,
    progress: ProgressCallback | None,
) -> Tensor:
    """Stylize a picture, which continues at its opposite edge if the texture is a tile; [3, H, W]."""
    margin = MARGIN if options.tileable else 0
    continued = continue_periodically(pixels, margin) if margin else pixels
    if look.refine:
        refined, *_ = stylizer.stylize_picture(
            Picture(continued), styles, look, bit_depth=bit_depth, progress=progress
        )
        return cut_tile(refined.pixels, margin, BLENDED if margin else 0)
    inside = None
    if margin and pixels[0].numel() >= LEAST_COUNTED:  # only the tile itself counts in the statistics
        inside = torch.zeros_like(continued[:1])
        inside[:, margin:-margin, margin:-margin] = 255
    statistics = _measure_styles(stylizer, styles, look, exact=bit_depth > 8)
    dtype = torch.uint8 if bit_depth == 8 else torch.uint16
    painted = stylizer.pipeline.stylize(continued, statistics, look, dtype, progress, alpha=inside)
    return cut_tile(painted, margin)


def _measure_styles(
    stylizer: Stylizer, styles: Sequence[StyleSource], look: StylizeOptions, *, exact: bool
) -> StyleStatistics:
    """Measure the styles, and blend them if there are several."""
    measured = [stylizer.measure_style(each, style_size=look.style_size, exact=exact) for each in styles]
    if len(measured) == 1:
        return measured[0]
    return StyleStatistics.blend(measured, look.style_weights or [1.0] * len(measured))


def _report(progress: ProgressCallback, index: int, count: int, share: float) -> None:
    """Report the share of the whole work for a share of one of several passes."""
    progress((index + share) / count)
