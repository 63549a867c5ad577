"""Which colors a picture has, wherever they are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

DIRECTIONS = 32
BINS = 1024


def swd_rgb(output: Tensor, style: Tensor) -> float:
    """Return the sliced Wasserstein-1 distance of the colors of two pictures, in units of 0..1.

    Colors are projected on 32 directions, spread evenly over the sphere; of every direction, the area
    between the two cumulative histograms is how far color has to move on average.

    Args:
        output: RGB in 0..1, [1, 3, H, W].
        style: RGB in 0..1, [1, 3, H', W'].

    Source: Bonneel et al. 2015 (JMIV 51), sliced Wasserstein. Differs: fixed directions instead of random
    ones, so that the value is repeatable; histograms of 1024 bins instead of sorting.
    """
    total = 0.0
    for direction in spread_directions(DIRECTIONS):
        low, high = float(direction.clamp(max=0).sum()), float(direction.clamp(min=0).sum())
        difference = project(output, direction, low, high) - project(style, direction, low, high)
        total += float(difference.abs().sum()) * (high - low) / BINS
    return total / DIRECTIONS


def project(picture: Tensor, direction: Tensor, low: float, high: float) -> Tensor:
    """Return the cumulative histogram, in 0..1, of colors along a direction: [BINS], float64."""
    positions = torch.einsum("bchw,c->bhw", picture, direction.to(picture)).flatten()
    bins = ((positions - low) * (BINS / (high - low))).long().clamp(0, BINS - 1)
    return torch.bincount(bins, minlength=BINS).double().cumsum(0) / len(bins)


def spread_directions(count: int) -> Tensor:
    """Return unit vectors [count, 3] spread evenly over half the sphere: the other half measures the same.

    Source: the Fibonacci lattice, as in Gonzalez 2010 (Mathematical Geosciences 42).
    """
    index = torch.arange(count, dtype=torch.float64) + 0.5
    height = index / count
    angle = index * math.pi * (3 - math.sqrt(5))
    radius = (1 - height.square()).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin(), height], dim=1).float()


def clip(output: Tensor) -> float:
    """Return the share of channel values of a picture in 0..1 that are 0 or 255 once written in 8 bits."""
    levels = (output * 255).round()
    return float(((levels <= 0) | (levels >= 255)).float().mean())
