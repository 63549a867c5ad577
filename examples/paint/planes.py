"""Convex planes, which a painter fills with parallel strokes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .noise import Array


def area(polygon: Array) -> float:
    """Return the area of a polygon [n, 2]."""
    x, y = polygon.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def split(polygon: Array, point: Array, normal: Array) -> list[Array]:
    """Cut a convex polygon [n, 2] along the line through `point` that `normal` is perpendicular to.

    Returns:
        The parts, of which a line that misses the polygon leaves only one.
    """
    parts: list[list[Array]] = [[], []]
    sides = (polygon - point) @ normal
    for here, there, a, b in zip(polygon, np.roll(polygon, -1, 0), sides, np.roll(sides, -1), strict=True):
        parts[int(a > 0)].append(here)
        if (a > 0) != (b > 0):
            crossing = here + (there - here) * (a / (a - b))
            for part in parts:
                part.append(crossing)
    return [np.array(part) for part in parts if len(part) > 2]


def chords(polygon: Array, along: Array, width: float) -> Iterator[tuple[float, Array]]:
    """Yield the strokes that fill a convex polygon [n, 2] with a brush.

    Args:
        polygon: Corners.
        along: Direction of the strokes, a unit vector [2].
        width: Width of the brush.

    Yields:
        How far across the polygon a stroke lies, 0..1, and its two ends [2, 2].
    """
    across = np.array([-along[1], along[0]])
    offsets = polygon @ across
    for offset in np.arange(offsets.min() + 0.3 * width, offsets.max(), 0.55 * width):
        ends = []
        for here, there in zip(polygon, np.roll(polygon, -1, 0), strict=True):
            a, b = here @ across - offset, there @ across - offset
            if (a > 0) != (b > 0):
                ends.append(here + (there - here) * (a / (a - b)))
        if len(ends) == 2:
            yield float((offset - offsets.min()) / np.ptp(offsets)), np.array(ends)
