"""Woodcut: a red sun over mountains and a wooded lake, in black lines and one spot color."""

from __future__ import annotations

import numpy as np

from .canvas import coordinates, mix, rgb, smoothstep
from .noise import Array, fractal

PAPER, BLACK, RED = rgb("f1e4c8", "17130f", "c8321c")
SUN = (0.635, 0.285, 0.150)  # x, y, radius
PEAKS = (  # x, y of the top, steepness
    (0.05, 0.415, 0.52),
    (0.27, 0.335, 0.62),
    (0.45, 0.430, 0.50),
    (0.83, 0.405, 0.50),
    (1.02, 0.460, 0.45),
)
SHORE = 0.675  # y at which the lake begins
PINES = ((-0.004, 0.060, 46), (0.012, 0.115, 26))  # for each row: feet below the shore, height, number


class Print:
    """The prints of two blocks: ink of the key block and spot color, each [side, side] in 0..1."""

    def __init__(self, ink: Array, spot: Array) -> None:
        self.ink, self.spot = ink, spot

    def lay(self, depth: Array, ink: Array, spot: Array | float = 0.0) -> None:
        """Replace both prints wherever `depth` is above 0."""
        self.ink = np.where(depth > 0, ink, self.ink)
        self.spot = np.where(depth > 0, spot, self.spot)


def _grooves(phase: Array, tone: Array, wander: Array) -> Array:
    """Cut grooves into the wood and return the ink that is left, in 0..1.

    Args:
        phase: Coordinate across the grooves. There is one groove per unit.
        tone: Lightness in 0..1. Lighter areas get wider grooves.
        wander: Noise by which the grooves swell and taper, as those of a gouge do.
    """
    wave = np.abs(np.mod(phase, 1) - 0.5) * 2  # 1 in the middle of a line, 0 between two lines
    cut = tone + 0.16 * wander
    soft = np.clip(np.hypot(*np.gradient(phase)) * 1.6, 1e-4, 0.8)
    return smoothstep(-1, 1, (wave - cut) / soft)


def _sky(x: Array, y: Array, wander: Array) -> tuple[Array, Array]:
    """Return the ink of the sky, with rings of light broken into rays, and the spot color of the sun."""
    dx, dy = x - SUN[0], y - SUN[1]
    radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    rays = np.cos(36 * angle) * smoothstep(0.0, 0.35, radius)
    light = 0.86 - 0.75 * np.clip((radius - SUN[2]) / 0.75, 0, 1) - 0.30 * rays
    ink = _grooves(radius * 64 + 0.30 * np.sin(18 * angle), light, wander)
    clouds = _grooves(dy * 48 + 0.25 * np.sin(60 * dx), 1.15 * dy / SUN[2] - 0.1, wander)
    return np.where(radius < SUN[2] + 0.012, 0, ink), clouds * (radius < SUN[2])


def _mountains(rng: np.random.Generator, x: Array, y: Array, wander: Array) -> tuple[Array, Array]:
    """Return the depth below a snowy ridge and its ink; faces that are turned to the sun are nearly bare."""
    side = len(x)
    crest = np.min([top + steep * np.abs(x - at) ** 0.9 for at, top, steep in PEAKS], axis=0)
    depth = y - crest - 0.007 * fractal(rng, side, (34, 3), 3)[0]
    ribs = np.sin(2 * np.pi * (5.2 * x - 2.0 * np.sqrt(depth.clip(0))))
    spurs = fractal(rng, side, (9, 3.5), 4, 0.6) + 1.5 * ribs
    steep = _grooves(58 * (0.80 * x + 0.62 * y), 0.50 - 0.12 * spurs.clip(0, 3) - 0.9 * depth.clip(0), wander)
    bare = _grooves(64 * (0.85 * x - 0.45 * y), 1.02 + 0.08 * spurs.clip(-3, 0) - 1.5 * depth.clip(0), wander)
    ink = np.where(spurs > 0, steep, bare)
    return depth, np.where(depth < 0.0032, 1, ink)


def _pines(
    rng: np.random.Generator, x: Array, y: Array, wander: Array, foot: Array, tall: float, count: int
) -> tuple[Array, Array]:
    """Return the inside (above 0) and the ink of a row of pines whose feet are on the line `foot`."""
    inside = np.full(x.shape, -1.0, np.float32)
    phase, tone = np.zeros_like(x), np.zeros_like(x)
    places = (np.arange(count) + rng.uniform(0.1, 0.9, count)) / count * 1.1 - 0.05
    for at in rng.permutation(places):
        height = tall * float(rng.uniform(0.55, 1.0))
        column = (x[0] > at - height) & (x[0] < at + height)
        dx, up = x[:, column] - at, (foot - y)[:, column] / height  # 0 at the foot, 1 at the tip
        boughs = np.mod(up * 7 + 0.35 * wander[:, column], 1)
        half = 0.23 * height * (1.02 - up) * (0.62 + 0.55 * (1 - boughs))
        here = np.minimum(half - np.abs(dx), height * np.minimum(up, 1 - up))
        new = here > 0
        inside[:, column] = np.where(new, here, inside[:, column])
        phase[:, column] = np.where(new, up * 14 + 40 * np.abs(dx), phase[:, column])
        lit = 0.42 * smoothstep(0.1, 0.9, dx / half * np.sign(SUN[0] - at)) + 0.05
        tone[:, column] = np.where(new, lit, tone[:, column])
    return inside, np.where(inside < 0.0016, 0, _grooves(phase, tone - 0.05, wander))


def _lake(x: Array, y: Array, wander: Array) -> tuple[Array, Array, Array]:
    """Return the depth below the far shore, the ink of the water, and the sun's red reflection on it."""
    depth = y - SHORE
    rows = 9 * np.log(depth.clip(1e-3) + 0.07) + 0.20 * np.sin(26 * x + 40 * y)
    road = np.exp(-(((x - SUN[0] - 0.015 * np.sin(70 * y)) / (0.065 + 0.30 * depth.clip(0))) ** 2))
    ink = _grooves(rows * 2.1, 0.30 + 0.65 * road + 0.15 * np.sin(9 * x + 3), wander)
    return depth, ink, _grooves(rows * 2.1 + 0.5, 1.35 - 1.15 * road, wander)


def _bank(rng: np.random.Generator, x: Array, y: Array, wander: Array) -> tuple[Array, Array]:
    """Return the depth below the edge of the near bank and the ink of its grass."""
    side = len(x)
    edge = 0.905 - 0.05 * np.cos(2 * np.pi * (x - 0.02)) + 0.012 * np.sin(17 * x)
    blades = fractal(rng, side, (70, 1.5), 2)
    depth = y - edge
    bend = 80 * (x + 0.55 * depth + 1.6 * depth**2) + 3.0 * np.sin(6 * x)
    grass = _grooves(bend, 0.50 - 1.8 * depth + 0.2 * np.sin(13 * x + 5 * depth), wander)
    depth = depth + 0.008 * np.abs(blades) * (1.2 + np.sin(11 * x))
    return depth, np.where(depth < 0.004, 0, grass)


def paint(side: int, rng: np.random.Generator) -> Array:
    """Paint the picture [side, side, 3]."""
    x, y = coordinates(side)
    slow = np.stack([fractal(rng, side, 5, 3), fractal(rng, side, 5, 3)])
    x = x + 0.0030 * slow[0] + 0.0005 * fractal(rng, side, 70, 2)
    y = y + 0.0030 * slow[1]
    wander = fractal(rng, side, 26, 3)

    blocks = Print(*_sky(x, y, wander))
    blocks.lay(*_mountains(rng, x, y, wander))
    blocks.lay(*_lake(x, y, wander))
    for below, tall, count in PINES:
        foot = SHORE + below + 0.006 * np.sin(8 * x + 30 * tall)
        blocks.lay(*_pines(rng, x, y, wander, foot, tall, count))
    blocks.lay(*_bank(rng, x, y, wander))

    grain = fractal(rng, side, (14, 240), 3, 0.7) + 0.8 * fractal(rng, side, 300, 2)
    ink = blocks.ink * (1 - 0.95 * smoothstep(2.7, 3.3, grain)) * (0.97 - 0.03 * grain.clip(-1, 1))
    shift = round(0.0028 * side)  # the second block never lies exactly on the first
    spot = np.roll(blocks.spot, (shift, -shift), (0, 1))
    spot *= 0.94 - 0.10 * smoothstep(0.6, 2.2, np.roll(grain, side // 3, 0))
    paper = PAPER * (1 + 0.018 * fractal(rng, side, (90, 130), 3)[..., None])
    return mix(mix(paper, RED, spot), BLACK, ink)
