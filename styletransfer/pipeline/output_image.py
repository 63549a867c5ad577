"""The result: soft clipping, chroma of the content where it is kept, and the final dtype, strip by strip."""

from __future__ import annotations

import torch
from torch import Tensor

from ..model import soft_clip
from ..transfer.color_transfer import LUMA
from .resampling import white_level

# White of an integer type relative to 255, the white of the strips.
SCALES = {torch.uint8: 1.0, torch.uint16: 257.0}
# A smaller share of the style is none: that of one level of an 8-bit mask is four times as large.
SMALLEST_SHARE = 1e-3


class OutputImage:
    """The pixels of a result.

    Args:
        content: The content [3, H, W].
        dtype: Type of the result: uint8, uint16 or a float type.
        keep_chroma: Whether the colors of the content are kept.
        kept: Share of the content itself in every pixel, [1, H, W]; None for none of it.
        premultiplied: Whether the strips hold the rest multiplied by its share.
        reuse: A tensor that the result may overwrite row by row, so that it takes no memory of its own. It is
            used if it has the right type and is on the CPU.

    Attributes:
        pixels: [3, H, W], on the CPU; floats are in 0..1.
    """

    def __init__(
        self,
        content: Tensor,
        dtype: torch.dtype,
        *,
        keep_chroma: bool,
        reuse: Tensor | None = None,
        kept: Tensor | None = None,
        premultiplied: bool = True,
    ) -> None:
        self.content = content
        self.kept, self.premultiplied = kept, premultiplied
        self.keep_chroma = keep_chroma
        if reuse is not None and reuse.dtype == dtype and reuse.device.type == "cpu":
            self.pixels = reuse
        else:
            self.pixels = torch.empty(content.shape, dtype=dtype)

    def write(self, start: int, strip: Tensor) -> None:
        """Write a strip [3, h, W], float32 near 0..255, from row `start` on."""
        rows = slice(start, start + strip.shape[1])
        if self.kept is not None:
            kept = self.kept[:, rows].to(strip.device).float() / white_level(self.kept)
            if self.premultiplied:
                strip = strip / (1 - kept).clamp_min(SMALLEST_SHARE)
        strip = soft_clip(strip, 255)
        if self.keep_chroma:
            strip = self._keep_chroma(strip, self.content[:, rows])
        if self.kept is not None:
            original = self.content[:, rows].to(strip.device).float() * (255 / white_level(self.content))
            strip = strip.lerp(original, kept)
        if self.pixels.is_floating_point():
            strip = strip / 255
        else:
            strip = strip.mul_(SCALES[self.pixels.dtype]).round_()
        self.pixels[:, rows] = strip.to(self.pixels.dtype)

    @staticmethod
    def _keep_chroma(strip: Tensor, content: Tensor) -> Tensor:
        """Give a strip in 0..255 the chroma of the content."""
        white = 1 if content.is_floating_point() else 255 * SCALES[content.dtype]
        original = content.to(strip.device).float() / white
        return keep_chroma(strip[None] / 255, original[None])[0] * 255


def compute_luma(pictures: Tensor) -> Tensor:
    """Return the luma [B, 1, H, W] of pictures [B, 3, H, W]."""
    weights = torch.tensor(LUMA, dtype=pictures.dtype, device=pictures.device).view(1, 3, 1, 1)
    return (pictures * weights).sum(1, keepdim=True)


def keep_chroma(stylized: Tensor, content: Tensor) -> Tensor:
    """Give stylized pictures the chroma of the content and keep only their own luma.

    Args:
        stylized: [B, 3, H, W] in 0..1.
        content: [B, 3, H, W] in 0..1.

    Returns:
        [B, 3, H, W] in 0..1. Adding the same number to R', G' and B' changes only the luma. Where the sum
        would leave the range, the chroma is reduced just enough to stay inside, so that no hue shifts.
    """
    luma = compute_luma(stylized)
    chroma = content - compute_luma(content)  # [B, 3, H, W]
    room = torch.where(chroma > 0, 1 - luma, luma) / chroma.abs().clamp_min(1e-6)
    return (luma + chroma * room.amin(1, keepdim=True).clamp(0, 1)).clamp(0, 1)
