"""Oil painting: a night wind curls around the moon and the stars over hills and a sleeping village."""

from __future__ import annotations

import numpy as np

from .brush import Easel, trace
from .canvas import bloom, coordinates, mix, ramp, relief, rgb, smoothstep
from .noise import Array, fractal, sample

SKY = rgb("0d1440", "16276a", "1f429b", "2e6cb8", "5b9fcd", "a3cdd3", "dfe6c4")
GLOW = rgb("fffdf0", "fff0a0", "fac63f", "f09a2e", "d8c77a", "8fc0b8", "4c8fcc")
HILLS = rgb("121a4a", "1c3f73", "2b6680", "3f8a83", "86a86a")
FIELD = rgb("15281f", "2b4a25", "5d6b22", "a98a2a", "e0b84a")
TREE = rgb("070d12", "10221c", "21361d", "454a1c", "7a4a1e")

LIGHTS = (  # the moon and the stars: x, y, radius of the glow
    (0.80, 0.17, 0.160),
    (0.10, 0.10, 0.070),
    (0.30, 0.08, 0.055),
    (0.52, 0.13, 0.075),
    (0.63, 0.33, 0.055),
    (0.93, 0.42, 0.065),
    (0.40, 0.52, 0.050),
    (0.25, 0.44, 0.045),
    (0.77, 0.52, 0.045),
    (0.60, 0.02, 0.040),
)
# x, y, radius, rotation
EDDIES = ((0.40, 0.30, 0.17, 1.0), (0.58, 0.44, 0.12, -1.0), (0.06, 0.33, 0.14, -0.9))
RIDGES = (  # from far to near: y of the ridge, amplitude and number of its waves, colors
    (0.640, 0.030, 3, HILLS),
    (0.715, 0.028, 4, HILLS * 0.8),
    (0.790, 0.018, 3, FIELD),
    (0.880, 0.016, 2, FIELD),
)
CYPRESSES = ((0.145, 0.19, 0.055), (0.262, 0.45, 0.036))  # x of the foot, y of the top, thickness
BRUSHES = (  # number of strokes, width, length, variation of their color
    (1300, 0.0260, 0.110, 0.030),
    (4200, 0.0125, 0.062, 0.045),
    (3600, 0.0068, 0.040, 0.060),
)


def _wind(x: Array, y: Array, waves: Array) -> Array:
    """Return the direction of the strokes in the sky in radians."""
    along, down = np.ones_like(x), 0.35 * np.sin(7 * x + 2 * waves) + 0.2 * waves
    turning = [(*light, 1.0 if i % 2 else -1.0) for i, light in enumerate(LIGHTS)]
    for center_x, center_y, radius, turn in (*turning, *EDDIES):
        dx, dy = x - center_x, y - center_y
        distance = np.hypot(dx, dy) + 1e-4
        weight = 6 * turn * np.exp(-((distance / (0.9 * radius)) ** 2))
        inward = 0.25 * abs(weight)
        along += (-weight * dy - inward * dx) / distance
        down += (weight * dx - inward * dy) / distance
    return np.arctan2(down, along)


def _streaks(rng: np.random.Generator, angle: Array, side: int = 320) -> Array:
    """Smear noise along a field of directions by line integral convolution.

    Args:
        rng: Source of the noise.
        angle: Directions in radians.
        side: Pixels on each side of the result.

    Returns:
        Flowing bands [side, side], distributed uniformly in 0..1.
    """
    noise = fractal(rng, side, 26, 2)
    x, y = (c.ravel() for c in coordinates(side))
    paths = trace(angle, x, y, np.full(x.shape, 0.22, np.float32), points=14)
    smeared = sum(sample(noise, paths[:, i, 0], paths[:, i, 1]) for i in range(paths.shape[1]))
    rank = np.argsort(np.argsort(np.asarray(smeared)))
    return (rank / rank.size).reshape(side, side).astype(np.float32)


def _sky(rng: np.random.Generator, side: int) -> tuple[Array, Array]:
    """Return the colors of the sky with its bands of wind and its lights, and the directions of strokes."""
    x, y = coordinates(side)
    wind = _wind(x, y, fractal(rng, side, 3, 3))
    streak = _streaks(rng, wind, side)
    colors = ramp(SKY, 0.12 + 0.62 * streak + 0.22 * (y - 0.25))
    for center_x, center_y, radius in LIGHTS:
        distance = np.hypot(x - center_x, y - center_y) / radius + 0.10 * (streak - 0.5)
        colors = mix(colors, ramp(GLOW, distance), smoothstep(1.15, 0.75, distance))
    return colors, wind


def _hills(rng: np.random.Generator, colors: Array, angle: Array) -> tuple[Array, Array]:
    """Add the hills, which are light along their ridges."""
    side = len(colors)
    x, y = coordinates(side)
    for base, swell, cells, palette in RIDGES:
        ridge = base + swell * fractal(rng, side, cells, 3)[0] - 0.05 * np.exp(-(((x[0] - 0.97) / 0.25) ** 2))
        depth = (y - ridge) / 0.11
        slope = np.arctan(np.gradient(ridge, 1 / side))[None]
        tone = 0.95 - 0.75 * np.sqrt(np.clip(depth, 0, 1)) + 0.17 * fractal(rng, side, (18, 40), 2)
        colors = mix(colors, ramp(palette, tone), smoothstep(-0.03, 0.03, depth))
        angle = np.where(depth > 0, slope + 0.5 * fractal(rng, side, 5, 2) * np.clip(depth, 0, 0.8), angle)
    return colors, angle


def _cypresses(rng: np.random.Generator, colors: Array, angle: Array) -> tuple[Array, Array]:
    """Add the cypresses, which rise like dark flames."""
    side = len(colors)
    x, y = coordinates(side)
    for foot, top, girth in CYPRESSES:
        rise = np.clip((1.04 - y) / (1.04 - top), 0, 1)
        lean = foot + 0.016 * np.sin(9 * y + 40 * foot) * (0.3 + rise)
        waves = 1 + 0.09 * np.sin(31 * y + 60 * foot)
        half = girth * np.sqrt(np.sin(np.pi * (0.18 + 0.819 * rise))) * waves
        across = (x - lean) / np.maximum(half, 1e-3)
        lick = 0.18 * fractal(rng, side, (26, 9), 2)
        tone = 0.30 - 0.22 * across + 0.20 * fractal(rng, side, (34, 7), 2)
        inside = (np.abs(across + lick) < 1) & (y > top)
        colors = mix(colors, ramp(TREE, tone), inside.astype(np.float32))
        flame = -np.pi / 2 - 0.50 * across * (1 - 1.4 * rise) + 0.45 * np.sin(24 * y + 5 * across)
        angle = np.where(inside, flame, angle)
    return colors, angle


def _layer(
    easel: Easel,
    rng: np.random.Generator,
    scene: tuple[Array, Array],
    brush: tuple[int, float, float, float],
) -> None:
    """Cover the canvas with strokes of one brush.

    Args:
        easel: The painting.
        rng: Source of all randomness.
        scene: Colors and directions of the strokes.
        brush: A row of BRUSHES.
    """
    colors, angle = scene
    count, width, length, jitter = brush
    x, y = rng.uniform(-0.02, 1.02, (2, count)).astype(np.float32)
    paths = trace(angle, x, y, (length * rng.uniform(0.6, 1.3, count)).astype(np.float32), points=7)
    aim = sample(colors, x, y)
    tint = jitter * rng.standard_normal((2, count, 3)) * [0.7, 0.8, 1.0]
    value = jitter * rng.standard_normal((2, count, 1))
    first, second = np.clip(aim + tint + value + [[[-0.05]], [[0.05]]], 0, 1).astype(np.float32)
    widths = width * rng.uniform(0.7, 1.25, count)
    for i in range(count):
        easel.stroke(paths[i], widths[i], first[i], second[i], dry=0.45, thickness=90 * widths[i])


def _hearts(easel: Easel, rng: np.random.Generator) -> None:
    """Fill the middle of each light, where the field has no direction, with a whorl of pale paint."""
    for x, y, radius in LIGHTS:
        for reach in np.arange(0.30, 0.01, -0.006 / radius):
            for start in rng.uniform(0, 2 * np.pi, 4):
                turn = start + np.linspace(0, 1.7, 8)
                arc = np.stack([x + reach * radius * np.cos(turn), y + reach * radius * np.sin(turn)], -1)
                pigments = ramp(GLOW, np.clip(0.9 * reach + rng.normal(0, 0.07, 2), 0, 1))
                easel.stroke(arc, 0.0075, *pigments, dry=0.4, thickness=0.7)


def _windows(easel: Easel, rng: np.random.Generator) -> None:
    """Draw the lit windows of a village at the foot of the hills."""
    lit = ramp(rgb("f08a2c", "ffc94a", "fff3b0"), rng.uniform(0, 1, (34, 2)).astype(np.float32))
    for pigments in lit:
        x = rng.choice([0.50, 0.60, 0.66, 0.83]) + rng.normal(0, 0.022)
        y = 0.802 + rng.normal(0, 0.011)
        flame = np.array([[x, y - 0.004], [x + rng.normal(0, 0.002), y + rng.uniform(0.003, 0.008)]])
        easel.stroke(flame, rng.uniform(0.005, 0.010), *pigments, dry=0.0, thickness=1.6)


def paint(side: int, rng: np.random.Generator) -> Array:
    """Paint the picture [side, side, 3]."""
    scene = _cypresses(rng, *_hills(rng, *_sky(rng, 320)))
    easel = Easel(np.broadcast_to(rgb("3a2f3c")[0], (side, side, 3)), rng)
    for brush in BRUSHES:
        _layer(easel, rng, scene, brush)
    _hearts(easel, rng)
    _windows(easel, rng)
    colors, height = easel.surface()
    return relief(bloom(colors, 0.02, 0.10), height, 0.55, gloss=0.25)
