"""A bristle brush whose strokes carry two unmixed pigments and leave ridges of paint."""

from __future__ import annotations

import numpy as np

from .noise import Array, resize, sample

_SPACING = 0.7  # pixels between samples of a stroke; below 1/sqrt(2), so that no holes open between them


def trace(angle: Array, x: Array, y: Array, length: Array, points: int) -> Array:
    """Trace streamlines through a field of directions, to both sides of their middles.

    Args:
        angle: Direction in radians, [side, side].
        x, y: Middles of the streamlines, [n] in 0..1.
        length: Length of each streamline, [n], in fractions of the picture's side.
        points: Number of points on each half.

    Returns:
        Streamlines [n, 2 * points + 1, 2], x and y in 0..1.
    """
    halves = []
    for sign in (-1, 1):
        step = sign * length / (2 * points)
        at = [np.stack([x, y], -1)]
        for _ in range(points):
            here = at[-1]
            theta = sample(angle, here[:, 0], here[:, 1])
            middle = here + 0.5 * step[:, None] * np.stack([np.cos(theta), np.sin(theta)], -1)
            theta = sample(angle, middle[:, 0], middle[:, 1])
            at.append(here + step[:, None] * np.stack([np.cos(theta), np.sin(theta)], -1))
        halves.append(np.stack(at, 1))
    upstream, downstream = halves
    return np.concatenate([upstream[:, :0:-1], downstream], 1).astype(np.float32)


class Easel:
    """A painting in progress: its colors [side, side, 3] and the height of the paint [side, side].

    Args:
        ground: Colors of the primed canvas, [side, side, 3].
        rng: Random number generator of the bristles.
        hair: Number of bristles across a brush. Few bristles are coarse and leave furrows.
    """

    def __init__(self, ground: Array, rng: np.random.Generator, hair: int = 14) -> None:
        self.side = len(ground)
        self.colors = ground.reshape(-1, 3).copy()
        self.height = np.zeros(self.side**2, np.float32)
        self._rng = rng
        self._bristles = [self._bristle_pattern(hair) for _ in range(48)]

    def _bristle_pattern(self, hair: int) -> Array:
        """Return the paint on each bristle along a stroke, [64 along, 64 across] in 0..1."""
        carried = self._rng.uniform(0, 1, (1, hair)) + 0.35 * self._rng.standard_normal((5, hair))
        pattern = resize(carried.astype(np.float32), 64)
        return np.asarray(np.clip((pattern - pattern.min()) / np.ptp(pattern), 0, 1), np.float32)

    def stroke(
        self,
        path: Array,
        width: float,
        first: Array,
        second: Array,
        *,
        dry: float = 0.3,
        thickness: float = 1.0,
        square: bool = False,
        glaze: bool = False,
    ) -> None:
        """Draw one stroke.

        Args:
            path: Points of the stroke, [points, 2], x and y in 0..1.
            width: Width of the brush in fractions of the picture's side.
            first, second: The two pigments on the brush, [3] each.
            dry: Share of the brush that is out of paint at the end of the stroke, 0..1.
            thickness: Thickness of the paint in thousandths of the picture's side.
            square: Draw with a palette knife, whose marks have straight ends, instead of a round brush.
            glaze: Draw with ink, which does not cover darker colors.
        """
        pixels = path.astype(np.float64) * self.side
        steps = np.hypot(*np.diff(pixels, axis=0).T)
        along = np.concatenate([[0], np.cumsum(steps)])
        length, radius = along[-1], max(0.5, width * self.side / 2)
        u = np.linspace(0, 1, max(3, int(length / _SPACING)))
        v = np.linspace(-1, 1, max(3, int(2 * radius / _SPACING)))
        middle = np.stack([np.interp(u * length, along, pixels[:, i]) for i in (0, 1)], -1)
        tangent = np.gradient(middle, axis=0)
        tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1])[:, None], 1e-9)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], -1)
        end = np.clip(np.minimum(u, 1 - u) * length / radius, 0, 1)
        half = radius * (0.78 + 0.22 * np.sin(np.pi * u) if square else np.sqrt(end * (2 - end)))
        column, row = (
            (middle[:, i, None] + normal[:, i, None] * v * half[:, None]).astype(np.int32) for i in (0, 1)
        )

        pattern = self._bristles[self._rng.integers(len(self._bristles))]
        bristle = ((v + 1) * 31.5).astype(np.intp)
        carried = pattern[np.ix_((u * 63).astype(np.intp), bristle)]
        emptied = dry * (0.15 + 0.85 * u[:, None] ** 2)
        if square:  # paint from a knife ends in a ragged line
            torn = min(0.35, 0.8 * radius / length) * pattern[[0, -1]][:, bristle]
            emptied = emptied + 3 * ((u[:, None] < torn[0]) | (1 - u[:, None] < torn[1]))
        alpha = np.clip((carried - emptied) * 7 + 0.5, 0, 1) * np.clip((1 - np.abs(v)) * radius, 0, 1)

        inside = (column >= 0) & (column < self.side) & (row >= 0) & (row < self.side) & (alpha > 0)
        at = row[inside] * self.side + column[inside]
        alpha, carried = alpha[inside].astype(np.float32), carried[inside]
        paint = first + carried[:, None] * (second - first)
        if glaze:
            paint = np.minimum(paint, self.colors[at])
        self.colors[at] += alpha[:, None] * (paint - self.colors[at])
        lip = np.broadcast_to(0.5 * np.abs(v) ** 6, inside.shape)[inside]  # paint is squeezed to the sides
        ridge = thickness * (0.25 + carried + lip)
        self.height[at] += alpha * (0.35 * self.height[at] + ridge - self.height[at])

    def surface(self) -> tuple[Array, Array]:
        """Return the colors [side, side, 3] and the height [side, side]."""
        return self.colors.reshape(self.side, self.side, 3), self.height.reshape(self.side, self.side)
