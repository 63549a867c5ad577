"""Metrics of the pixels themselves: similarity, colors, clipping and stability under camera motion."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from .gaussian_filter import filter_separably, sample_gaussian

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG
# Sliced Wasserstein distance of colors.
DIRECTIONS = 32
BINS = 1024
# Synthetic camera pan. The motion per frame is no multiple of a pooling stride.
STEP_X, STEP_Y = 3, 1  # pixels per frame
NOISE = 2 / 255  # standard deviation, that of a good camera
FRAMES = 3


def psnr(output: Tensor, reference: Tensor) -> float:
    """Compute the peak signal-to-noise ratio in decibels, at most 100.

    Args:
        output: RGB in 0..1, [1, 3, H, W].
        reference: Same shape as the output.
    """
    error = float((output.double() - reference.double()).square().mean())
    return -10 * math.log10(max(error, 1e-10))


def ssim(output: Tensor, reference: Tensor) -> float:
    """Compute the mean structural similarity of the luma of two pictures; identical pictures give 1.

    The windows are Gaussian with sigma 1.5 and 11 x 11 pixels; only windows inside the picture are used.
    Variances are biased.

    Args:
        output: RGB in 0..1, [1, 3, H, W]. Both sides have at least 11 pixels.
        reference: Same shape as the output.

    Source: Wang et al. 2004 (IEEE TIP 13(4)), equation 13 with K1 = 0.01, K2 = 0.03, L = 1.
    Differs: does not downsample large pictures first.
    """
    weights = torch.tensor(LUMA).to(output)
    a, b = (torch.einsum("bchw,c->bhw", picture, weights).unsqueeze(1) for picture in (output, reference))
    window = sample_gaussian(sigma=1.5, radius=5)
    moments = torch.cat([a, b, a * a, b * b, a * b])
    mean_a, mean_b, square_a, square_b, product = filter_separably(moments, window)
    variance_a, variance_b = square_a - mean_a**2, square_b - mean_b**2
    covariance = product - mean_a * mean_b
    stabilizer_1, stabilizer_2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + stabilizer_1) / (mean_a**2 + mean_b**2 + stabilizer_1)
    structure = (2 * covariance + stabilizer_2) / (variance_a + variance_b + stabilizer_2)
    return float((luminance * structure).mean())


def swd_rgb(output: Tensor, style: Tensor) -> float:
    """Compute the sliced Wasserstein-1 distance between the colors of two pictures, in units of 0..1.

    Colors are projected onto 32 directions that are spread evenly over the sphere. The distance along one
    direction is the area between the two cumulative histograms.

    Args:
        output: RGB in 0..1, [1, 3, H, W].
        style: RGB in 0..1, [1, 3, H', W'].

    Source: Bonneel et al. 2015 (JMIV 51), sliced Wasserstein distance. Differs: uses fixed directions
    instead of random ones, so that the value is repeatable, and histograms of 1024 bins instead of sorting.
    """
    total = 0.0
    for direction in spread_directions(DIRECTIONS):
        low, high = float(direction.clamp(max=0).sum()), float(direction.clamp(min=0).sum())
        difference = project_colors(output, direction, low, high) - project_colors(
            style, direction, low, high
        )
        total += float(difference.abs().sum()) * (high - low) / BINS
    return total / DIRECTIONS


def project_colors(picture: Tensor, direction: Tensor, low: float, high: float) -> Tensor:
    """Compute the cumulative histogram of the colors of a picture along a direction.

    Args:
        picture: RGB in 0..1, [1, 3, H, W].
        direction: [3].
        low: Lower end of the first bin.
        high: Upper end of the last bin.

    Returns:
        [BINS], float64, in 0..1.
    """
    positions = torch.einsum("bchw,c->bhw", picture, direction.to(picture)).flatten()
    bins = ((positions - low) * (BINS / (high - low))).long().clamp(0, BINS - 1)
    return torch.bincount(bins, minlength=BINS).double().cumsum(0) / len(bins)


def spread_directions(count: int) -> Tensor:
    """Spread unit vectors evenly over a half-sphere; opposite directions measure the same.

    Returns:
        [count, 3], float32.

    Source: Gonzalez 2010 (Mathematical Geosciences 42), Fibonacci lattice.
    """
    index = torch.arange(count, dtype=torch.float64) + 0.5
    height = index / count
    angle = index * math.pi * (3 - math.sqrt(5))
    radius = (1 - height.square()).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin(), height], dim=1).float()


def clipped(output: Tensor) -> float:
    """Compute the share of channel values that are 0 or 255 once the picture is rounded to 8 bits.

    Args:
        output: RGB in 0..1, [1, 3, H, W].
    """
    levels = (output * 255).round()
    return float(((levels <= 0) | (levels >= 255)).float().mean())


def pan_rmse(stylize: Callable[[Tensor], Tensor], content: Tensor, seed: int = 0) -> float:
    """Measure how much a stylization flickers when the camera pans.

    The frames are crops of the content. Each is shifted by 3 pixels horizontally and 1 vertically from the
    one before and has its own Gaussian noise. Frames that are not stylized give .011, the noise of two
    frames.

    Args:
        stylize: Function from a frame [1, 3, h, w] in 0..1 to the stylized frame of the same size.
        content: RGB in 0..1, [1, 3, H, W], H > 2, W > 6.
        seed: Seed of the noise.

    Returns:
        The root mean square difference of consecutive stylized frames after the motion is undone.
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
