"""Palette knife: an avenue in autumn after rain, in slabs of thick paint that the wet road reflects."""

from __future__ import annotations

import numpy as np

from .brush import Easel
from .canvas import coordinates, mix, ramp, relief, rgb, smoothstep
from .noise import Array, fractal, sample

LIGHT = rgb("fff6d8", "ffe08a", "ffb52b", "f97f17", "e0461a", "b81f33", "6e1640", "2c1140")
LEAVES = rgb("ffd23c", "ff9d1c", "f4631a", "d92a24", "a8163a", "ffe98c", "e85a6a", "5f9f8f", "2f7f94")
BARK = rgb("170b22", "2e1230", "4a2145", "1c2350")
TRUNK = rgb("170b22", "2e1230", "4a2145", "8a3050", "e8702c", "ffcb6a")  # from shade to light
WET = rgb("f7d9b0", "b59ac9", "5f6fb5", "2c3f8c", "231a55")

VANISH = (0.53, 0.535)
SHORE = 0.60  # y at which the ground begins in the distance
TRUNKS = (  # from far to near: x and y of the foot, thickness, y of the top
    (0.460, 0.610, 0.006, 0.42),
    (0.600, 0.610, 0.006, 0.42),
    (0.420, 0.625, 0.009, 0.33),
    (0.645, 0.630, 0.010, 0.33),
    (0.360, 0.650, 0.015, 0.18),
    (0.715, 0.655, 0.017, 0.16),
    (0.265, 0.700, 0.026, 0.02),
    (0.820, 0.710, 0.028, 0.00),
    (0.100, 0.800, 0.046, -0.05),
    (0.965, 0.810, 0.050, -0.05),
)


def _light(rng: np.random.Generator, side: int) -> Array:
    """Return the colors of air and crowns, from light at the end of the avenue to night at the corners."""
    x, y = coordinates(side)
    dx, dy = (x - VANISH[0]) / 0.62, (y - VANISH[1]) / 0.78
    distance = np.hypot(dx, dy) + 0.075 * fractal(rng, side, 6, 3)
    return ramp(LIGHT, np.clip(distance * 1.02, 0, 1), (0, 0.09, 0.22, 0.38, 0.54, 0.68, 0.84, 1.0))


def _underpainting(light: Array, side: int) -> Array:
    """Return the colors of the air and of its darker reflection in the ground, [side, side, 3]."""
    x, y = coordinates(side)
    mirrored = sample(light, x, np.where(y > SHORE, 2 * SHORE - y, y))
    return mix(0.92 * mirrored, rgb("5a1d2e")[0], smoothstep(SHORE, SHORE + 0.2, y))


def _slab(
    easel: Easel,
    rng: np.random.Generator,
    at: Array,
    turn: float,
    size: tuple[float, float],
    color: Array,
) -> None:
    """Draw one mark of the knife with two unmixed pigments and a torn edge; `size` is (length, width)."""
    course = turn + rng.normal(0, 0.35) * np.linspace(-1, 1, 7)
    path = np.cumsum(np.stack([np.cos(course), np.sin(course)], -1), 0) * size[0] / 7
    shift = 0.035 * (rng.standard_normal((2, 3)) + rng.standard_normal((2, 1)))
    first, second = np.clip(color + shift, 0, 1).astype(np.float32)
    dry, thickness = rng.uniform(0.1, 0.6), min(3.0, 95 * size[1])
    easel.stroke(at + path - path.mean(0), size[1], first, second, dry=dry, thickness=thickness, square=True)


def _crowns(easel: Easel, rng: np.random.Generator, light: Array, count: int, scale: float) -> None:
    """Cover the air with marks that fan out from the end of the avenue."""
    for _ in range(count):
        x, y = rng.uniform(-0.03, 1.03), rng.uniform(-0.03, SHORE + 0.03)
        away = np.hypot(x - VANISH[0], y - VANISH[1])
        color = sample(light, x, y)
        if rng.uniform() < 0.36 * smoothstep(0.05, 0.25, away):
            leaf = LEAVES[rng.choice(len(LEAVES), p=(0.17, 0.17, 0.17, 0.14, 0.10, 0.08, 0.06, 0.07, 0.04))]
            color = 0.25 * color + 0.75 * leaf * (1.06 - 0.45 * away)
        turn = np.arctan2(y - VANISH[1], x - VANISH[0]) + rng.normal(np.pi / 2 * (rng.uniform() < 0.5), 0.5)
        size = scale * (0.55 + 1.0 * away) * rng.uniform(0.6, 1.3)
        _slab(easel, rng, np.array([x, y]), turn, (2.4 * size, size), color)


def _trunk(easel: Easel, rng: np.random.Generator, x: float, foot: float, girth: float, top: float) -> None:
    """Draw a trunk in long strokes, lit from the end of the avenue, and branches that reach across."""
    rise = np.linspace(0, 1, 16)
    inward = np.sign(VANISH[0] - x)
    half = 0.5 * girth * (1 - 0.55 * rise + 0.6 * np.exp(-22 * rise))
    sway = x + 0.9 * girth * np.sin(4 * rise + 9 * x) * rise - 0.25 * inward * girth * rise
    height = foot - rise * (foot - top)
    for _ in range(4):
        turn = -np.pi / 2 + rng.choice([-1, 1]) * rng.uniform(0.5, 1.0) + 0.5 * np.linspace(0, -1, 8)
        start = rng.integers(5, 13)
        reach = np.cumsum(np.stack([np.cos(turn), np.sin(turn)], -1), 0) * girth * rng.uniform(0.25, 0.6)
        branch = np.array([sway[start], height[start]]) + reach
        easel.stroke(branch, 0.24 * girth, *BARK[rng.integers(4, size=2)], dry=0.5, thickness=1.2)
    for place in (0, -0.6, 0.6, -0.25, 0.25, 0.5, -0.5, 0.8):
        lit = 0.55 + 0.45 * place * inward
        tone = ramp(TRUNK, np.array([lit - 0.25, lit]) ** 2)
        shake = rng.normal(0, 0.06 * girth, 16)
        pull = np.stack([sway + place * half + shake, height + rng.uniform(-0.2, 0.2) * girth], -1)
        easel.stroke(pull, 0.45 * girth * rng.uniform(0.7, 1.2), *tone, dry=0.65, thickness=2.0)


def _ground(easel: Easel, rng: np.random.Generator, light: Array, count: int) -> None:
    """Draw the wet road, which mirrors the air in level strokes, between banks of fallen leaves."""
    for depth in np.sort(rng.uniform(0, 1, count) ** 1.15):
        y = SHORE + depth * (1.03 - SHORE)
        x = rng.uniform(-0.03, 1.03)
        half = 0.045 + 0.40 * depth
        off = abs(x - VANISH[0] + 0.05 * depth) / half
        mirror = sample(light, x, VANISH[1] - 0.9 * (y - SHORE))
        wet = ramp(WET, 0.15 + 0.75 * depth + rng.normal(0, 0.2))
        road = mix(mirror, wet, 0.30 + 0.35 * (rng.uniform() < 0.5))
        leaf = LEAVES[rng.choice(5)] * (0.95 - 0.45 * abs(x - VANISH[0])) if rng.uniform() < 0.75 else BARK[2]
        color = road if off + rng.normal(0, 0.10) < 1 else leaf
        size = 0.014 + 0.032 * depth
        flat = (3.2 * size, size * rng.uniform(0.5, 1.0))
        _slab(easel, rng, np.array([x, y]), rng.normal(0, 0.14), flat, color)


def _leaves(easel: Easel, rng: np.random.Generator, count: int) -> None:
    """Draw leaves that fall through the air or lie on the road."""
    for _ in range(count):
        at = rng.uniform(0, 1, 2)
        size = 0.003 + 0.010 * abs(at[1] - VANISH[1])
        turn = rng.uniform(0, np.pi) if at[1] < SHORE else rng.normal(0, 0.3)
        leaf = LEAVES[rng.integers(5)]
        path = at + size * np.array([[-1.0], [1.0]]) * [np.cos(turn), np.sin(turn)]
        easel.stroke(path, 1.2 * size, 0.9 * leaf, np.minimum(1.15 * leaf, 1), dry=0.3, thickness=1.2)


def paint(side: int, rng: np.random.Generator) -> Array:
    """Paint the picture [side, side, 3]."""
    light = _light(rng, 320)
    easel = Easel(_underpainting(light, side), rng, hair=6)
    _crowns(easel, rng, light, 700, 0.060)
    _crowns(easel, rng, light, 1300, 0.036)
    for count in (1200, 2100):
        _ground(easel, rng, light, count)
    for x, foot, girth, top in TRUNKS:
        for _ in range(int(20 + 500 * girth)):  # the reflection of the trunk
            down = rng.uniform(0, 1) ** 1.5
            at = np.array([x + rng.normal(0, 0.35 * girth), foot + down * (foot - SHORE + 0.06) * 1.6])
            color = BARK[rng.integers(4)] + 0.08 * down
            _slab(easel, rng, at, rng.normal(0, 0.1), (1.4 * girth, 0.30 * girth), color)
        _trunk(easel, rng, x, foot, girth, top)
    _crowns(easel, rng, light, 900, 0.026)
    _leaves(easel, rng, 360)
    colors, height = easel.surface()
    return relief(colors, height, 0.75, gloss=0.35)
