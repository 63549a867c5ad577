"""Stained glass: a sun with many petals over a valley, with each pane cut from its own sheet of glass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .canvas import bloom, coordinates, mix, ramp, relief, rgb, smoothstep
from .noise import Array, blur, fractal, sample

SUN = rgb("fff7c9", "ffd23e", "ff9a1f", "f2581d")
SKY = rgb("ffb52e", "f0662b", "d2304f", "8a2a8f", "3a37b0", "1560c4", "0d8fc9")
LAND = (
    rgb("2f6fb5", "2450a0", "4a3fa8"),
    rgb("1f8f86", "12766f", "2fae8e"),
    rgb("3f9a3a", "7fb52f", "1f7a3d", "c7c53a"),
    rgb("0f5a3a", "1b7a34", "0c4a4a", "8aa52a"),
)
RIVER = rgb("8fe3ee", "3fbfe0", "1e8fd0", "d5f5f0")
BERRY = rgb("e01f3a", "ff5a4a", "b80f5a", "ffb02e")

CENTER = (0.61, 0.35)  # x and y of the sun
WEDGES = 26  # number of rays in the sky
PETALS = ((22, 0.205, 0.030, SUN[1:]), (11, 0.125, 0.022, SUN[:3]))  # number, radius, length of the tips
BERRIES = (
    (0.080, 0.930),
    (0.155, 0.965),
    (0.130, 0.890),
    (0.800, 0.930),
    (0.875, 0.885),
    (0.900, 0.960),
    (0.720, 0.970),
    (0.040, 0.850),
    (0.955, 0.840),
)


class Panes:
    """The design of a window: the pane of each pixel and the distance to the next lead line."""

    def __init__(self, side: int) -> None:
        self.pane = np.zeros((side, side), np.int64)
        self.edge = np.full((side, side), np.inf, np.float32)  # fractions of the picture's side
        self.color = np.zeros((side, side, 3), np.float32)
        self.hatching = np.zeros((side, side), np.float32)  # painted lines, one per unit

    def add(
        self, where: NDArray[np.bool_], pane: NDArray[np.int64], edge: Array, color: Array, hatching: Array
    ) -> None:
        """Replace the panes in a region."""
        self.pane[where] = pane[where]
        self.edge[where] = edge[where]
        self.color[where] = color[where]
        self.hatching[where] = hatching[where]

    def lead(self, distance: Array) -> None:
        """Add a lead line where a distance is zero."""
        self.edge = np.minimum(self.edge, np.abs(distance))


def _bands(value: Array, width: Array | float) -> tuple[NDArray[np.int64], Array]:
    """Divide a coordinate into bands and return each pixel's band and its distance to the nearest end."""
    index = np.floor(value / width)
    inside = value / width - index
    return index.astype(np.int64), (np.minimum(inside, 1 - inside) * width).astype(np.float32)


def _sky(panes: Panes, rng: np.random.Generator, x: Array, y: Array) -> None:
    """Divide the sky into curled rays and those into panes, and add the petals and the heart of the sun."""
    dx, dy = x - CENTER[0], y - CENTER[1]
    radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    turned = angle + 0.55 * np.log(radius + 0.12) + np.pi * 3  # rays that curl a little
    spread = 2 * np.pi / WEDGES
    wedge, across = _bands(turned, spread)
    wedge %= WEDGES
    offset = rng.uniform(0, 1, WEDGES)[wedge]
    ring, along = _bands(np.sqrt(radius) + 0.11 * offset, 0.092)
    edge = np.minimum(across * radius * 0.9, along * 2 * np.sqrt(radius))
    pane = wedge * 131 + ring
    table = rng.uniform(-1, 1, 1 << 14)
    color = ramp(SKY, (radius - 0.20) / 0.62 + 0.16 * table[pane])
    panes.add(radius >= 0, pane, edge, color, turned / spread * 9)

    for count, reach, tip, palette in PETALS:
        spread = 2 * np.pi / count
        petal, across = _bands(turned, spread)
        petal %= count
        outline = reach + tip * np.cos(turned * count - np.pi) - radius
        tone = 0.85 * radius / (reach + tip) + 0.18 * table[petal + 7000 + count]
        edge = np.minimum(across * radius, np.abs(outline))
        panes.add(outline > 0, petal + 5000 + 100 * count, edge, ramp(palette, tone), turned / spread * 7)
        panes.lead(outline)
    heart = 0.058 - radius
    panes.add(heart > 0, np.full(x.shape, 9000), np.abs(heart), ramp(SUN, radius / 0.12), radius * 90)
    panes.lead(heart)


def _land(panes: Panes, rng: np.random.Generator, x: Array, y: Array) -> None:
    """Add four hills, divided along their furrows, and a river through them."""
    ridges = (
        0.600 + 0.030 * np.sin(6.0 * x + 0.6) + 0.02 * np.sin(15 * x),
        0.680 + 0.045 * np.sin(4.6 * x + 2.6),
        0.765 + 0.050 * np.sin(5.0 * x + 5.4),
        0.885 + 0.040 * np.sin(4.2 * x + 1.6),
    )
    for i, (ridge, palette) in enumerate(zip(ridges, LAND, strict=True)):
        below = y - ridge
        furrow = x + (0.9 if i % 2 else -0.8) * below + 0.02 * np.sin(20 * y)
        column, across = _bands(furrow + 1, 0.085 + 0.012 * i)
        row, along = _bands(below + 0.05 * rng.uniform(0, 1, 64)[column], 0.062 + 0.01 * i)
        pane = 10000 + 2000 * i + column * 50 + np.abs(row)
        color = palette[rng.integers(len(palette), size=1 << 15)[pane]]
        panes.add(below > 0, pane, np.minimum(across * 0.8, along), color, (below + 0.3 * furrow) * 110)
        panes.lead(below)
    down = np.clip((y - 0.66) / 0.34, 0, 1)
    bed = 0.40 + 0.10 * np.sin(9.5 * y + 0.4) * (0.4 + down)
    width = 0.018 + 0.075 * down**1.2
    shore = np.minimum(width - np.abs(x - bed), y - 0.66)
    row, along = _bands(y + 0.25 * (x - bed) + 0.02 * np.sin(30 * x), 0.05)
    half = (x > bed + 0.3 * width).astype(np.int64)
    color = RIVER[rng.integers(len(RIVER), size=400)[row * 2 + half]]
    edge = np.minimum(np.minimum(along, np.abs(x - bed - 0.3 * width)), np.abs(shore) * 0.8)
    panes.add(shore > 0, 30000 + row * 2 + half, edge, color, (x - bed) / width * 5)
    panes.lead(np.where(y > 0.64, shore * 0.8, 1))


def _berries(panes: Panes, rng: np.random.Generator, x: Array, y: Array) -> None:
    """Add small disks of red glass in the foreground."""
    for i, (center_x, center_y) in enumerate(BERRIES):
        inside = rng.uniform(0.017, 0.026) - np.hypot(x - center_x, y - center_y)
        color = np.broadcast_to(BERRY[i % len(BERRY)], panes.color.shape)
        panes.add(inside > 0, np.full(x.shape, 31000 + i), np.abs(inside), color, inside * 110)
        panes.lead(inside)


def _glass(panes: Panes, rng: np.random.Generator, x: Array, y: Array) -> Array:
    """Return the light that passes through the panes, each with its own streaks, ripples and thickness."""
    side = len(x)
    sheet = rng.uniform(0, 1, (1 << 16, 4)).astype(np.float32)[panes.pane]
    turn = 2 * np.pi * sheet[..., 0]
    along = np.cos(turn) * x + np.sin(turn) * y + 4 * sheet[..., 1]
    across = np.cos(turn) * y - np.sin(turn) * x + 4 * sheet[..., 2]
    along, across = (np.abs(np.mod(c, 2) - 1) for c in (along, across))  # sheets are mirrored at their ends
    streaks = sample(fractal(rng, side, (5, 26), 4, 0.6), along, across)
    ripples = sample(fractal(rng, side, (60, 90), 2), along, across)
    light = 0.86 + 0.34 * (sheet[..., 3] - 0.4) + 0.15 * streaks + 0.05 * ripples
    light *= 0.55 + 0.50 * smoothstep(0.0, 0.020, panes.edge)  # grime gathers along the lead
    painted = np.abs(np.mod(panes.hatching + 0.12 * ripples, 1) - 0.5) * 2  # brown trace lines, worn by time
    worn = smoothstep(-0.2, 1.0, fractal(rng, side, 16, 3)) * smoothstep(0.035, 0.008, panes.edge)
    light *= 1 - 0.42 * worn * smoothstep(0.45, 0.15, painted)
    deep = panes.color ** (1.65 - 0.25 * streaks[..., None])
    pale = mix(panes.color, np.ones(3, np.float32), np.clip(0.24 * light - 0.09, 0, 1))
    through = mix(deep, pale, np.clip(0.6 * light, 0, 1)) * (0.35 + 0.80 * light[..., None])
    return np.asarray(np.clip(through, 0, 1))


def paint(side: int, rng: np.random.Generator) -> Array:
    """Paint the picture [side, side, 3]."""
    x, y = coordinates(side)
    wobble = 0.006 * np.stack([fractal(rng, side, 7, 2), fractal(rng, side, 7, 2)])
    x, y = x + wobble[0], y + wobble[1]
    panes = Panes(side)
    _sky(panes, rng, x, y)
    _land(panes, rng, x, y)
    _berries(panes, rng, x, y)
    colors = bloom(_glass(panes, rng, x, y), 0.012, 0.40)
    thickness = 0.0042 + 0.0006 * fractal(rng, side, 30, 2)
    came = np.sqrt(np.clip(1 - (panes.edge / thickness) ** 2, 0, 1))
    metal = ramp(rgb("0b0c10", "23242b"), np.clip(0.5 + 0.25 * fractal(rng, side, 120, 2), 0, 1))
    metal = relief(metal, blur(4.5 * came, 0.0008 * side), 0.7, gloss=0.35)
    colors = mix(colors, metal, smoothstep(thickness * 1.08, thickness * 0.82, panes.edge))
    return bloom(colors, 0.035, 0.22)
