"""A small copy of a large picture, whose statistics stand for the picture's."""

from __future__ import annotations

from torch import Tensor

from .reduction import average_blocks

LONG_EDGE = 1024  # pixels


def make_thumbnail(samples: Tensor) -> Tensor:
    """Average blocks of k x k pixels, k such that the longer edge has at most `LONG_EDGE` pixels.

    Args:
        samples: [3, H, W], uint8, uint16 or float in 0..1.

    Returns:
        [3, ceil(H / k), ceil(W / k)], float32 in 0..1; the samples themselves where they are small enough.
    """
    factor = -(-max(samples.shape[1:]) // LONG_EDGE)
    return samples if factor == 1 else average_blocks(samples, factor)
