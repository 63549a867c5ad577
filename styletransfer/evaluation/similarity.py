"""How alike two pictures are, pixel by pixel and window by window."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .gaussian import filter_separably, sample_gaussian

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG


def psnr(output: Tensor, reference: Tensor) -> float:
    """Return the peak signal-to-noise ratio of pictures [1, 3, H, W] in 0..1: decibels, at most 100."""
    error = float((output.double() - reference.double()).square().mean())
    return -10 * math.log10(max(error, 1e-10))


def ssim(output: Tensor, reference: Tensor) -> float:
    """Return the mean structural similarity of the luma of two pictures: 1 is the same structure.

    Gaussian windows of sigma 1.5 on 11 x 11 pixels, where they fit entirely; biased variances.

    Args:
        output: RGB in 0..1, [1, 3, H, W], sides of at least 11 pixels.
        reference: As the output.

    Source: Wang et al. 2004 (IEEE TIP 13(4)), equation 13 with K1 = 0.01, K2 = 0.03, L = 1. Differs: takes no
    subsampled picture first.
    """
    a, b = take_luma(output), take_luma(reference)
    window = sample_gaussian(sigma=1.5, radius=5)
    moments = torch.cat([a, b, a * a, b * b, a * b])
    mean_a, mean_b, square_a, square_b, product = filter_separably(moments, window)
    variance_a, variance_b = square_a - mean_a**2, square_b - mean_b**2
    covariance = product - mean_a * mean_b
    stabilizer_1, stabilizer_2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + stabilizer_1) / (mean_a**2 + mean_b**2 + stabilizer_1)
    structure = (2 * covariance + stabilizer_2) / (variance_a + variance_b + stabilizer_2)
    return float((luminance * structure).mean())


def take_luma(picture: Tensor) -> Tensor:
    """Return the luma [1, 1, H, W] of a picture [1, 3, H, W]."""
    weights = torch.tensor(LUMA).to(picture)
    return torch.einsum("bchw,c->bhw", picture, weights).unsqueeze(1)
