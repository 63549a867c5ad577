"""Ink wash: mountains rise out of mist behind an old pine, in tones of one black with a red seal."""

from __future__ import annotations

import numpy as np

from .brush import Easel
from .canvas import coordinates, mix, relief, rgb, smoothstep
from .noise import Array, blur, fractal, sample

PAPER, INK, SEAL = rgb("efe6d2", "14161a", "b3261e")

# From far to near: strength of the ink, then for each mountain x and y of the foot, half the width, the
# height.
RANGES = (
    (0.28, ((0.90, 0.54, 0.30, 0.40), (0.22, 0.54, 0.30, 0.27), (0.55, 0.54, 0.28, 0.38))),
    (0.50, ((0.98, 0.70, 0.30, 0.46), (0.36, 0.70, 0.27, 0.38), (0.05, 0.70, 0.24, 0.32))),
    (0.78, ((0.69, 0.86, 0.28, 0.54), (0.10, 0.88, 0.28, 0.38), (1.00, 0.90, 0.22, 0.38))),
    (1.00, ((0.36, 1.06, 0.32, 0.38), (0.88, 1.08, 0.34, 0.34), (0.02, 1.12, 0.24, 0.34))),
)
# In front of each range but the last: y of a bank of mist, and the radius by which damp paper blurs the ink.
MISTS = ((0.60, 0.0020), (0.73, 0.0010), (0.89, 0.0004))


class Mountain:
    """A mountain as nested profiles: s in -1..1 runs along a profile, and j in 0..1 runs down the face.

    Args:
        rng: Random number generator of the shape.
        foot: x and y of the middle of the base.
        wide, high: Half the width, and the height.
    """

    def __init__(self, rng: np.random.Generator, foot: tuple[float, float], wide: float, high: float) -> None:
        self.foot, self.wide, self.high = foot, wide, high
        self.folds = fractal(rng, 256, (5, 2), 2)
        self.crags = np.abs(fractal(rng, 256, (13, 7), 4, 0.55))

    def place(self, s: Array | float, j: Array | float) -> Array:
        """Return the points [..., 2] in 0..1 at positions on the mountain."""
        u, v = (np.asarray(s) + 1) / 2, np.asarray(j) * 0.999
        swell = 0.84 + 0.16 * sample(self.folds, u, v) - 0.14 * sample(self.crags, u, v)
        height = self.high * np.cos(0.5 * np.pi * np.clip(s, -1, 1)) ** 0.85 * swell * (1 - 0.85 * v)
        return np.stack([self.foot[0] + self.wide * s * (1 - 0.45 * v), self.foot[1] - height], -1)

    def rise(self, y: float) -> float:
        """Return the height above the foot relative to the mountain's, 0..1; ink fades toward 0."""
        return float(np.clip((self.foot[1] - y) / self.high, 0, 1))


def _tone(strength: float) -> Array:
    """Return the color of thinned ink on paper."""
    return np.asarray(PAPER * (INK / PAPER) ** strength, np.float32)


def _line(easel: Easel, points: Array, width: float, strength: float, dry: float) -> None:
    """Draw a line of ink."""
    easel.stroke(points, width, _tone(strength), _tone(0.55 * strength), dry=dry, glaze=True)


def _wash(easel: Easel, mountain: Mountain, crest: Array, strength: float, wet: Array) -> None:
    """Lay ink under a crest [points, 2] and let it fade toward the mountain's foot."""
    side = easel.side
    left, right = np.clip(crest[[0, -1], 0] * side, 0, side).astype(int)
    top, bottom = np.clip([(crest[:, 1].min() - 0.01) * side, mountain.foot[1] * side], 0, side).astype(int)
    window = slice(top, bottom), slice(left, right)
    x, y = np.arange(left, right) / side, np.arange(top, bottom)[:, None] / side
    depth = y - np.interp(x, crest[:, 0], crest[:, 1]) + 0.0012 * wet[window]
    t = np.clip(depth / mountain.high, 0, None)
    pool = 0.55 * np.exp(-t / 0.10) + 0.42 * np.exp(-t / 0.45) + 0.16 * wet[window]
    load = strength * np.clip(pool, 0, 1.2) * smoothstep(1.0, 0.45, t) * smoothstep(-0.0012, 0.0022, depth)
    load *= smoothstep(0.0, 0.4, (mountain.foot[1] - y) / mountain.high)
    easel.surface()[0][window] *= np.exp(np.log(INK / PAPER) * 0.60 * load[..., None])


def _mountain(
    easel: Easel, rng: np.random.Generator, mountain: Mountain, strength: float, wet: Array
) -> None:
    """Paint a wash, wrinkles along the folds of the rock, an outline in broken strokes, and moss."""
    crest = mountain.place(np.linspace(-1, 1, 400), 0.0)
    _wash(easel, mountain, crest, strength, wet)
    for _ in range(int(3200 * mountain.wide * (0.3 + strength))):
        j, start = rng.uniform(0.02, 0.9) ** 0.9, rng.uniform(-0.95, 0.95)
        run = np.linspace(0, rng.uniform(0.05, 0.16), 8)
        points = mountain.place(start + run, j + 0.12 * run)
        fall = (points[-1, 1] - points[0, 1]) / mountain.high / run[-1]  # steeper away from the light
        crag = float(sample(mountain.crags, (start + 1) / 2, j))
        shade = np.clip(0.42 + 0.22 * fall + 0.28 * crag, 0.10, 1.15) * (1 - 0.80 * j)
        width = mountain.high * rng.uniform(0.003, 0.017) * (1.2 - 0.5 * j)
        _line(easel, points, width, strength * shade * rng.uniform(0.6, 1.2), rng.uniform(0.6, 1.0))
    start = 4
    while start < 392:
        stop = min(start + int(rng.integers(14, 60)), 396)
        fade = min(1, 0.02 + 2.5 * mountain.rise(crest[start, 1]))
        width = 0.0022 + 0.014 * mountain.high * rng.uniform(0.3, 1.2)
        _line(easel, crest[start:stop], width, 1.15 * strength * fade, 0.7)
        start = stop - 3
    for _ in range(int(700 * mountain.wide * strength)):
        at = mountain.place(rng.uniform(-0.95, 0.95), abs(rng.normal(0, 0.22)) % 1)
        size = (0.0018 + 0.013 * mountain.high) * rng.uniform(0.3, 1.1)
        dot = at + size * (np.array([[-0.6, 0.2], [0.6, -0.2]]) + rng.normal(0, 0.5, 2))
        _line(easel, dot, size, 1.2 * strength * rng.uniform(0.5, 1), 0.2)


def _mist(easel: Easel, level: float, soft: float, wet: Array) -> None:
    """Blur the painting, as damp paper does, and lift the ink around the height `level`."""
    colors = easel.surface()[0]
    _, y = coordinates(easel.side)
    veil = 0.80 * np.exp(-(((y - level - 0.02 * wet) / 0.085) ** 2)) * np.clip(0.85 + 0.3 * wet, 0, 1)
    colors[:] = mix(blur(colors, soft * easel.side), PAPER, veil)


def _walk(rng: np.random.Generator, start: Array, turn: float, length: float, restless: float) -> Array:
    """Return a crooked path of 15 points, [15, 2]."""
    course, heading = [], turn
    for _ in range(14):
        heading += rng.normal(0, restless) + 0.12 * (turn - heading)
        course.append([np.cos(heading), np.sin(heading)])
    return np.concatenate([start[None], start + np.cumsum(course, 0) * length / 14])


def _bough(
    easel: Easel, rng: np.random.Generator, start: Array, turn: float, girth: float, length: float
) -> None:
    """Paint a bough in strokes of split bark, then its twigs, and fans of needles on the thinnest ones."""
    path = _walk(rng, start, turn, length, 0.28)
    tangent = np.gradient(path, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], -1) / np.hypot(*tangent.T)[:, None]
    taper = girth * np.linspace(1, 0.35, len(path))[:, None] * normal
    for lane in (0.0, -0.42, 0.42, -0.2, 0.2, 0.38, -0.3, 0.3):
        first = 0
        while first < 13:
            last = first + int(rng.integers(5, 11))
            pull = (path + (lane + rng.normal(0, 0.05)) * taper)[first:last]
            width = girth * (1 - 0.045 * first) * rng.uniform(0.25, 0.5)
            easel.stroke(pull, width, _tone(1.05), _tone(rng.uniform(0.3, 0.9)), dry=0.85, glaze=True)
            first = last - 2
    if girth > 0.006:
        for i in range(3, 15, 2):
            bend = rng.choice([-1, 1]) * rng.uniform(0.5, 1.1)
            _bough(easel, rng, path[i], turn + bend, 0.42 * girth, 0.42 * length * (1.15 - i / 20))
    else:
        for i in (5, 9, 12, 14):
            _needles(easel, rng, path[i], rng.uniform(0.030, 0.044), rng.uniform(0.55, 1.0))


def _needles(easel: Easel, rng: np.random.Generator, at: Array, reach: float, strength: float) -> None:
    """Paint a fan of pine needles that points up."""
    for turn in rng.normal(-np.pi / 2, 0.35) + rng.uniform(-1.45, 1.45, 34):
        course = turn + 0.12 * np.linspace(-1, 1, 4)
        needle = (
            np.cumsum(np.stack([np.cos(course), np.sin(course)], -1), 0) * reach * rng.uniform(0.15, 0.26)
        )
        _line(easel, at + needle, 0.0030, strength * rng.uniform(0.65, 1.05), 0.3)


def _seal(colors: Array, rng: np.random.Generator, at: tuple[float, float], wide: float) -> Array:
    """Print a small red seal with four carved signs."""
    side = len(colors)
    x, y = coordinates(side)
    u, v = (x - at[0]) / wide, (y - at[1]) / wide
    border = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
    signs = rng.uniform(size=(9, 9)) < 0.52
    signs[4] = signs[:, 4] = False
    row, column = (np.clip((c - 0.12) / 0.76 * 9, 0, 8).astype(int) for c in (v, u))
    raised = np.where((border < 0.10) | signs[row, column], 1.0, 0.06)
    worn = smoothstep(1.9, 1.2, fractal(rng, side, 200, 2))
    printed = raised * worn * smoothstep(0, 0.05, border + 0.02 * fractal(rng, side, 120, 2))
    return mix(colors, colors * SEAL, printed)


def paint(side: int, rng: np.random.Generator) -> Array:
    """Paint the picture [side, side, 3]."""
    wet = fractal(rng, side, 5, 5, 0.55)
    fiber = fractal(rng, side, (40, 160), 3, 0.7) + fractal(rng, side, (160, 40), 3, 0.7)
    _, y = coordinates(side)
    clouds = np.exp(-0.10 * smoothstep(-0.6, 1.6, wet) * smoothstep(0.6, 0.0, y))
    easel = Easel(PAPER * clouds[..., None], rng, hair=18)
    for i, (strength, mountains) in enumerate(RANGES):
        if i:
            _mist(easel, *MISTS[i - 1], wet)
        for x, foot, wide, high in mountains:
            _mountain(easel, rng, Mountain(rng, (x, foot), wide, high), strength, wet)
    _bough(easel, rng, np.array([-0.07, 0.12]), 0.10, 0.032, 0.80)
    colors = _seal(easel.surface()[0], rng, (0.905, 0.035), 0.060)
    colors = colors * (1 + 0.024 * fiber[..., None] * (1.2 - colors.mean(-1, keepdims=True)))
    return relief(np.clip(colors, 0, 1), 0.03 * fiber, 0.5)
