"""Random fields: the raw material of paper, pigment, clouds and currents.

Every field is drawn on grids whose size does not depend on the picture's, so that one seed gives the
same composition at every resolution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]


def resize(field: Field, side: int) -> Field:
    """Resample a field [h, w] to [side, side] with bicubic interpolation."""
    picture = Image.fromarray(field.astype(np.float32))
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC), np.float32)


def fractal(
    rng: np.random.Generator, side: int, cells: float | tuple[float, float], octaves: int = 4, gain: float = 0.5
) -> Field:
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
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        rows, columns = (max(2, round(n * 2**octave)) + 1 for n in (down, across))
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        total += gain**octave * resize(grid, side)
    return (total - total.mean()) / total.std()


def blur(field: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
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


def sample(field: NDArray[np.float32], x: Field, y: Field) -> NDArray[np.float32]:
    """Look a field [side, side, ...] up at points in 0..1, nearest pixel, clamped at the border."""
    side = field.shape[0]
    column = np.clip((x * side).astype(np.intp), 0, side - 1)
    row = np.clip((y * side).astype(np.intp), 0, side - 1)
    return field[row, column]
