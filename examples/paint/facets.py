"""Facets: a table with a jug and fruit, broken into planes of broad strokes between dark outlines."""

from __future__ import annotations

import numpy as np

from .brush import Easel
from .canvas import ramp, relief, rgb
from .noise import Array
from .planes import area, chords, split

LIGHT = rgb("f6ead0", "ecc98b", "d9973f", "c0582b")
COOL = rgb("dfe6df", "93b0b4", "4a7a8c", "23465f")
DARK = rgb("b9a58c", "7c6b5e", "4a4148", "231f2b")
ACCENTS = rgb("c8321f", "e9b23a", "2f7d5b", "1f4f9a")
LINE = rgb("120f16", "2a1d1f")
SMALLEST, LARGEST = 0.006, 0.055  # areas of the planes
# Middle x and y, radii, and color of the things on the table, from back to front.
THINGS = (
    (0.42, 0.43, 0.15, 0.27, 2),
    (0.43, 0.19, 0.09, 0.06, 3),
    (0.67, 0.62, 0.12, 0.11, 0),
    (0.27, 0.70, 0.11, 0.10, 1),
    (0.52, 0.74, 0.10, 0.09, 0),
)


def _break(polygon: Array, rng: np.random.Generator) -> list[Array]:
    """Break a polygon into planes of many sizes, along lines that lean on a few directions."""
    wanted = SMALLEST * (LARGEST / SMALLEST) ** rng.uniform(0, 1)
    if area(polygon) < wanted:
        return [polygon]
    spread = polygon - polygon.mean(0)
    long_axis = np.linalg.svd(spread, full_matrices=False)[2][0]
    turn = rng.normal(0, 0.45)
    cosine, sine = np.cos(turn), np.sin(turn)
    normal = np.array(
        [cosine * long_axis[0] - sine * long_axis[1], sine * long_axis[0] + cosine * long_axis[1]]
    )
    point = polygon.mean(0) + 0.12 * rng.standard_normal() * long_axis
    return [plane for part in split(polygon, point, normal) for plane in _break(part, rng)]


def _pick_colors(middle: Array, rng: np.random.Generator) -> tuple[Array, float, float]:
    """Choose the ramp of a plane, and where on it the plane begins and ends."""
    for x, y, across, down, accent in reversed(THINGS):
        inside = np.hypot((middle[0] - x) / across, (middle[1] - y) / down)
        if inside + rng.normal(0, 0.12) < 1:
            side = np.clip(0.5 + 0.5 * (middle[0] - x) / across, 0, 1)  # light falls from the left
            colors = np.concatenate([LIGHT[:1], ACCENTS[accent : accent + 1], DARK[3:]])
            return colors, 0.15 + 0.5 * side, 0.35 + 0.6 * side
    below = middle[1] > 0.62 + 0.2 * (middle[0] - 0.5)
    palette = LIGHT if below else (COOL, COOL, DARK, LIGHT)[rng.integers(4)]
    start = np.clip(0.25 + 0.6 * np.hypot(*(middle - [0.4, 0.35])) + rng.normal(0, 0.2), 0, 0.8)
    return palette, start, start + rng.choice([-1, 1]) * rng.uniform(0.15, 0.4)


def _fill(easel: Easel, rng: np.random.Generator, plane: Array) -> None:
    """Fill a plane with parallel strokes that shade from one end of a ramp to the other."""
    colors, first, last = _pick_colors(plane.mean(0), rng)
    edge = np.roll(plane, -1, 0) - plane
    longest = edge[np.argmax(np.hypot(*edge.T))]
    along = longest / np.hypot(*longest)
    width = np.clip(0.24 * np.sqrt(area(plane)), 0.014, 0.05)
    for share, ends in chords(plane, along, width):
        tone = np.clip(first + (last - first) * share + rng.normal(0, 0.05, 2), 0, 1)
        bend = 0.08 * width * rng.standard_normal((7, 2))
        path = ends[0] + np.linspace(0, 1, 7)[:, None] * (ends[1] - ends[0]) + bend
        path = path[:: rng.choice([-1, 1])]
        easel.stroke(path, width, *ramp(colors, tone), dry=rng.uniform(0.05, 0.4), thickness=2.2)


def _outline(easel: Easel, rng: np.random.Generator, path: Array, width: float) -> None:
    """Draw a dark line that swells and thins, in one or two strokes."""
    for _ in range(rng.integers(1, 3)):
        shake = 0.0025 * rng.standard_normal(path.shape)
        easel.stroke(path + shake, width * rng.uniform(0.6, 1.2), *LINE, dry=0.35, thickness=1.4)


def paint(side: int, rng: np.random.Generator) -> Array:
    """Paint the picture [side, side, 3]."""
    ground = np.broadcast_to(DARK[1], (side, side, 3)).astype(np.float32)
    easel = Easel(ground, rng, hair=9)
    frame = np.array([[-0.03, -0.03], [1.03, -0.03], [1.03, 1.03], [-0.03, 1.03]])
    planes = _break(frame, rng)
    for plane in planes:
        _fill(easel, rng, plane)
    for plane in planes:
        for here, there in zip(plane, np.roll(plane, -1, 0), strict=True):
            if rng.uniform() < 0.7:
                path = here + np.linspace(0, 1, 9)[:, None] * (there - here)
                _outline(easel, rng, path, rng.choice([0.004, 0.007, 0.012]))
    for x, y, across, down, _ in THINGS:
        start, turn = rng.uniform(0, 2 * np.pi), rng.uniform(4.0, 5.8)
        angle = np.linspace(start, start + turn, 40)
        path = np.stack([x + across * np.cos(angle), y + down * np.sin(angle)], -1)
        _outline(easel, rng, path, 0.016)
    colors, height = easel.surface()
    return relief(colors, height, 0.7, gloss=0.2)
