"""Tesserae: square stones whose rows follow a field of directions.

Source: Hausner 2001, "Simulating decorative mosaics": a centroidal Voronoi diagram whose distance is the
larger of the distances along and across a stone's row, so that the cells become squares.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .canvas import coordinates
from .noise import Array, sample

Labels = NDArray[np.intp]  # index of each pixel's stone, [side, side]


def place_stones(rng: np.random.Generator, rows: Array, stones: int) -> Array:
    """Place stones by Lloyd's iteration from a randomly displaced grid.

    Args:
        rng: Source of the displacements.
        rows: Direction of the rows in radians, [side, side].
        stones: Number of stones along each side.

    Returns:
        Middles of the stones, [stones**2, 2] in 0..1.
    """
    grid = np.stack(np.meshgrid(np.arange(stones) + 0.5, np.arange(stones) + 0.5), -1).reshape(-1, 2)
    middles: Array = (grid + rng.uniform(-0.45, 0.45, grid.shape)) / stones
    pixels = [c.ravel() for c in coordinates(len(rows))]
    for _ in range(12):
        label = find_nearest(middles, rows, len(rows), stones)[0].ravel()
        count = np.bincount(label, minlength=len(middles))
        sums = np.stack([np.bincount(label, c, len(middles)) for c in pixels], -1)
        middles = np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], middles)
    return middles


def find_nearest(middles: Array, rows: Array, side: int, stones: int) -> tuple[Labels, Array, Array]:
    """Find the nearest stone of every pixel.

    Args:
        middles: Middles of the stones, [n, 2] in 0..1.
        rows: Direction of the rows in radians.
        side: Height and width of the picture in pixels.
        stones: Number of stones along each side.

    Returns:
        Index of the nearest stone, distance to it, and distance to the second nearest stone, each [side,
        side]. Distances are fractions of the side.
    """
    bins = stones // 2  # candidates lie in a bin of about four stones or in the eight bins around it
    column, row = np.clip((middles * bins).astype(np.intp), 0, bins - 1).T
    theta = sample(rows, middles[:, 0], middles[:, 1])
    stone = np.stack([middles[:, 0], middles[:, 1], np.cos(theta), np.sin(theta)]).astype(np.float32)
    members: dict[tuple[int, int], list[int]] = {}
    for i, key in enumerate(zip(row.tolist(), column.tolist(), strict=True)):
        members.setdefault(key, []).append(i)

    label = np.zeros((side, side), np.intp)
    first, second = np.zeros((2, side, side), np.float32)
    x, y = coordinates(side)
    edges = np.arange(bins + 1) * side // bins
    for r in range(bins):
        for c in range(bins):
            around = [(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            near = np.array([i for key in around for i in members.get(key, [])])
            window = slice(edges[r], edges[r + 1]), slice(edges[c], edges[c + 1])
            at_x, at_y, cos, sin = stone[:, near]
            dx, dy = x[window][..., None] - at_x, y[window][..., None] - at_y
            distance = np.maximum(np.abs(cos * dx + sin * dy), np.abs(cos * dy - sin * dx))
            two = np.argpartition(distance, 1, -1)[..., :2]
            label[window] = near[two[..., 0]]
            first[window], second[window] = np.moveaxis(np.take_along_axis(distance, two, -1), -1, 0)
    return label, first, second
