"""Color curves: bend every channel so that its values are distributed as those of the style.

Mean and covariance do not say that a drawing is white paper with a few dark lines, or that threads shine on
black. A picture that is given only these has a gray veil instead. After the colors have the style's mean and
covariance, each of red, green and blue goes through a curve, as in a photo editor, which brings its
distribution near the style's.

Source: Pitie et al. 2007 (CVIU), transfer of the distribution of colors, one axis at a time. Differs: the
three channels once, after an affine map; curves are smooth and of bounded slope, so that noise and rounding
are enlarged no more than that; and the mean remains, for a picture of one color within two levels of 255.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# Quantiles that stand for the distribution of a channel of a style.
QUANTILES = 256
# Nodes of a curve, from LOWEST to HIGHEST: colors leave 0..1 before they are clipped softly.
NODES, LOWEST, HIGHEST = 128, -0.25, 1.25
STEP = (HIGHEST - LOWEST) / (NODES - 1)
# Values of a content are blurred by this much, so that curves change little with each of them.
BLUR = 0.04
# Share of the way to the distribution of the style, and the largest slope of a curve.
STRENGTH = 0.8
LARGEST_SLOPE = 3.0
# Steps in which what is too steep is spread over the neighboring nodes.
SPREADING_STEPS = 40
# Most pixels of a result, and of a style or a content, by which their distributions are known.
OUTPUT_PIXELS, PICTURE_PIXELS = 4096, 16384


def measure_quantiles(colors: Tensor, weights: Tensor | None = None) -> Tensor:
    """Measure the quantiles of each channel.

    Args:
        colors: [C, N] in 0..1.
        weights: How much each pixel counts, [N], not negative; None, or only zeros, if all count alike.

    Returns:
        [C, QUANTILES], ascending, float32.
    """
    weights = _normalize(weights, colors)
    colors, weights = colors[:, weights > 0], weights[weights > 0]
    values, order = colors.sort(1)
    shares = weights[order]
    centers = shares.cumsum(1) - shares / 2
    wanted = ((torch.arange(QUANTILES, dtype=torch.float64) + 0.5) / QUANTILES).expand(len(colors), -1)
    last = colors.shape[1] - 1
    above = torch.searchsorted(centers, wanted.contiguous()).clamp(min(1, last), last)
    below = (above - 1).clamp_min(0)
    low, high = centers.gather(1, below), centers.gather(1, above)
    share = ((wanted - low) / (high - low).clamp_min(torch.finfo(torch.float64).tiny)).clamp(0, 1)
    return values.gather(1, below).double().lerp(values.gather(1, above).double(), share).float()


def blend_quantiles(parts: Sequence[Tensor | None], weights: Sequence[float]) -> Tensor | None:
    """Blend the quantiles of several pictures: the barycenter of optimal transport of each channel.

    Args:
        parts: Quantiles of each picture; None where they are not known.
        weights: One non-negative number per picture, not all zero; only their ratios matter.

    Returns:
        None if those of a picture that counts are not known.
    """
    total = sum(weights)
    blend: Tensor | None = None
    for part, weight in zip(parts, weights, strict=True):
        if weight > 0:
            if part is None:
                return None
            share = part * (weight / total)
            blend = share if blend is None else blend + share
    return blend


def measure_distribution(colors: Tensor, weights: Tensor | None = None) -> Tensor:
    """Measure which share of the pixels lies below each node of a curve.

    Args:
        colors: [C, N], near 0..1.
        weights: How much each pixel counts, [N], not negative; None, or only zeros, if all count alike.

    Returns:
        [C, NODES] in 0..1, ascending, float64; continuous in the colors.
    """
    weights = _normalize(weights, colors)
    below = (_nodes()[:, None] - colors.double()[:, None]).div_(BLUR).add_(0.5).clamp_(0, 1)  # [C, NODES, N]
    return below @ weights


def find_curves(distribution: Tensor, quantiles: Tensor) -> Tensor:
    """Find the curves from the distribution of a content to that of a style.

    Args:
        distribution: What `measure_distribution` returned for the content.
        quantiles: What `measure_quantiles` returned for the style.

    Returns:
        What is added to a value at each node, [C, NODES], float32. Its mean over the distribution is 0.
    """
    place = (distribution * QUANTILES - 0.5).clamp(0, QUANTILES - 1)
    below = place.long().clamp(max=QUANTILES - 2)
    known = quantiles.to(distribution)
    wanted = known.gather(1, below).lerp(known.gather(1, below + 1), place - below)
    rise = (STRENGTH * (wanted - _nodes())).diff(dim=1)
    for _ in range(SPREADING_STEPS):
        excess = (rise - (LARGEST_SLOPE - 1) * STEP).clamp_min(0)
        rise = rise - excess + (F.pad(excess, (1, 0))[:, :-1] + F.pad(excess, (0, 1))[:, 1:]) / 2
    rise = rise.clamp(max=(LARGEST_SLOPE - 1) * STEP)
    shifts = torch.cat([torch.zeros_like(rise[:, :1]), rise.cumsum(1)], 1)
    # Beyond both ends the shift is that of the end.
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64).expand(len(distribution), -1)
    density = torch.cat([ends[:, :1], distribution, ends[:, 1:]], 1).diff(dim=1)
    around = torch.cat([shifts[:, :1], shifts, shifts[:, -1:]], 1)
    mean = (density * (around[:, :-1] + around[:, 1:]) / 2).sum(1, keepdim=True)
    return (shifts - mean).float()


def bend_colors(colors: Tensor, curves: Tensor, white: float = 1.0) -> Tensor:
    """Send every channel through its curve.

    Args:
        colors: [C, ...], near 0..white.
        curves: What `find_curves` returned, on the same device.
        white: The value of white.

    Returns:
        The same shape.
    """
    flat = colors.flatten(1)
    place = flat.mul(1 / (white * STEP)).sub_(LOWEST / STEP).clamp_(0, NODES - 1)
    below = place.long().clamp_(max=NODES - 2)
    shift = curves.gather(1, below)
    slope = curves.diff(dim=1, append=curves[:, -1:]).gather(1, below)
    shift = torch.addcmul(shift, slope, place.sub_(below))
    return torch.add(flat, shift, alpha=white).view(colors.shape)


def _nodes() -> Tensor:
    return torch.arange(NODES, dtype=torch.float64) * STEP + LOWEST


def _normalize(weights: Tensor | None, colors: Tensor) -> Tensor:
    if weights is None or not weights.any():
        weights = colors.new_ones(colors.shape[1])
    return weights.double() / weights.double().sum()
