"""Fauvist harbor: boats and houses in flat planes of loud color, in a sky and a sea of loose dabs."""

from __future__ import annotations

import numpy as np

from .brush import Easel
from .canvas import ramp, relief, rgb
from .noise import Array, scatter
from .planes import area, chords

GROUND = rgb("f6e7c4")[0]
SKY = rgb("2f7fc1", "6db7d8", "bfe0cf", "f9d7a8", "f6a08c", "ee6f7d")  # from the top to the houses
HILLS = rgb("5b3f9b", "8a4fa8", "d0568f", "2f8f7a")
WALLS = rgb("f2542d", "f9a620", "f7d448", "e93f6f", "f4b6a6", "2fa37c", "fbeecb", "2a6fbb")
ROOFS = rgb("b3202f", "6b2d8c", "1f4f9a", "e2571e")
SEA = rgb("1b4f9c", "2b86c5", "2fb3a8", "7fd0b0", "f6e08a", "f79a5b", "ea5f77")
LINE = rgb("14204f", "2a2a6b")
QUAY = 0.545  # y of the edge of the water
SUN = (0.70, 0.17, 0.085)
# Boats from far to near: x of the middle, y of the waterline, half length, color of the hull, of the sail.
BOATS = (
    (0.56, 0.605, 0.060, "e93f6f", "fbeecb"),
    (0.83, 0.680, 0.105, "2fa37c", "f9a620"),
    (0.31, 0.800, 0.205, "f2542d", "f7d448"),
)


def _dab(
    easel: Easel, rng: np.random.Generator, at: Array, turn: float, size: tuple[float, float], color: Array
) -> None:
    """Draw one loose stroke; `size` is (length, width)."""
    course = turn + rng.normal(0, 0.25) * np.linspace(-1, 1, 6)
    path = np.cumsum(np.stack([np.cos(course), np.sin(course)], -1), 0) * size[0] / 6
    first, second = np.clip(color + rng.normal(0, 0.035, (2, 1)) + rng.normal(0, 0.02, (2, 3)), 0, 1)
    easel.stroke(
        at + path - path.mean(0), size[1], first, second, dry=rng.uniform(0.1, 0.5), thickness=75 * size[1]
    )


def _line(easel: Easel, rng: np.random.Generator, path: Array, width: float) -> None:
    """Draw an outline of dark blue, by hand, along points [n, 2]."""
    at = np.linspace(0, len(path) - 1, 12)
    points = np.stack([np.interp(at, range(len(path)), axis) for axis in path.T], -1)
    shaken = points + 0.0018 * np.cumsum(rng.standard_normal(points.shape), 0)
    easel.stroke(shaken, width * rng.uniform(0.8, 1.2), *LINE, dry=0.25, thickness=1.5)


def _plane(
    easel: Easel,
    rng: np.random.Generator,
    corners: Array,
    color: Array,
    turn: float,
    *,
    outline: float = 0.009,
) -> None:
    """Fill a convex plane with parallel strokes of one color, and draw its outline."""
    width = np.clip(0.3 * np.sqrt(area(corners)), 0.01, 0.042)
    for share, ends in chords(corners, np.array([np.cos(turn), np.sin(turn)]), width):
        shade = color * (1.08 - 0.22 * share)
        first, second = np.clip(shade + rng.normal(0, 0.03, (2, 3)) + [[-0.03], [0.03]], 0, 1)
        path = ends[0] + np.linspace(0, 1, 6)[:, None] * (ends[1] - ends[0])
        path = path + 0.05 * width * rng.standard_normal(path.shape)
        easel.stroke(path, width, first, second, dry=rng.uniform(0, 0.3), thickness=2.0)
    if outline:
        for here, there in zip(corners, np.roll(corners, -1, 0), strict=True):
            _line(easel, rng, np.array([here, there]), outline)


def _sky(easel: Easel, rng: np.random.Generator) -> None:
    """Cover the sky with dabs that fan out around the sun, large ones first."""
    for count, width in ((420, 0.042), (420, 0.026)):
        for x, y in scatter(rng, count, 0.04):
            if y > 0.42:
                continue
            away = np.hypot(x - SUN[0], y - SUN[1])
            turn = np.arctan2(y - SUN[1], x - SUN[0]) + np.pi / 2 + rng.normal(0, 0.25)
            color = ramp(SKY, np.clip(y / 0.42 + rng.normal(0, 0.13), 0, 1))
            if rng.uniform() < np.exp(-away / 0.12):
                color = ramp(rgb("fff2b0", "f9b233", "f2542d"), np.clip(away / 0.2, 0, 1))
            _dab(easel, rng, np.array([x, y]), turn, (2.9 * width, width), color)
    for reach in np.arange(SUN[2], 0.008, -0.012):
        for start in rng.uniform(0, 2 * np.pi, 5):
            arc = start + np.linspace(0, 1.6, 8)
            path = np.array(SUN[:2]) + reach * np.stack([np.cos(arc), np.sin(arc)], -1)
            color = ramp(rgb("fffbe0", "ffe066", "f9b233"), reach / SUN[2])
            easel.stroke(path, 0.016, color, color * 0.94, dry=0.2, thickness=2.2)


def _town(easel: Easel, rng: np.random.Generator) -> None:
    """Draw the hills, and houses of three rows, the nearest last."""
    for left, peak, right, height, color in (
        (-0.1, 0.16, 0.55, 0.24, HILLS[0]),
        (0.35, 0.60, 0.95, 0.30, HILLS[2]),
        (0.62, 0.95, 1.3, 0.22, HILLS[1]),
    ):
        hill = np.array([[left, QUAY], [peak, height], [right, QUAY]])
        _plane(easel, rng, hill, color, rng.uniform(0.5, 1.1), outline=0.011)
    for row, base in enumerate((0.44, 0.49, QUAY)):
        x = rng.uniform(-0.06, 0)
        while x < 1:
            across, tall = (
                (0.055 + 0.022 * row) * rng.uniform(0.8, 1.5),
                (0.07 + 0.02 * row) * rng.uniform(0.8, 1.4),
            )
            wall = np.array([[x, base], [x, base - tall], [x + across, base - tall], [x + across, base]])
            _plane(easel, rng, wall, WALLS[rng.integers(len(WALLS))], np.pi / 2, outline=0.006)
            eaves = 0.12 * across
            roof = np.array(
                [
                    [x - eaves, base - tall],
                    [x + across / 2, base - tall - rng.uniform(0.35, 0.7) * across],
                    [x + across + eaves, base - tall],
                ]
            )
            _plane(easel, rng, roof, ROOFS[rng.integers(len(ROOFS))], 0.3, outline=0.006)
            for column in range(2):
                for floor in range(1 + row // 2):
                    at = np.array([x + across * (0.3 + 0.4 * column), base - tall * (0.72 - 0.36 * floor)])
                    window = at + np.array([[0, -0.010], [0, 0.010]])
                    easel.stroke(window, 0.011, *LINE, dry=0.1, thickness=1.5)
            x += across * rng.uniform(1.02, 1.3)


def _sea(easel: Easel, rng: np.random.Generator) -> None:
    """Cover the water with level dabs that leave some of the ground, larger toward the viewer."""
    for density, shrink in ((1.0, 1.0), (0.8, 0.6)):
        for x, depth in scatter(rng, int(520 * density), 0.03):
            if not 0 <= depth <= 1.03:
                continue
            y = QUAY + (1.02 - QUAY) * depth
            width = (0.009 + 0.026 * depth) * shrink
            mirrored = np.exp(-depth / 0.45)  # of the houses and the sky
            tone = np.clip(0.12 + 0.55 * (1 - mirrored) * rng.uniform() + rng.normal(0, 0.14), 0, 1)
            color = ramp(SEA, tone)
            if rng.uniform() < 0.45 * mirrored:
                color = WALLS[rng.integers(len(WALLS))]
            if abs(x - SUN[0]) < 0.05 + 0.09 * depth and rng.uniform() < 0.5:
                color = ramp(rgb("fff2b0", "f9b233", "f2542d"), rng.uniform())
            _dab(easel, rng, np.array([x, y]), rng.normal(0, 0.13), (3.4 * width, width), color)


def _boat(
    easel: Easel, rng: np.random.Generator, x: float, y: float, half: float, hull: str, sail: str
) -> None:
    """Draw a boat with mast, sails and a broken reflection."""
    colors = rgb(hull, sail)
    deep = 0.30 * half
    top = y - 2.3 * half
    for share in np.linspace(0.1, 1.6, 14):
        at = np.array([x + rng.normal(0, 0.42 * half), y + share * half * 0.9])
        mirrored = colors[int(share > 0.7)] * 0.9
        _dab(easel, rng, at, 0.0, (0.55 * half, 0.10 * half), mirrored)
    lean = 0.05 * half
    main = np.array([[x + lean, top], [x + 0.04 * half, y - 0.42 * half], [x + 0.85 * half, y - 0.42 * half]])
    jib = np.array(
        [[x - lean, top + 0.3 * half], [x - 0.08 * half, y - 0.4 * half], [x - 0.8 * half, y - 0.4 * half]]
    )
    _plane(easel, rng, main, colors[1], 1.1, outline=0.045 * half)
    _plane(easel, rng, jib, np.minimum(1, colors[1] * 0.75 + 0.3), 2.0, outline=0.045 * half)
    body = np.array(
        [
            [x - half, y - deep],
            [x + 1.05 * half, y - 1.15 * deep],
            [x + 0.72 * half, y + 0.5 * deep],
            [x - 0.66 * half, y + 0.5 * deep],
        ]
    )
    _plane(easel, rng, body, colors[0], 0.05, outline=0.07 * half)
    stripe = np.array([[x - 0.9 * half, y - 0.6 * deep], [x + 0.95 * half, y - 0.7 * deep]])
    easel.stroke(stripe, 0.06 * half, GROUND, GROUND * 0.95, dry=0.3, thickness=2.0)
    _line(easel, rng, np.array([[x, y - deep], [x, top - 0.12 * half]]), 0.06 * half)


def paint(side: int, rng: np.random.Generator) -> Array:
    """Paint the picture [side, side, 3]."""
    easel = Easel(np.broadcast_to(GROUND, (side, side, 3)).astype(np.float32), rng, hair=9)
    _sky(easel, rng)
    _town(easel, rng)
    _sea(easel, rng)
    _line(easel, rng, np.array([[-0.02, QUAY], [1.02, QUAY]]), 0.012)
    for boat in BOATS:
        _boat(easel, rng, *boat)
    colors, height = easel.surface()
    return relief(colors, height, 0.7, gloss=0.2)
