"""Random fields: the raw material of paper, pigment, clouds and currents.

Every field is drawn on grids whose size does not depend on the picture's, so that one seed gives the
same composition at every resolution.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.floating[Any]]


def resize(field: Array, side: int) -> Array:
    """Resample a field [h, w] to [side, side] with bicubic interpolation."""
    picture = Image.fromarray(field.astype(np.float32))
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC), np.float32)


def fractal(
    rng: np.random.Generator,
    side: int,
    cells: float | tuple[float, float],
    octaves: int = 4,
    gain: float = 0.5,
) -> Array:
    """Sum octaves of smooth noise.

    Args:
        rng: Source of the random grids.
        side: Pixels on each side of the result.
        cells: Cells of the coarsest octave across the picture; (across, down) stretches them.
        octaves: Each has twice the cells of the one before.
        gain: Amplitude of an octave relative to the one before.

    Returns:
        [side, side], mean 0, standard deviation 1.
    """
    across, down = cells if isinstance(cells, tuple) else (cells, cells)
    total: Array = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        rows, columns = (max(2, round(n * 2**octave)) + 1 for n in (down, across))
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        total = total + gain**octave * resize(grid, side)
    total -= total.mean()
    total /= total.std()
    return total


def blur(field: Array, radius: float) -> Array:
    """Blur [side, side, ...] along its first two axes; `radius` is a standard deviation in pixels.

    Three box filters stand for the Gaussian; borders are mirrored.
    """
    half = round(radius)  # three boxes of 2 r + 1 pixels have the variance r (r + 1)
    if half < 1:
        return field
    for axis in (0, 1):
        width = [(0, 0)] * field.ndim
        width[axis] = (half + 1, half)
        for _ in range(3):
            total = np.cumsum(np.pad(field, width, mode="symmetric"), axis=axis, dtype=np.float64)
            high = np.take(total, range(2 * half + 1, total.shape[axis]), axis=axis)
            low = np.take(total, range(total.shape[axis] - 2 * half - 1), axis=axis)
            field = ((high - low) / (2 * half + 1)).astype(np.float32)
    return field


def sample(field: Array, x: Array | float, y: Array | float) -> Array:
    """Look a field [side, side, ...] up at points in 0..1, nearest pixel, clamped at the border."""
    side = field.shape[0]
    column = np.clip((np.asarray(x) * side).astype(np.intp), 0, side - 1)
    row = np.clip((np.asarray(y) * side).astype(np.intp), 0, side - 1)
    found: Array = field[row, column]
    return found


def scatter(rng: np.random.Generator, count: int, margin: float = 0.0) -> Array:
    """Spread points [count, 2] evenly over -margin..1 + margin, without a visible order.

    Source: Roberts 2018, "The unreasonable effectiveness of quasirandom sequences": the R2 sequence.
    """
    steps = np.arange(count)[:, None] * np.array([0.7548776662, 0.5698402910])
    points: Array = np.mod(rng.uniform(0, 1, 2) + steps, 1) * (1 + 2 * margin) - margin
    return points
