"""The surface that every picture is painted on: coordinates, colour, raking light, the last reduction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .noise import Field, blur

Colors = NDArray[np.float32]  # [..., 3], sRGB in 0..1

SUPERSAMPLING = 2


def coordinates(side: int) -> tuple[Field, Field]:
    """Return x and y of the pixel centres, each [side, side] in 0..1, y downwards."""
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side
    x, y = np.meshgrid(axis, axis)
    return x, y


def rgb(*codes: str) -> Colors:
    """Turn hexadecimal codes such as "1b2f5c" into colours [n, 3]."""
    return np.array([[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in codes], np.float32)


def ramp(colors: Colors, position: Field, stops: Sequence[float] | None = None) -> Colors:
    """Interpolate along a ramp of colours [n, 3] at positions in 0..1 of any shape."""
    at = np.linspace(0, 1, len(colors)) if stops is None else np.asarray(stops)
    return np.stack([np.interp(position, at, colors[:, i]) for i in range(3)], -1).astype(np.float32)


def smoothstep(low: float, high: float, value: Field) -> Field:
    """Rise smoothly from 0 at `low` to 1 at `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def mix(under: Colors, over: Colors, amount: Field) -> Colors:
    """Lay `over` on `under` where `amount`, [...] in 0..1, says so."""
    return under + amount[..., None] * (over - under)


def relief(colors: Colors, height: Field, depth: float, gloss: float = 0.0) -> Colors:
    """Light a surface from the upper left as a raking studio lamp would.

    Args:
        colors: [side, side, 3].
        height: [side, side], in units of the picture's side times 1/1000.
        depth: Strength of the shading; 1 is the true slope.
        gloss: Strength of the highlight, 0..1.
    """
    side = height.shape[0]
    slope_y, slope_x = np.gradient(height * (depth * side / 1000))
    norm = np.sqrt(1 + slope_x**2 + slope_y**2)
    light = np.array([-0.5, -0.6, 0.62]) / np.linalg.norm([-0.5, -0.6, 0.62])
    diffuse = (-slope_x * light[0] - slope_y * light[1] + light[2]) / norm
    half = (light + [0, 0, 1]) / np.linalg.norm(light + [0, 0, 1])
    mirror = np.clip((-slope_x * half[0] - slope_y * half[1] + half[2]) / norm, 0, 1)
    shade = diffuse / light[2]
    shine = gloss * np.clip(mirror**40 - half[2] ** 40, 0, 1)
    return np.clip(colors * shade[..., None] ** 0.8 + shine[..., None], 0, 1).astype(np.float32)


def bloom(colors: Colors, radius: float, amount: float) -> Colors:
    """Let bright parts glow over their surroundings; `radius` in fractions of the picture's side."""
    glow = blur(colors**2, radius * len(colors))
    return 1 - (1 - np.clip(colors, 0, 1)) * (1 - np.clip(amount * glow, 0, 1))


def finish(colors: Colors, size: int) -> Image.Image:
    """Reduce a supersampled painting to `size` pixels and eight bits."""
    eight_bit = np.round(np.clip(colors, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(eight_bit).resize((size, size), Image.Resampling.LANCZOS)
