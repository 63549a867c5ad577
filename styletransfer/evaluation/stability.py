"""How steady a stylization stays while its content moves: a synthetic pan, where the motion is known."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

STEP_X, STEP_Y = 3, 1  # pixels per frame: multiples of no pooling stride
NOISE = 2 / 255  # standard deviation, that of a good camera
FRAMES = 3


def warp_rmse(stylize: Callable[[Tensor], Tensor], content: Tensor, seed: int = 0) -> float:
    """Return the root mean square difference of consecutive stylized frames once the motion is undone.

    The frames are views of the content that move by 3, 1 pixels from one to the next, each with its own
    Gaussian noise. Frames that are not stylized at all give .011: the noise of two.

    Args:
        stylize: Frame [1, 3, h, w] in 0..1 to stylized frame of the same size.
        content: RGB in 0..1, [1, 3, H, W], H > 2, W > 6.
        seed: Of the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = content.shape[2] - STEP_Y * (FRAMES - 1), content.shape[3] - STEP_X * (FRAMES - 1)
    frames = []
    for index in range(FRAMES):
        top, left = STEP_Y * index, STEP_X * index
        view = content[:, :, top : top + height, left : left + width]
        noise = torch.randn(view.shape, generator=generator).to(view) * NOISE
        frames.append(stylize((view + noise).clamp(0, 1)))
    squares = [
        (before[:, :, STEP_Y:, STEP_X:] - after[:, :, :-STEP_Y, :-STEP_X]).square().mean()
        for before, after in pairwise(frames)
    ]
    return float(torch.stack(squares).mean().sqrt())
