"""Gaussian filtering and Gaussian pyramids of pictures."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad


def sample_gaussian(sigma: float, radius: int) -> Tensor:
    """Sample a Gaussian at the whole numbers from -radius to radius.

    Args:
        sigma: Standard deviation in pixels.
        radius: Distance in pixels at which the Gaussian is cut off.

    Returns:
        The filter taps, [2 * radius + 1], float32; they sum to one.
    """
    positions = torch.arange(-radius, radius + 1, dtype=torch.float64)
    taps = (-positions.square() / (2 * sigma**2)).exp()
    return (taps / taps.sum()).float()


def filter_separably(pictures: Tensor, taps: Tensor) -> Tensor:
    """Filter the rows and then the columns of pictures with the same taps, without padding.

    Args:
        pictures: [B, C, H, W]; H and W are at least K.
        taps: [K], K odd.

    Returns:
        [B, C, H - K + 1, W - K + 1].
    """
    channels = pictures.shape[1]
    kernel = taps.to(pictures).expand(channels, 1, 1, -1)
    rows = conv2d(pictures, kernel, groups=channels)
    return conv2d(rows, kernel.mT, groups=channels)


def build_gaussian_pyramid(pictures: Tensor, octaves: int) -> list[Tensor]:
    """Build a Gaussian pyramid: each octave is the one before, blurred and halved.

    Args:
        pictures: [B, C, H, W]. Every octave except the last must have sides of at least 3 pixels.
        octaves: Number of octaves, including the pictures themselves.

    Returns:
        The octaves, largest first. Sides are halved and rounded up.

    Source: Burt & Adelson 1983 (IEEE Transactions on Communications 31), five taps with a = 3/8.
    Differs: reflects the picture at its borders.
    """
    binomial = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16  # approximates a Gaussian of sigma 1
    pyramid = [pictures]
    for _ in range(octaves - 1):
        padded = pad(pyramid[-1], (2, 2, 2, 2), "reflect")
        pyramid.append(filter_separably(padded, binomial)[:, :, ::2, ::2])
    return pyramid
