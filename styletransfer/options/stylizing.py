"""What a stylized picture looks like: `StylizeOptions`, and the values that are chosen by size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from ..errors import OptionError
from .checks import (
    as_numbers,
    check_boolean,
    check_choice,
    check_integer,
    check_kind,
    check_numbers,
    check_range,
    check_style_weights,
    option,
)

PreserveColor = Literal["none", "luma", "palette"]
Outside = Literal["content", "first"]
Transform = Literal["wct", "monge", "adain"]
ContentStatistics = Literal["exact", "thumbnail"]

# Strength of matching: the largest that costs little of the content, see docs/matching.md.
DEFAULT_MATCH = 0.6
# The network paints strokes that suit a picture of this size, in pixels. Larger pictures get larger strokes.
NATIVE_LONG_EDGE, NATIVE_SHORT_EDGE = 512, 128
# The stroke scales that are chosen automatically. There are none above: the largest prints are viewed from
# nearby.
AUTOMATIC_STROKE_SCALES = tuple(range(1, 9))
# Long edge to which a style is reduced before it is measured, for stroke scale 1 and for larger ones.
STYLE_SIZE, STYLE_SIZE_FOR_LARGE_STROKES = 1024, 512


@dataclass(frozen=True, kw_only=True)
class StylizeOptions:
    """Options that decide what a stylized picture looks like.

    Each field's help text describes it. None means: `style_weights` weighs all styles equally, `size` keeps
    the content's size, `style_size` and `stroke_scale` are chosen by `resolve_stroke_scale`, and `match` is
    chosen for the style.

    Raises:
        OptionError: A value is of the wrong type or out of its range.
    """

    alpha: float = option(
        1.0, "Strength of the style, from 0 (the content is reconstructed) to 1 (the full transfer)."
    )
    alpha_scales: tuple[float, ...] | None = option(
        None,
        "Factors for the strength of the style at every scale of the network, finest first, such as "
        "1,1,0.8,0.5,0.5. The colors of the picture follow --alpha alone.",
    )
    match: float | None = option(
        DEFAULT_MATCH,
        "Strength with which pieces of the style replace what resembles them, from 0 (only the statistics "
        "of the style are used) to 1. Auto suits the style: 1 for most paintings and drawings, less for "
        "smooth photographs.",
    )
    passes: int = option(
        1,
        "Number of times that the picture is painted. Each further pass paints over the result of the one "
        "before: 2 gives larger planes and bolder strokes, keeps less of the content, and takes twice the "
        "time.",
    )
    style_weights: tuple[float, ...] | None = option(
        None, "Blend all styles into one, in these proportions. Give one number per style, such as 2,1."
    )
    size: int | None = option(None, "Long edge of the result in pixels.")
    style_size: int | None = option(
        None,
        "Long edge in pixels to which larger styles are reduced before they are measured. Smaller values "
        "give finer strokes. Auto is 1024 for stroke scale 1 and 512 for larger strokes.",
    )
    stroke_scale: int | None = option(
        None,
        "Size of the strokes. With K, a copy K times smaller is stylized first and the picture is stylized "
        "over it, with the style enlarged K times. Auto enlarges strokes for pictures of 1024 pixels and "
        "more, so that the copy has at least 512 pixels, and by 8 at most.",
    )
    preserve_color: PreserveColor = option(
        "none",
        "Colors to keep. Luma takes the lightness from the style and the colors from the content. Palette "
        "gives the style the content's colors first, so that strokes keep the contrasts that they have.",
    )
    color_only: bool = option(
        False,
        "Give the content the colors of the style and nothing else, by a smooth map of colors and without "
        "a network. Only alpha, style-weights and size change the result.",
    )
    outside: Outside = option(
        "content", "What no mask covers: the content, whose pixels stay as they are, or the first style."
    )
    transform: Transform = option(
        "wct",
        "Map between the feature statistics. Wct whitens and colors, monge is optimal transport, adain "
        "matches the variance of each channel.",
    )
    content_statistics: ContentStatistics = option(
        "exact",
        "Where the content is measured. Thumbnail measures a copy of at most 1024 pixels, which is faster "
        "for pictures of 4096 pixels and more and gives slightly different results.",
    )

    refine: int = option(
        0,
        "Iterations of an optimization that starts from the result and repaints it with pieces of the style. "
        "40 is a good number and takes about a minute for 512 pixels. 0 leaves it out.",
    )

    def __post_init__(self) -> None:
        check_range("alpha", self.alpha, 0, 1)
        if self.match is not None:
            check_range("match", self.match, 0, 1)
        check_integer("refine", self.refine, 0, 10_000)
        check_integer("passes", self.passes, 1, 100)
        for name, largest in (("size", 1_000_000), ("style_size", 1_000_000), ("stroke_scale", 64)):
            if (value := getattr(self, name)) is not None:
                check_integer(name, value, 1, largest)
        if self.style_weights is not None:
            weights = as_numbers(self.style_weights)
            check_style_weights(weights)
            object.__setattr__(self, "style_weights", weights)
        if self.alpha_scales is not None:
            factors = as_numbers(self.alpha_scales)
            check_numbers(
                "alpha_scales", factors, 0, 1, hint="give one number per scale, such as (1, 1, 0.5)"
            )
            object.__setattr__(self, "alpha_scales", factors)
        check_choice("outside", self.outside, Outside)
        check_choice("preserve_color", self.preserve_color, PreserveColor)
        check_boolean("color_only", self.color_only)
        if self.color_only and self.preserve_color != "none":
            raise OptionError(
                "color_only and preserve_color exclude each other", hint="leave out one of them"
            )
        if self.color_only and self.refine:
            raise OptionError("color_only leaves nothing to refine", hint="leave out refine")
        if self.passes > 1 and self.refine:
            raise OptionError("refine and passes exclude each other", hint="leave out one of them")
        check_choice("transform", self.transform, Transform)
        check_choice("content_statistics", self.content_statistics, ContentStatistics)

    def level_alphas(self, scales: int) -> list[float]:
        """Return the strength of the style at every level: the picture's colors, then every scale.

        Raises:
            OptionError: `alpha_scales` has another number of scales.
        """
        factors = self.alpha_scales or (1.0,) * scales
        if len(factors) != scales:
            raise OptionError(
                f"alpha_scales has {len(factors)} numbers", hint=f"the model has {scales} scales"
            )
        return [self.alpha, *(self.alpha * factor for factor in factors)]


def change_options(options: StylizeOptions, changes: Mapping[str, Any]) -> StylizeOptions:
    """Return options with some fields replaced.

    Raises:
        OptionError: There is no such field, or a value is out of its range.
    """
    check_kind("options", options, (StylizeOptions,), "give StylizeOptions(...), or single options by name")
    names = {field.name for field in fields(StylizeOptions)}
    if unknown := sorted(set(changes) - names):
        raise OptionError(f"unknown option {unknown[0]!r}", hint=f"choose among {', '.join(sorted(names))}")
    return replace(options, **changes)


def resolve_stroke_scale(
    options: StylizeOptions, width: int = 1, height: int = 1, measured: Iterable[int] = ()
) -> StylizeOptions:
    """Choose the stroke scale and the style size where the options leave them open.

    Pictures of 1024 pixels and more get a stroke scale above 1: the largest one that leaves the small copy at
    least 512 pixels along its long edge and 128 along the short one, but at most 8.

    Args:
        options: The options to complete.
        width: Width of the content in pixels, before it is resized to `options.size`.
        height: Height of the content in pixels.
        measured: Stroke scales of styles that were measured before for one alone. They cannot change, so the
            first one is used.

    Returns:
        The options with `stroke_scale` and `style_size` set.
    """
    long, short = max(width, height), min(width, height)
    if options.size is not None:
        long, short = options.size, short * options.size // long
    largest = AUTOMATIC_STROKE_SCALES[-1]
    suitable = max(1, min(long // NATIVE_LONG_EDGE, short // NATIVE_SHORT_EDGE, largest))
    scale = options.stroke_scale or next(iter(measured), suitable)
    return replace(options, stroke_scale=scale, style_size=options.style_size or default_style_size(scale))


def default_style_size(stroke_scale: int) -> int:
    """Return the long edge to which larger styles are reduced for a stroke scale, in pixels."""
    return STYLE_SIZE if stroke_scale == 1 else STYLE_SIZE_FOR_LARGE_STROKES
