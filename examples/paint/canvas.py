"""Tools that all styles share: coordinates, colors, raking light, and the final reduction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from .noise import Array, blur

SUPERSAMPLING = 2  # pictures are painted this many times larger and then reduced


def coordinates(side: int) -> tuple[Array, Array]:
    """Return x and y of the pixel centers, each [side, side] in 0..1, with y pointing down."""
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side
    x, y = np.meshgrid(axis, axis)
    return x, y


def rgb(*codes: str) -> Array:
    """Convert hexadecimal codes such as "1b2f5c" into colors [n, 3] in 0..1."""
    return np.array([[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in codes], np.float32)


def ramp(colors: Array, position: Array | float, stops: Sequence[float] | None = None) -> Array:
    """Interpolate between colors along a ramp.

    Args:
        colors: [n, 3].
        position: Positions on the ramp in 0..1, of any shape [...].
        stops: Positions of the colors, evenly spaced if None.

    Returns:
        [..., 3].
    """
    at = np.linspace(0, 1, len(colors)) if stops is None else np.asarray(stops)
    return np.stack([np.interp(position, at, channel) for channel in colors.T], -1).astype(np.float32)


def smoothstep(low: Array | float, high: Array | float, value: Array | float) -> Array:
    """Return a smooth step from 0 at `low` to 1 at `high`, which falls if `low` is above `high`."""
    t = np.clip((np.asarray(value) - low) / (np.asarray(high) - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def mix(under: Array, over: Array, amount: Array | float) -> Array:
    """Blend colors `over` [..., 3] onto `under` with the opacity `amount`, [...] in 0..1."""
    return under + np.asarray(amount)[..., None] * (over - under)


def relief(colors: Array, height: Array, depth: float, gloss: float = 0.0) -> Array:
    """Light a surface with a raking lamp at the upper left.

    Args:
        colors: Colors of the surface, [side, side, 3].
        height: Height of the surface, [side, side], in thousandths of the picture's side.
        depth: Strength of the shading, 1 for the true slope.
        gloss: Strength of the highlight, 0..1.
    """
    side = height.shape[0]
    slope_y, slope_x = np.gradient(height * (depth * side / 1000))
    norm = np.sqrt(1 + slope_x**2 + slope_y**2)
    light = np.array([-0.5, -0.6, 0.62]) / np.linalg.norm([-0.5, -0.6, 0.62])
    diffuse = (-slope_x * light[0] - slope_y * light[1] + light[2]) / norm
    half = light + np.array([0, 0, 1])
    half /= np.linalg.norm(half)
    mirror = np.clip((-slope_x * half[0] - slope_y * half[1] + half[2]) / norm, 0, 1)
    shade = np.clip(diffuse / light[2], 0.05, None)
    shine = gloss * np.clip(mirror**40 - half[2] ** 40, 0, 1)
    lit: Array = np.clip(colors * shade[..., None] ** 0.8 + shine[..., None], 0, 1).astype(np.float32)
    return lit


def bloom(colors: Array, radius: float, amount: float) -> Array:
    """Add a glow around bright parts.

    Args:
        colors: [side, side, 3].
        radius: Radius of the glow in fractions of the picture's side.
        amount: Strength of the glow, 0..1.
    """
    glow = blur(colors**2, radius * len(colors))
    return np.asarray(1 - (1 - np.clip(colors, 0, 1)) * (1 - np.clip(amount * glow, 0, 1)))


def finish(colors: Array, size: int) -> Image.Image:
    """Reduce a supersampled painting to `size` x `size` pixels of eight bits."""
    eight_bit = np.round(np.clip(colors, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(eight_bit).resize((size, size), Image.Resampling.LANCZOS)
