"""Gaussian filters: the window of SSIM and the pyramid on which larger strokes are compared."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad


def sample_gaussian(sigma: float, radius: int) -> Tensor:
    """Return the 2 radius + 1 taps of a Gaussian, float32, which add up to one."""
    positions = torch.arange(-radius, radius + 1, dtype=torch.float64)
    taps = (-positions.square() / (2 * sigma**2)).exp()
    return (taps / taps.sum()).float()


def filter_separably(pictures: Tensor, taps: Tensor) -> Tensor:
    """Filter the rows and the columns of pictures by the same taps, where they fit entirely.

    Args:
        pictures: [B, C, H, W], H and W at least the number of taps.
        taps: [K], K odd.

    Returns:
        [B, C, H - K + 1, W - K + 1].
    """
    channels = pictures.shape[1]
    kernel = taps.to(pictures).expand(channels, 1, 1, -1)
    rows = conv2d(pictures, kernel, groups=channels)
    return conv2d(rows, kernel.mT, groups=channels)


def build_gaussian_pyramid(pictures: Tensor, octaves: int) -> list[Tensor]:
    """Blur and halve pictures again and again.

    Args:
        pictures: [B, C, H, W]; every octave but the last must have sides of at least 3 pixels.
        octaves: How many sizes, the pictures' own included.

    Returns:
        The octaves, largest first; sides are halved and rounded up.

    Source: Burt & Adelson 1983, the five taps of a = 3/8. Differs: borders are reflected.
    """
    binomial = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16  # a Gaussian of sigma 1
    pyramid = [pictures]
    for _ in range(octaves - 1):
        padded = pad(pyramid[-1], (2, 2, 2, 2), "reflect")
        pyramid.append(filter_separably(padded, binomial)[:, :, ::2, ::2])
    return pyramid
