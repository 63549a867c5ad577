"""A small copy of a large picture, whose statistics stand for the picture's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LONG_EDGE = 1024  # pixels
STRIP_VALUES = 2**22  # of float32: 16 MiB


def make_thumbnail(samples: Tensor) -> Tensor:
    """Average blocks of k x k pixels, k such that the longer edge has at most `LONG_EDGE` pixels.

    Strip by strip: a large picture never exists as floats.

    Args:
        samples: [3, H, W], uint8, uint16 or float in 0..1.

    Returns:
        [3, ceil(H / k), ceil(W / k)], float32 in 0..1; the samples themselves where they are small enough.
    """
    height, width = samples.shape[1:]
    factor = -(-max(height, width) // LONG_EDGE)
    if factor == 1:
        return samples
    white = 1 if samples.is_floating_point() else torch.iinfo(samples.dtype).max
    rows = max(1, STRIP_VALUES // (3 * width * factor)) * factor
    strips = (samples[:, top : top + rows].float() for top in range(0, height, rows))
    reduced = [
        F.avg_pool2d(strip[None], factor, ceil_mode=True, count_include_pad=False)[0] for strip in strips
    ]
    return torch.cat(reduced, 1).div_(white)
