"""Which frames of a scene are measured, and how much each of them counts for a frame."""

from __future__ import annotations

import math

# A frame is measured in every cell of so many seconds, every eighth frame at 24 frames per second. Measuring
# every fifth one at 25 takes 7 % more time in all and is no steadier.
CELL = 1 / 3
# Frames within so many seconds are given the same mean, so that what follows from it is computed once. That
# takes half as long as the motion does, for every frame.
SHARED = 0.1
# The weights of measured frames are a Gaussian of the distance in seconds, lowered so that it ends at 0.
DEVIATION, RADIUS = 0.2, 0.5
# Weight of a measured frame where none has more, such as the first one of a scene that is seen causally.
LEAST_WEIGHT = 1e-9
# Times of files are rounded, by a millisecond at most.
ROUNDING = 2e-3


def begins_cell(time: float, previous: float) -> bool:
    """Tell whether a frame is the first one of its cell, from its time and that of the frame before it."""
    return math.floor((time + ROUNDING) / CELL) > math.floor((previous + ROUNDING) / CELL)


def window_middle(time: float, *, causal: bool) -> float:
    """Return the middle of the window of a frame in seconds, which it shares with those beside it.

    A causal window ends at its frame and is shared with none.
    """
    return time if causal else (math.floor((time + ROUNDING) / SHARED) + 0.5) * SHARED


def window_weight(distance: float, *, causal: bool) -> float:
    """Return the weight of a measured frame.

    Args:
        distance: Seconds from the middle of the window to the measured frame, negative for one before it.
        causal: Whether the window lies before the frame. Its peak is `RADIUS` seconds earlier then, so that
            what comes into the picture gains its weight gradually.

    Returns:
        A number of at least LEAST_WEIGHT.
    """
    if causal:
        distance += RADIUS
    lowest = math.exp(-((RADIUS / DEVIATION) ** 2) / 2)
    return max(LEAST_WEIGHT, math.exp(-((distance / DEVIATION) ** 2) / 2) - lowest)


def window_reach(*, causal: bool) -> tuple[float, float]:
    """Return how many seconds before and behind the middle of a window measured frames count."""
    return (2 * RADIUS, 0.0) if causal else (RADIUS, RADIUS)
