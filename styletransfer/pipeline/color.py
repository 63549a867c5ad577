"""Luma and chroma: keep the colors of the content and take only the lightness of the result."""

from __future__ import annotations

import torch
from torch import Tensor

# Rec. 601 luma of gamma-encoded R'G'B', the Y of JPEG.
LUMA = (0.299, 0.587, 0.114)


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
