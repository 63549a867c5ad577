"""Blend each stylized frame with the one before it, moved along with the content."""

from __future__ import annotations

import torch
from torch import Tensor

from ..media import Picture
from .optical_flow import Motion, MotionEstimator

# Share of the frame before where the content agrees, at full steadiness. A larger one blurs more and is no
# steadier.
LARGEST_SHARE = 0.85


class RecursiveBlend:
    """The blend of stylized frames with the results before them, y(t) = s(t) + share (warp(y(t - 1)) - s(t)).

    Where nothing moves and nothing changes, the result stays equal to the bit.

    Args:
        estimator: Moves pixels.
        steadiness: From 0 to 1.

    Attributes:
        last: The last result, [H, W, 3], float32 in 0..1; None before the first frame.

    Source: Ruder et al. 2016 (arXiv 1604.08610), where every frame is optimized towards the one before it,
    moved along the optical flow and masked where that is not seen. Differs: a blend of results, weighted by
    how well the content agrees.
    """

    def __init__(self, estimator: MotionEstimator, steadiness: float) -> None:
        self.estimator, self.steadiness = estimator, steadiness
        self.last: Tensor | None = None

    def add(self, stylized: Picture, motion: Motion | None, painted: Tensor | None = None) -> Picture:
        """Return the result of the next frame.

        Args:
            stylized: The frame, stylized by itself.
            motion: Its motion; None for the first frame of a scene, which stays as it is.
            painted: Share of the style in every pixel, [H, W], 0..1; None for all. The content that is left
                in the others stays as it is.
        """
        white = 2**stylized.bit_depth - 1
        pixels = to_rows(stylized.pixels).div_(white)
        if motion is None or self.last is None:
            self.last = pixels
            return stylized
        moved = torch.from_numpy(self.estimator.warp(self.last.numpy(), motion.flow))
        share = torch.from_numpy(motion.trust) * (LARGEST_SHARE * self.steadiness)
        if painted is not None:
            share *= painted
        # Bicubic interpolation goes beyond the values that it interpolates.
        self.last = pixels.add_(moved.sub_(pixels).mul_(share.unsqueeze(2))).clamp_(0, 1)
        result = (self.last * white).round_().to(stylized.pixels.dtype)
        return Picture(result.permute(2, 0, 1).contiguous(), stylized.alpha)


def to_rows(pixels: Tensor) -> Tensor:
    """Return pixels [3, H, W] as float32 [H, W, 3], the layout that OpenCV moves."""
    return pixels.permute(1, 2, 0).to(torch.float32, memory_format=torch.contiguous_format, copy=True)
