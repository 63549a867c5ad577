"""Where a result appears, strip by strip, in the type it shall have."""

from __future__ import annotations

import torch
from torch import Tensor

from ..model import soft_clip
from .color import keep_chroma

# What the type calls white, over the 255 of the strips.
SCALES = {torch.uint8: 1.0, torch.uint16: 257.0}


class Canvas:
    """A picture to be painted.

    Args:
        content: What it is painted after, [3, H, W].
        dtype: uint8, uint16 or a float type.
        keep_chroma: Keep the colours of the content.
        over: What is painted over, if it is of that type and on the CPU: the result takes its place, row by
            row, and no memory of its own.

    Attributes:
        pixels: [3, H, W], on the CPU; floats are in 0..1.
    """

    def __init__(
        self, content: Tensor, dtype: torch.dtype, *, keep_chroma: bool, over: Tensor | None = None
    ) -> None:
        self.content = content
        self.keep_chroma = keep_chroma
        if over is not None and over.dtype == dtype and over.device.type == "cpu":
            self.pixels = over
        else:
            self.pixels = torch.empty(content.shape, dtype=dtype)

    def paint(self, start: int, strip: Tensor) -> None:
        """Paint a strip [3, h, W], float32, near 0..255, from a row on."""
        strip = soft_clip(strip, 255)
        stop = start + strip.shape[1]
        if self.keep_chroma:
            strip = self._recolor(strip, self.content[:, start:stop])
        if self.pixels.is_floating_point():
            strip = strip / 255
        else:
            strip = strip.mul_(SCALES[self.pixels.dtype]).round_()
        self.pixels[:, start:stop] = strip.to(self.pixels.dtype)

    @staticmethod
    def _recolor(strip: Tensor, content: Tensor) -> Tensor:
        """Give a strip in 0..255 the chroma of the content."""
        white = 1 if content.is_floating_point() else 255 * SCALES[content.dtype]
        original = content.to(strip.device).float() / white
        return keep_chroma(strip[None] / 255, original[None])[0] * 255
