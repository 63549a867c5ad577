"""What a texture looks like: `TextureOptions`."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import OptionError
from .checks import check_boolean, check_integer, check_style_weights, option

LARGEST_EDGE = 1_000_000  # pixels
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class TextureOptions:
    """Options that decide what a texture looks like.

    Each field's help text describes it. None means: `style_weights` weighs all styles equally, `style_size`
    is 1024.

    Raises:
        OptionError: A value is of the wrong type or out of its range.
    """

    size: tuple[int, int] = option(
        (1024, 1024), "Width and height of the texture in pixels, such as 1024x768. One number is a square."
    )
    seed: int = option(0, "Number that chooses one of many textures in the same style.")
    tileable: bool = option(
        False, "Make a texture that goes on at its opposite edge, so that copies of it join without a seam."
    )
    style_weights: tuple[float, ...] | None = option(
        None, "Blend all styles into one, in these proportions. Give one number per style, such as 2,1."
    )
    style_size: int | None = option(
        None,
        "Long edge in pixels to which larger styles are reduced first. The strokes of a texture have the "
        "size that they have there. Auto is 1024.",
    )
    refine: int = option(
        0,
        "Iterations of an optimization that starts from the texture and repaints it with pieces of the "
        "style. 40 is a good number and takes about a minute for 512 pixels. 0 leaves it out.",
    )

    def __post_init__(self) -> None:
        if not isinstance(self.size, tuple) or len(self.size) != 2:
            raise OptionError(f"size is {self.size!r}", hint="give width and height, such as (1024, 768)")
        for edge in self.size:
            check_integer("size", edge, 1, LARGEST_EDGE)
        check_integer("seed", self.seed, 0, LARGEST_SEED)
        check_boolean("tileable", self.tileable)
        if self.style_weights is not None:
            check_style_weights(self.style_weights)
        if self.style_size is not None:
            check_integer("style_size", self.style_size, 1, LARGEST_EDGE)
        check_integer("refine", self.refine, 0, 10_000)
