"""Watercolor: a bed of anemones in layers of glaze, with leaves and mist washed in around them."""

from __future__ import annotations

import numpy as np

from .canvas import relief, rgb
from .noise import Array, fractal, scatter
from .wet_paper import WetPaper

PETALS = rgb("e2456b", "f0654f", "c43a8e", "f58a6a", "8a4fb5", "d9305a", "f59a5a", "6d63c9")
GREENS = rgb("5f9a4a", "2f7d62", "86a83a", "3f8f8a", "49704a", "a9b545")
MIST = rgb("b5e2ea", "dccdf2", "cdeebf", "f9d3c6", "b3e6d6", "f8e7b0")
INDIGO, GOLD = rgb("1e2350", "e0a526")

FLOWERS = (0.160,) * 5 + (0.135,) * 5 + (0.115,) * 5 + (0.075,) * 7  # lengths of the petals
# load of pigment, share of later washes kept out
LEAVES = ((0.95, 0.85), (0.85, 0.70), (0.60, 0.60), (0.45, 0.50), (0.35, 0.40))


def _flower(paper: WetPaper, rng: np.random.Generator, at: Array, reach: float) -> None:
    """Paint two rounds of petals, a blurred heart and stamens."""
    lean, squash = rng.uniform(0, 2 * np.pi), rng.uniform(0.62, 1.0)
    first = rng.integers(len(PETALS))
    for layer, count in enumerate((7, 6)):
        for k in rng.permutation(count):
            turn = 2 * np.pi * (k + 0.5 * layer + rng.normal(0, 0.10)) / count
            shorter = np.hypot(np.cos(turn - lean), squash * np.sin(turn - lean))
            color = PETALS[(first + rng.choice([0, 0, 0, 1, 2])) % len(PETALS)]
            _petal(paper, rng, at, turn, reach * shorter * rng.uniform(0.85, 1.1) * (1 - 0.22 * layer), color)
    _spots(paper, rng, at, 0.11 * reach, GOLD, 1, 0.10 * reach)
    _spots(paper, rng, at, 0.0, INDIGO, 1, 0.13 * reach)
    _spots(paper, rng, at, 0.24 * reach, INDIGO, 26, 0.020 * reach)


def _petal(
    paper: WetPaper, rng: np.random.Generator, at: Array, turn: float, reach: float, color: Array
) -> None:
    """Paint a petal that is saturated at its root and notched at its end."""
    window, along, across = paper.frame(at[0], at[1], reach, turn)
    t = np.clip(along / reach, 0, 1)
    half = reach * rng.uniform(0.36, 0.46) * np.sqrt(np.clip(1 - (2 * t**0.72 - 1) ** 2, 0, 1))
    notch = 0.06 * reach * np.exp(-((across / (0.10 * reach)) ** 2))
    ends = np.minimum(along - 0.06 * reach, 0.98 * reach - notch - along)
    veins = 1 + 0.10 * np.sin(across / reach * 60 + 3 * np.sin(9 * t)) * t
    load = rng.uniform(0.32, 0.68) * (1.35 - 0.95 * t + 0.45 * t**4) * veins
    soft = 0.0010 if rng.uniform() < 0.85 else 0.007
    paper.wash(window, np.minimum(half - np.abs(across), ends), color, load, soft=soft)


def _leaf(paper: WetPaper, rng: np.random.Generator, load: float) -> None:
    """Paint a leaf at a random position with one twist of the brush; its midrib may stay dry."""
    x, y = rng.uniform(-0.05, 1.05, 2)
    reach = rng.uniform(0.10, 0.22)
    window, along, across = paper.frame(x, y, reach, rng.normal(-np.pi / 2, 1.1))
    t = np.clip(along / reach, 0, 1)
    across = across + reach * rng.normal(0, 0.35) * t * (1 - t)
    half = reach * rng.uniform(0.10, 0.17) * np.sin(np.pi * t**0.8)
    depth = np.minimum(half - np.abs(across), np.minimum(along, reach - along))
    rib = np.abs(across) - 0.0016 * (1 - t) * rng.choice([0, 1])
    color = GREENS[rng.integers(len(GREENS))] * rng.uniform(0.75, 1.05)
    soft = 0.0012 if rng.uniform() < 0.8 else 0.006
    paper.wash(window, np.minimum(depth, rib), color, load * (0.75 + 0.5 * t), soft=soft)


def _spots(
    paper: WetPaper, rng: np.random.Generator, at: Array, spread: float, color: Array, count: int, size: float
) -> None:
    """Paint `count` drops of pigment in a ring of radius `spread`."""
    for _ in range(count):
        angle, away = rng.uniform(0, 2 * np.pi), spread * rng.uniform(0.75, 1.15)
        radius = size * rng.uniform(0.6, 1.3)
        x, y = at[0] + away * np.cos(angle), at[1] + away * np.sin(angle)
        window, along, across = paper.frame(x - 2 * radius, y, 4 * radius, 0.0)
        depth = radius - np.hypot(along - 2 * radius, across)
        paper.wash(window, depth, color, 1.0, soft=min(0.004, 0.35 * radius))


def _mist(paper: WetPaper, rng: np.random.Generator) -> None:
    """Cover the paper with pale colors: most bleed into each other, and a few dry with sharp edges."""
    everywhere = slice(0, paper.side), slice(0, paper.side)
    for i, soft in enumerate((0.025,) * 6 + (0.001,) * 3):
        depth = 0.05 * (fractal(rng, paper.side, 4.5, 4) - rng.uniform(0.2, 0.9))
        color = MIST[i % len(MIST)] ** 1.5
        paper.wash(everywhere, depth, color, rng.uniform(0.5, 0.9), soft=soft, granulation=0.12)


def paint(side: int, rng: np.random.Generator) -> Array:
    """Paint the picture [side, side, 3]."""
    paper = WetPaper(side, rng)
    for at, reach in zip(scatter(rng, len(FLOWERS), margin=0.03), FLOWERS, strict=True):
        _flower(paper, rng, at, reach * rng.uniform(0.9, 1.15))
        paper.dry(0.97)
    for load, kept in LEAVES:
        for _ in range(4):
            for _ in range(11):
                _leaf(paper, rng, load)
            paper.dry(kept)
    _mist(paper, rng)
    pigments = np.concatenate([PETALS, GREENS])
    for at in rng.uniform(0, 1, (120, 2)):  # spatter
        color = pigments[rng.integers(len(pigments))]
        _spots(paper, rng, at, 0.0, color, 1, 0.0011 * np.exp(rng.normal(0.3, 0.6)))
    return relief(np.clip(paper.light, 0, 1), 0.11 * paper.grain, 0.45)
