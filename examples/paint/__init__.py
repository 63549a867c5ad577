"""Eight style images, each painted by a program of a page: `python -m examples.paint all -o examples/style`.

A style is a module with one function, `paint(side, rng) -> [side, side, 3]`. All lengths in it are
fractions of the picture's side and all randomness comes from `rng`, so that a seed means the same
picture at every size.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np
from PIL import Image

from .canvas import SUPERSAMPLING, finish

STYLES = ("nocturne", "stained_glass", "marbling", "woodcut", "mosaic", "knife", "watercolour", "ink")


def render(style: str, size: int = 640, seed: int = 0) -> Image.Image:
    """Paint one style, `size` x `size` pixels."""
    paint = import_module(f".{style}", __package__).paint
    return finish(paint(size * SUPERSAMPLING, np.random.default_rng(seed)), size)
