"""Random fields, of which paper, pigment, clouds and currents are made.

The size of the random grids does not depend on the size of the picture, so one seed gives the same
composition at every resolution.
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
        cells: Number of cells of the coarsest octave across the picture, or (across, down).
        octaves: Number of octaves. Each has twice as many cells as the one before.
        gain: Amplitude of each octave relative to the one before.

    Returns:
        [side, side] with mean 0 and standard deviation 1.
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
    """Blur a field along its first two axes.

    Three box filters approximate a Gaussian. Borders are mirrored.

    Args:
        field: [side, side, ...].
        radius: Standard deviation in pixels.
    """
    half = round(radius)  # three boxes of 2 r + 1 pixels have variance r (r + 1)
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
    """Return the values of a field [side, side, ...] at points in 0..1, from the nearest pixel."""
    side = field.shape[0]
    column = np.clip((np.asarray(x) * side).astype(np.intp), 0, side - 1)
    row = np.clip((np.asarray(y) * side).astype(np.intp), 0, side - 1)
    found: Array = field[row, column]
    return found


def scatter(rng: np.random.Generator, count: int, margin: float = 0.0) -> Array:
    """Return points [count, 2] that are spread evenly over -margin..1 + margin without a visible order.

    Source: Roberts 2018, "The unreasonable effectiveness of quasirandom sequences": the R2 sequence.
    """
    steps = np.arange(count)[:, None] * np.array([0.7548776662, 0.5698402910])
    points: Array = np.mod(rng.uniform(0, 1, 2) + steps, 1) * (1 + 2 * margin) - margin
    return points
