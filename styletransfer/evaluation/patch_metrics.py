"""Distances between the 3 x 3 patches of two pictures' VGG-19 features, which see planes and brush strokes.

A Gram matrix says which features occur together anywhere in the picture. A patch says which features lie side
by side, so results that have the colors and the grain of a style but none of its shapes are told apart.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

PATCH_SIZE = 3
STYLE_PATCHES = 4096  # the most patches of the style that are compared, per octave
OUTPUT_PATCHES = 2048  # the most patches of the output that are compared, per octave
SEED = 0


class FeaturePatches(NamedTuple):
    """Patches of one feature map, in random order.

    Attributes:
        patches: [N, C, 9], N <= 4096; N is 0 for maps with a side shorter than 3.
        mean: Mean of the whole map, [C].
    """

    patches: Tensor
    mean: Tensor


class PatchDistances(NamedTuple):
    """Distances of patches, from 0 (each patch has an exact match) to 1 (no match is better than chance).

    Attributes:
        style_patch: Mean distance from a patch of the output to the nearest patch of the style.
        style_cover: Mean distance from a patch of the style to the nearest patch of the output.
    """

    style_patch: float
    style_cover: float


def sample_patches(features: Tensor) -> FeaturePatches:
    """Draw at most 4096 patches of 3 x 3 pixels from a feature map, without replacement.

    The draw depends only on the size of the map.

    Args:
        features: [C, H, W].
    """
    height, width = features.shape[1:]
    rows, columns = max(height - PATCH_SIZE + 1, 0), max(width - PATCH_SIZE + 1, 0)
    order = torch.randperm(rows * columns, generator=torch.Generator().manual_seed(SEED))
    drawn = order[:STYLE_PATCHES].to(features.device)
    top, left = drawn // max(columns, 1), drawn % max(columns, 1)
    offsets = [(y, x) for y in range(PATCH_SIZE) for x in range(PATCH_SIZE)]
    patches = [features[:, top + y, left + x].T for y, x in offsets]  # 9 x [N, C]
    return FeaturePatches(torch.stack(patches, dim=2), features.mean((1, 2)))


def patch_distances(output: tuple[FeaturePatches, ...], style: tuple[FeaturePatches, ...]) -> PatchDistances:
    """Compare the patches of an output with those of its style, averaged over octaves.

    Patches are compared by the cosine of their difference to the style's channel means. Octaves that are too
    small for a patch in either picture are left out.

    Args:
        output: Patches of each octave of the output; at most 2048 of each are used.
        style: Patches of each octave of the style.

    Source: Li & Wand 2016 (CVPR), equation 3, nearest neighbor by normalized cross-correlation. Differs:
    cosines instead of squared distances; both directions; means subtracted.
    """
    to_style, to_output = [], []
    for (output_patches, _), (style_patches, mean) in zip(output, style, strict=True):
        if len(output_patches) and len(style_patches):
            a = normalize((output_patches[:OUTPUT_PATCHES] - mean[:, None]).flatten(1))
            b = normalize((style_patches - mean[:, None]).flatten(1))
            cosines = a @ b.T  # [outputs, styles]
            # Rounding gives equal patches a cosine just above 1.
            to_style.append(1 - cosines.amax(1).clamp(max=1).mean())
            to_output.append(1 - cosines.amax(0).clamp(max=1).mean())
    return PatchDistances(float(torch.stack(to_style).mean()), float(torch.stack(to_output).mean()))
