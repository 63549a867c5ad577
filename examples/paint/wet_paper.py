"""Wet paper: washes of transparent pigment that pool at their borders and settle in the grain."""

from __future__ import annotations

import numpy as np

from .canvas import rgb, smoothstep
from .noise import Array, fractal

Window = tuple[slice, slice]


class WetPaper:
    """Paper on which every wash absorbs some of the reflected light.

    Watercolors are painted from front to back: early washes dry and keep later ones out.

    Args:
        side: Pixels on each side.
        rng: Random number generator of the paper's grain and of the water's movement.
    """

    def __init__(self, side: int, rng: np.random.Generator) -> None:
        self.side = side
        self.grain = fractal(rng, side, 190, 3, 0.6)
        self.light = np.broadcast_to(rgb("fdfaf2")[0], (side, side, 3)).copy()
        self._reserved = np.zeros((side, side), np.float32)  # share of later washes that is kept out
        self._wet = np.zeros((side, side), np.float32)
        self._rng = rng
        self._ragged = fractal(rng, side, 34, 5, 0.6)
        self._cloudy = fractal(rng, side, 11, 4, 0.55)

    def frame(self, x: float, y: float, reach: float, turn: float) -> tuple[Window, Array, Array]:
        """Return a window around a shape and, in it, the coordinates along and across the shape.

        Args:
            x, y: Start of the shape in 0..1. The window is empty if the shape is off the paper.
            reach: Length of the shape in fractions of the paper's side.
            turn: Direction of the shape in radians.
        """
        middle = np.array([x + 0.5 * reach * np.cos(turn), y + 0.5 * reach * np.sin(turn)])
        low = np.clip(np.floor((middle - 0.85 * reach) * self.side), 0, self.side).astype(int)
        high = np.clip(np.ceil((middle + 0.85 * reach) * self.side), 0, self.side).astype(int)
        window = slice(low[1], high[1]), slice(low[0], high[0])
        dx = ((np.arange(low[0], high[0]) + 0.5) / self.side - x).astype(np.float32)
        dy = ((np.arange(low[1], high[1]) + 0.5) / self.side - y).astype(np.float32)[:, None]
        c, s = float(np.cos(turn)), float(np.sin(turn))
        return window, c * dx + s * dy, c * dy - s * dx

    def wash(
        self,
        window: Window,
        depth: Array,
        color: Array,
        load: Array | float,
        *,
        soft: float = 0.0010,
        granulation: float = 0.10,
    ) -> None:
        """Lay a wash into a window of the paper.

        Args:
            window: Rows and columns of the window.
            depth: Distance to the border of the wash in fractions of the paper's side, positive inside.
            color: Color of the pigment at load 1, [3].
            load: Amount of pigment in the water, 1 for a full wash.
            soft: Width of the border. Dry paper gives a narrow one with a dark rim, damp paper a wide one.
            granulation: Share of the pigment that settles in the hollows of the paper.
        """
        ragged, cloudy = self._unrest(window)
        depth = depth + (0.0016 + 0.25 * soft) * ragged
        inside = smoothstep(-soft, soft + 0.8 / self.side, depth)
        rim = np.exp(-np.clip(depth, 0, None) / (0.0022 + soft)) * np.clip(0.75 + 0.35 * cloudy, 0, 1.3)
        rim *= soft < 0.004
        level = 0.9 + 0.6 * self._rng.standard_normal()
        backrun = smoothstep(level, level + 0.5, cloudy)  # clean water has pushed the pigment aside
        ridge = np.exp(-(((cloudy + 0.07 * ragged - level) / 0.09) ** 2))
        pigment = load * (0.74 + 0.26 * cloudy - 0.40 * backrun + 0.40 * ridge + 0.85 * rim)
        pigment = np.clip(pigment * (1 - granulation * self.grain[window] * (1.4 - rim)), 0, None)
        pigment *= inside * (1 - self._reserved[window])
        self.light[window] *= np.exp(np.log(np.clip(color, 0.02, 0.995)) * pigment[..., None])
        np.maximum(self._wet[window], smoothstep(-0.0022, -0.0008, depth), out=self._wet[window])

    def dry(self, kept: float) -> None:
        """Let the wet areas dry, so that they keep the share `kept` of every later wash out."""
        np.maximum(self._reserved, kept * self._wet, out=self._reserved)
        self._wet[:] = 0

    def _unrest(self, window: Window) -> tuple[Array, Array]:
        """Return fine and coarse noise for a window, taken from a random position."""
        rows, columns = (
            slice(start, start + part.stop - part.start)
            for part in window
            for start in [int(self._rng.uniform() * (self.side - (part.stop - part.start)))]
        )
        return self._ragged[rows, columns], self._cloudy[rows, columns]
