"""Smaller copies of large pictures, and what was done to a copy brought back to the picture.

Everything goes strip by strip: a large picture never exists as floats.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

STRIP_VALUES = 2**22  # of float32: 16 MiB


def average_blocks(samples: Tensor, factor: int) -> Tensor:
    """Average blocks of factor x factor pixels, and what there is of them at the right and at the bottom.

    Args:
        samples: [3, H, W], uint8, uint16 or float in 0..1.
        factor: At least 1.

    Returns:
        [3, ceil(H / factor), ceil(W / factor)], float32 in 0..1.
    """
    height, width = samples.shape[1:]
    rows = max(1, STRIP_VALUES // (3 * width * factor)) * factor
    strips = (samples[:, top : top + rows].float() for top in range(0, height, rows))
    reduced = [
        F.avg_pool2d(strip[None], factor, ceil_mode=True, count_include_pad=False)[0] for strip in strips
    ]
    return torch.cat(reduced, 1).div_(white_of(samples))


def add_enlarged(samples: Tensor, change: Tensor, factor: int) -> Tensor:
    """Change a picture as its copy was changed; what the copy is too small to show stays.

    Args:
        samples: [3, H, W], uint8, uint16 or float in 0..1.
        change: What is added, float of 1 for white, [3, ceil(H / factor), ceil(W / factor)].
        factor: By which the copy is smaller.

    Returns:
        [3, H, W], of the type of the samples, in their range.
    """
    changed, white = samples.new_empty(samples.shape), white_of(samples)
    height, width = samples.shape[1:]
    for rows, strip in _enlarge_strips(change, factor):
        part = strip[:, : height - rows.start, :width].mul_(white).add_(samples[:, rows].float())
        part.clamp_(0, white)
        changed[:, rows] = (part if samples.is_floating_point() else part.round_()).to(samples.dtype)
    return changed


def white_of(samples: Tensor) -> int:
    """Return the value of white."""
    return 1 if samples.is_floating_point() else torch.iinfo(samples.dtype).max


def _enlarge_strips(samples: Tensor, factor: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield rows of the enlarged picture and their values, float32, not clamped."""
    height, width = samples.shape[1:]
    step = max(1, STRIP_VALUES // (3 * width * factor**2))
    for top in range(0, height, step):
        bottom = min(top + step, height)
        # With a row of margin, which is cut off, strips meet as if they were one picture.
        first = max(0, top - 1)
        strip = samples[:, first : bottom + 1].float()[None]
        strip = F.interpolate(strip, scale_factor=factor, mode="bilinear")[0]
        begin = (top - first) * factor
        yield slice(top * factor, bottom * factor), strip[:, begin : begin + (bottom - top) * factor]
