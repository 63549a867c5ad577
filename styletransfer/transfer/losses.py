"""Differentiable distances of structure, style and colors, for training and for refinement."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from ..linalg import Statistics, compute_statistics, gram_matrix

# Colors are compared along this number of directions, at every third pixel of every third row.
DIRECTIONS = 16
COLOR_STRIDE = 3
# Smallest mean square of normalized content features that distances are relative to. Crops of photographs
# have 0.98 to 1, an even gradient or sensor noise has 0.54 to 0.8, and a single color has less than 1e-6.
MIN_STRUCTURE = 0.5


def build_pyramid(pictures: Tensor, octaves: int) -> list[Tensor]:
    """Halve pictures repeatedly.

    VGG-19 sees a patch of about 40 pixels at relu3_1. On smaller octaves it compares larger strokes.

    Args:
        pictures: [B, 3, H, W].
        octaves: Number of levels.

    Returns:
        The pictures themselves, then each octave at half the size of the one before.
    """
    pyramid = [pictures]
    for _ in range(octaves - 1):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2))
    return pyramid


def color_distance(output: Tensor, target: Tensor) -> Tensor:
    """Compute the distance between the color distributions of pictures [B, 3, H, W], of any sizes.

    Gram matrices hold only means and covariances. This distance also sees a few outlying pixels, as eyes do.

    Source: Bonneel et al. 2015 (JMIV), sliced Wasserstein distance of order 1: the mean over directions u of
    |sort(u x) - sort(u y)|.
    """
    directions = torch.randn(DIRECTIONS, 3, generator=torch.Generator().manual_seed(0)).to(output)
    directions = F.normalize(directions, dim=1)
    a, b = (
        (directions @ pictures[..., ::COLOR_STRIDE, ::COLOR_STRIDE].flatten(2)).sort(-1).values
        for pictures in (output, target)
    )
    if a.shape != b.shape:  # as many quantiles of the target as the output has pixels
        b = F.interpolate(b, a.shape[-1], mode="linear")
    return F.l1_loss(a, b)


def content_distance(output: Tensor, target: Tensor) -> Tensor:
    """Compute the relative squared distance of features [B, C, H, W] after instance normalization.

    Normalized channels hold the structure of a picture without its palette, which is to be the style's. The
    distance is relative to the mean square of the target, which is 1 unless the content is nearly flat. It
    counts as MIN_STRUCTURE at least: a white background or a burnt-out sky has no structure to be relative
    to, and would dominate the batch otherwise.
    """
    output, target = F.instance_norm(output), F.instance_norm(target)
    # The ratio is taken per picture, so that the mean does not depend on how processes share a batch.
    structure = target.square().mean((1, 2, 3)).clamp_min(MIN_STRUCTURE)
    return ((output - target).square().mean((1, 2, 3)) / structure).mean()


def style_distance(output: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
    """Compute the distance between Gram matrices, averaged over layers and batch.

    Source: Gatys et al. 2016 (CVPR): |G - G_style|^2, summed over layers.
    Differs: log(1 + |G - G_style|^2 / |G_style|^2). The ratio weighs all layers and styles alike; the
    logarithm keeps one style that is far out of reach, such as a nearly black picture, from dominating the
    batch.

    Args:
        output: Features [B, C, H, W] of the result by layer name.
        target: Features of the style by layer name.
    """
    terms = []
    for name, features in output.items():
        a, b = gram_matrix(features.flatten(2)), gram_matrix(target[name].flatten(2))  # [B, C, C]
        terms.append(((a - b).square().sum((1, 2)) / b.square().sum((1, 2))).log1p().mean())
    return torch.stack(terms).mean()


def patch_distance(output: Tensor, target: Tensor) -> Tensor:
    """Compute the mean distance of patches from their nearest patches in the other picture, both ways.

    Gram matrices do not see where features lie. A patch of 3 x 3 does, so this distance knows planes,
    outlines and strokes. It counts how far the output's patches are from the style's, and which of the
    style's patches the output lacks.

    Args:
        output: Features [B, C, H, W] of the result, both sides at least 3.
        target: Features [B, C, H', W'] of the style.

    Returns:
        0 for equal pictures, about 1 where no patch is nearer than chance.

    Source: Li & Wand 2016 (arXiv 1601.04589), nearest neighbors by normalized cross-correlation. Differs:
    cosines instead of squared distances; both directions; the style's channel means are subtracted.
    """
    mean = target.mean((2, 3), keepdim=True)
    a, b = (F.normalize(F.unfold(features - mean, 3), dim=1) for features in (output, target))
    cosines = a.mT @ b  # [B, outputs, styles]
    # Products may be in bfloat16. Their means must not.
    return 1 - (cosines.amax(2).float().mean() + cosines.amax(1).float().mean()) / 2


def moments_distance(output: Tensor, target: Statistics) -> Tensor:
    """Compute the relative squared distance of the mean and the covariance of features from a target.

    Args:
        output: [1, C, N].
        target: Mean and covariance, batch 1.
    """
    found = compute_statistics(output)
    mean = (found.mean - target.mean).square().sum() / target.mean.square().sum()
    covariance = (found.covariance - target.covariance).square().sum() / target.covariance.square().sum()
    return (mean + covariance).float()
