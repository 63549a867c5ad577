"""Turkish marbling: drops of color on a thickened bath, drawn out with combs and a stylus.

Source: Lu, Jaffer, Jin, Zhao and Mao 2012, "Mathematical marbling". A drop or a tine moves the whole bath by
an invertible map, so each pixel is traced back in time until it lies in a drop.
"""

from __future__ import annotations

from math import cos, pi, sin

import numpy as np

from .canvas import coordinates, mix, relief, rgb, smoothstep
from .noise import Array, fractal, scatter

INKS = rgb("f6ead2", "7c1530", "b3262e", "15274f", "1f5f74", "d9992c", "f2e0b8", "0c1830", "d2603a", "8fb3a6")
SHARES = (0.15, 0.16, 0.15, 0.16, 0.09, 0.11, 0.05, 0.05, 0.05, 0.03)
CURLS = (  # spirals drawn with a stylus: middle, radius, turn in radians
    ((0.27, 0.30), 0.17, 3.4),
    ((0.74, 0.62), 0.19, -3.6),
    ((0.30, 0.82), 0.11, -2.8),
    ((0.76, 0.16), 0.11, 2.9),
    ((0.50, 0.48), 0.08, 2.4),
)
DROPS = ((0.008, 170), (0.030, 200), (0.048, 130), (0.085, 90))  # mean radius and number, latest drops first


class Bath:
    """The pixels of a picture, traced back in time until each lies in a drop.

    Args:
        x, y: Pixel positions, each [side, side].
    """

    def __init__(self, x: Array, y: Array) -> None:
        self.x, self.y = x.ravel(), y.ravel()
        self.ink = np.zeros(x.size, np.intp)
        self.depth = np.zeros(x.size, np.float32)  # position in the drop: 0 at the rim, 1 in the middle
        self._open = np.arange(x.size)  # indices of the pixels that have not reached a drop yet

    def undo_comb(self, angle: float, pitch: float, pull: float, sharpness: float, phase: float) -> None:
        """Undo a comb of parallel tines, each of which drags the bath near it along.

        Args:
            angle: Direction of the comb's movement in radians.
            pitch: Distance between the tines.
            pull: Displacement at a tine.
            sharpness: Distance from a tine at which the displacement is half as large.
            phase: Shift of the tines across the movement.
        """
        across = self.x * sin(angle) - self.y * cos(angle) + phase
        distance = np.abs(np.mod(across, pitch) - pitch / 2)
        shift = pull * sharpness / (sharpness + distance)
        self.x -= shift * cos(angle)
        self.y -= shift * sin(angle)

    def undo_wave(self, angle: float, length: float, swing: float) -> None:
        """Undo a comb that was drawn in a wavy line of a given wavelength and amplitude."""
        along = self.x * cos(angle) + self.y * sin(angle)
        shift = swing * np.sin(2 * pi * along / length)
        self.x += shift * sin(angle)
        self.y -= shift * cos(angle)

    def undo_curl(self, center: tuple[float, float], radius: float, turn: float) -> None:
        """Undo a stylus that was turned in a spiral."""
        dx, dy = self.x - center[0], self.y - center[1]
        angle = -turn * np.exp(-((np.hypot(dx, dy) / radius) ** 2))
        self.x = center[0] + np.cos(angle) * dx - np.sin(angle) * dy
        self.y = center[1] + np.sin(angle) * dx + np.cos(angle) * dy

    def undo_drop(self, center: tuple[float, float], radius: float, ink: int) -> None:
        """Undo a drop: pixels inside get its ink, and pixels outside return to where they were before."""
        dx, dy = self.x - center[0], self.y - center[1]
        squared = dx * dx + dy * dy
        inside = squared < radius * radius
        arrived = self._open[inside]
        self.ink[arrived] = ink
        self.depth[arrived] = 1 - np.sqrt(squared[inside]) / radius
        outside = ~inside
        self._open = self._open[outside]
        scale = np.sqrt(1 - radius * radius / squared[outside])
        self.x = center[0] + dx[outside] * scale
        self.y = center[1] + dy[outside] * scale


def paint(side: int, rng: np.random.Generator) -> Array:
    """Paint the picture [side, side, 3]."""
    x, y = coordinates(side)
    tremor = 0.0012 * np.stack([fractal(rng, side, 24, 3), fractal(rng, side, 24, 3)])
    x, y = x + tremor[0], y + tremor[1]
    bath = Bath(x, y)
    for center, radius, turn in CURLS:
        bath.undo_curl(center, radius, turn)
    bath.undo_wave(0.0, 0.62, 0.035)
    bath.undo_comb(pi / 2, 0.055, 0.09, 0.010, 0.0)
    bath.undo_comb(0.0, 0.26, 0.30, 0.03, 0.05)
    bath.undo_comb(pi, 0.26, 0.30, 0.03, 0.18)
    radii = [radius * float(rng.uniform(0.5, 1.5)) for radius, count in DROPS for _ in range(count)]
    inks = rng.choice(len(INKS), len(radii), p=SHARES)
    for center, radius, ink in zip(scatter(rng, len(radii), margin=0.25), radii, inks, strict=True):
        bath.undo_drop((float(center[0]), float(center[1])), radius, int(ink))

    ink = bath.ink.reshape(side, side)
    depth = bath.depth.reshape(side, side)
    colors = INKS[ink]
    cloud = 0.5 * fractal(rng, side, 60, 4, 0.7)
    colors = colors * (1 + 0.06 * cloud[..., None])
    colors = mix(colors, colors**1.35 * 0.9, smoothstep(0.14, 0.0, depth))
    paper = fractal(rng, side, 160, 3, 0.8)
    return relief(np.clip(colors, 0, 1), 0.10 * paper, 0.5)
