"""The result, which is written strip by strip in its final dtype."""

from __future__ import annotations

import torch
from torch import Tensor

from ..model import soft_clip
from .color import keep_chroma

# White of an integer type relative to 255, the white of the strips.
SCALES = {torch.uint8: 1.0, torch.uint16: 257.0}


class Canvas:
    """The pixels of a result.

    Args:
        content: The content [3, H, W].
        dtype: Type of the result: uint8, uint16 or a float type.
        keep_chroma: Whether the colors of the content are kept.
        reuse: A tensor that the result may overwrite row by row, so that it takes no memory of its own. It is
            used if it has the right type and is on the CPU.

    Attributes:
        pixels: [3, H, W], on the CPU; floats are in 0..1.
    """

    def __init__(
        self, content: Tensor, dtype: torch.dtype, *, keep_chroma: bool, reuse: Tensor | None = None
    ) -> None:
        self.content = content
        self.keep_chroma = keep_chroma
        if reuse is not None and reuse.dtype == dtype and reuse.device.type == "cpu":
            self.pixels = reuse
        else:
            self.pixels = torch.empty(content.shape, dtype=dtype)

    def write(self, start: int, strip: Tensor) -> None:
        """Write a strip [3, h, W], float32 near 0..255, from row `start` on."""
        strip = soft_clip(strip, 255)
        stop = start + strip.shape[1]
        if self.keep_chroma:
            strip = self._keep_chroma(strip, self.content[:, start:stop])
        if self.pixels.is_floating_point():
            strip = strip / 255
        else:
            strip = strip.mul_(SCALES[self.pixels.dtype]).round_()
        self.pixels[:, start:stop] = strip.to(self.pixels.dtype)

    @staticmethod
    def _keep_chroma(strip: Tensor, content: Tensor) -> Tensor:
        """Give a strip in 0..255 the chroma of the content."""
        white = 1 if content.is_floating_point() else 255 * SCALES[content.dtype]
        original = content.to(strip.device).float() / white
        return keep_chroma(strip[None] / 255, original[None])[0] * 255
