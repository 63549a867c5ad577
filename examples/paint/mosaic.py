"""Mosaic: a peacock and its tail in glass and gold, with rows of stones that follow the feathers."""

from __future__ import annotations

import numpy as np

from .canvas import coordinates, mix, ramp, relief, rgb, smoothstep
from .noise import Array, blur, fractal, sample
from .tesserae import find_nearest, place_stones

EYE = rgb("141b52", "1d2f8f", "1878b8", "22b5ad", "c58a2a", "e6bd4f", "7fa53a", "2b7a4a")
EYE_STOPS = (0.0, 0.24, 0.30, 0.50, 0.58, 0.72, 0.80, 1.0)
BARBS = rgb("0c3b3a", "14605a", "1f8a72", "5fa23f", "c2a53a")
BODY = rgb("0a1560", "123fae", "1a86d0", "4fd0d8")
GROUND = rgb("f0dfae", "e2bd6a", "d19a3a")
GOLD = rgb("6b4a14", "b07d22", "e3b540", "ffe694", "fffbe0")  # gold leaf, from shade to highlight
GROUT, BEAK, WHITE, PUPIL = rgb("4a3f36", "e8c070", "f7efd8", "0a0a18")

ROOT = (0.50, 0.93)  # x and y of the point where all feathers meet
RINGS = ((0.860, 15, 0.088), (0.660, 12, 0.078), (0.485, 10, 0.064), (0.330, 8, 0.048))  # radius, eyes, size
STONES = 84  # along each side


class Cartoon:
    """The design of the mosaic: colors, directions of the rows of stones in radians, and gilded areas."""

    def __init__(self, side: int) -> None:
        self.colors = np.zeros((side, side, 3), np.float32)
        self.rows = np.zeros((side, side), np.float32)
        self.gold = np.zeros((side, side), np.float32)

    def lay(self, where: Array, colors: Array, rows: Array, gold: Array | float = 0.0) -> None:
        """Replace the design wherever `where` is above 0."""
        self.colors = np.where((where > 0)[..., None], colors, self.colors)
        self.rows = np.where(where > 0, rows, self.rows)
        self.gold = np.where(where > 0, gold, self.gold)


def _tail(cartoon: Cartoon, x: Array, y: Array, unrest: Array) -> None:
    """Draw the fan of feathers, each with its eye, in front of a golden ground."""
    dx, dy = x - ROOT[0], y - ROOT[1]
    radius, angle = np.hypot(dx / 0.92, dy), np.arctan2(dy, dx)
    tone = 0.40 + 0.34 * np.sin(46 * angle + 4 * radius) + 0.26 * np.cos(2 * np.pi * radius / 0.18)
    tone += 0.07 * unrest
    cartoon.lay(radius, ramp(BARBS, tone), angle, tone > 0.85)
    cartoon.lay(radius - 0.985, ramp(GROUND, 0.5 + 0.3 * unrest), angle, 1.0)
    for ring, count, half in RINGS:
        for toward in -np.pi / 2 + 1.1 * np.pi * ((np.arange(count) + 0.5) / count - 0.5):
            c, s = np.cos(toward), np.sin(toward)
            dx, dy = x - ROOT[0] - 0.92 * ring * c, y - ROOT[1] - ring * s
            u, v = (c * dx + s * dy) / half, (c * dy - s * dx) / (0.80 * half)
            v = v * (1 + 0.22 * u)  # the eye is a drop, blunt at the outer end
            depth = np.hypot(u, v)
            depth = np.where(depth < 0.5, np.hypot(u + 0.06, v), depth)
            gilded = (depth > 0.56) & (depth < 0.78)
            cartoon.lay(1 - depth, ramp(EYE, depth, EYE_STOPS), np.arctan2(v, u) + toward, gilded)


def _bird(cartoon: Cartoon, x: Array, y: Array, unrest: Array) -> None:
    """Draw breast, neck and head in front of the tail."""
    t = np.clip((1.02 - y) / 0.485, 0, 1)  # 0 at the breast, 1 at the head
    middle = 0.50 + 0.055 * np.sin(2.3 * np.pi * t - 0.3) * (1 - 0.35 * t)
    half = 0.034 + 0.085 * (1 - smoothstep(0.0, 0.85, t)) ** 1.3
    head = 0.046 - np.hypot((x - 0.478) / 1.15, y - 0.530)
    inside = np.maximum(np.where(y > 0.55, half - np.abs(x - middle), -1), head)
    scales = 0.25 * np.sin(60 * t) * smoothstep(0.5, 0.0, t)
    upwards = np.arctan2(1, np.gradient(middle, 1 / len(x), axis=0))
    cartoon.lay(inside, ramp(BODY, 0.10 + 10 * inside + scales + 0.1 * unrest), upwards)
    eye = np.hypot(x - 0.462, y - 0.524)
    cartoon.lay(0.0185 - eye, WHITE, upwards)
    cartoon.lay(0.0085 - eye, PUPIL, upwards)
    beak = 0.42 * (x - 0.370) - np.abs(y - 0.538 - 0.3 * (0.425 - x))
    cartoon.lay(np.where(x < 0.428, beak, -1), BEAK, upwards)


def paint(side: int, rng: np.random.Generator) -> Array:
    """Paint the picture [side, side, 3]."""
    cartoon = Cartoon(6 * STONES)
    unrest = fractal(rng, 6 * STONES, 40, 2)
    _tail(cartoon, *coordinates(6 * STONES), unrest)
    _bird(cartoon, *coordinates(6 * STONES), unrest)
    middles = place_stones(rng, cartoon.rows, STONES)
    label, first, second = find_nearest(middles, cartoon.rows, side, STONES)
    inside = np.minimum((second - first) / 2, 0.62 / STONES - first) * STONES  # depth in units of a stone
    rough = fractal(rng, side, 170, 2)
    stone = smoothstep(0.045, 0.085, inside + 0.012 * rough)

    at_x, at_y = middles.T
    tilt = rng.normal(0, 1, (2, len(middles)))  # random tilts make the gold glint in places
    value, tint = 1 + 0.13 * rng.standard_normal((len(middles), 1)), rng.standard_normal((len(middles), 3))
    color = sample(cartoon.colors, at_x, at_y)
    leaf = ramp(GOLD, 0.30 - 0.20 * tilt[0] - 0.23 * tilt[1])
    color = mix(color * value + 0.025 * tint, 0.35 * color + 0.65 * leaf, sample(cartoon.gold, at_x, at_y))
    stones = np.clip(color, 0, 1)[label] * (1 + 0.06 * fractal(rng, side, 90, 3)[..., None])

    x, y = coordinates(side)
    plane = (tilt[0, label] * (x - at_x[label]) + tilt[1, label] * (y - at_y[label])) * STONES
    height = blur(stone * (4.2 + 0.8 * plane + 0.12 * rough), side / 1000)
    grout = GROUT * (1 + 0.16 * fractal(rng, side, 220, 2)[..., None])
    return relief(mix(grout, stones, stone), height, 0.42, gloss=0.45)
