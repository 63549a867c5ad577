"""What becomes of values beyond black and white: they are compressed, not cut."""

from __future__ import annotations

from torch import Tensor

# Where the compression begins, from either end: 5 of 255 levels.
KNEE = 0.02


def compress_range(pictures: Tensor, white: float = 1.0) -> Tensor:
    """Map any values into 0..white, smoothly and in their order, changing none but near both ends.

    The toe and the shoulder of a film's curve. A decoder ends in a convolution, whose results leave the range
    where an artwork's blacks and whites are strongest; cut off, they would lose what is drawn in them.

    Args:
        pictures: Any shape.
        white: The value of white.

    Returns:
        x from KNEE to 1 - KNEE of white; below, the hyperbola KNEE^2 / (2 KNEE - x), which continues it with
        the same slope and makes 0 KNEE / 2; above, its mirror image.
    """
    knee = KNEE * white
    # One of the two fractions is `knee` wherever the other is not: no branches, and a gradient everywhere.
    low = knee**2 / (2 * knee - pictures).clamp_min(knee)
    high = knee**2 / (pictures - (white - 2 * knee)).clamp_min(knee)
    return pictures.clamp(knee, white - knee) + low - high
