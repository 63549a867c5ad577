"""Eleven style images, each painted by a short program: `python -m examples.paint all -o examples/style`.

A style is a module with a function `paint(side, rng)` that returns a picture [side, side, 3] in 0..1. All
lengths in it are fractions of the picture's side and all randomness comes from `rng`, so a seed gives the
same picture at every size.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np
from PIL import Image

from .canvas import SUPERSAMPLING, finish

STYLES = (
    *("nocturne", "stained_glass", "marbling", "woodcut", "mosaic", "knife", "watercolor", "ink", "facets"),
    *("harbor", "portrait"),
)


def render(style: str, size: int = 640, seed: int = 0) -> Image.Image:
    """Paint a style.

    Args:
        style: A name from STYLES.
        size: Height and width of the picture in pixels.
        seed: Seed of the random number generator.
    """
    paint = import_module(f".{style}", __package__).paint
    return finish(paint(size * SUPERSAMPLING, np.random.default_rng(seed)), size)
