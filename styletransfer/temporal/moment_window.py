"""Which frames of a scene are measured, and how much each of them counts for a frame."""

from __future__ import annotations

import math

# A frame is measured in every cell of so many seconds, every eighth frame at 24 frames per second. Measuring
# every fifth one at 25 takes 7 % more time in all and is no steadier.
CELL = 1 / 3
# The weights of measured frames are a Gaussian of the distance in seconds, lowered so that it ends at 0.
DEVIATION, RADIUS = 0.2, 0.5
# Weight of a measured frame where none has more, such as the first one of a scene that is seen causally.
LEAST_WEIGHT = 1e-9
# Times of files are rounded, by a millisecond at most.
ROUNDING = 2e-3


def begins_cell(time: float, previous: float) -> bool:
    """Tell whether a frame is the first one of its cell, from its time and that of the frame before it."""
    return math.floor((time + ROUNDING) / CELL) > math.floor((previous + ROUNDING) / CELL)


def window_weight(distance: float, *, causal: bool) -> float:
    """Return the weight of a measured frame.

    Args:
        distance: Seconds from the frame to the measured one, negative for one that is earlier.
        causal: Whether the window lies before the frame. Its middle is `RADIUS` seconds earlier then, so that
            what comes into the picture gains its weight gradually.

    Returns:
        A number of at least LEAST_WEIGHT.
    """
    if causal:
        distance += RADIUS
    lowest = math.exp(-((RADIUS / DEVIATION) ** 2) / 2)
    return max(LEAST_WEIGHT, math.exp(-((distance / DEVIATION) ** 2) / 2) - lowest)


def window_reach(*, causal: bool) -> tuple[float, float]:
    """Return how many seconds before and behind a frame measured ones count."""
    return (2 * RADIUS, 0.0) if causal else (RADIUS, RADIUS)
