"""Distances of style and content between the VGG-19 and VGG-16 features of pictures.

A Gram matrix says which features occur together anywhere in the picture. A 3 x 3 patch says which features
lie side by side, and so sees planes and brush strokes: results that have the colors and the grain of a style
but none of its shapes are told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import instance_norm, normalize

from ..errors import ImageError
from ..linalg import gram_matrix
from ..model.vgg import DEEP_LAYERS, STYLE_LAYERS, VGG16, VGG19
from .pixel_metrics import build_gaussian_pyramid

OCTAVES = 3
CONTENT_LAYER = PATCH_LAYER = "relu3_1"
# The pyramid halves twice and VGG-19 twice more before relu3_1, or VGG-16 four times before relu5_1. The
# padding there needs two pixels to reflect.
SMALLEST_SIDE = 32
PATCH_SIZE = 3
MAX_STYLE_PATCHES = 4096  # the most patches of the style that are compared, per octave
MAX_OUTPUT_PATCHES = 2048  # the most patches of the output that are compared, per octave
PATCH_SEED = 0

LayerGrams = dict[str, Tensor]  # layer -> [C, C]


class FeaturePatches(NamedTuple):
    """Patches of one feature map, in random order.

    Attributes:
        patches: [N, C, 9], N <= 4096; N is 0 for maps with a side shorter than 3.
        mean: Mean of the whole map, [C].
    """

    patches: Tensor
    mean: Tensor


class PerceptualFeatures(NamedTuple):
    """The features of one picture that the metrics compare.

    Attributes:
        grams: Gram matrices by layer, one dictionary per octave, the full size first.
        content: Instance-normalized relu3_1 at full size, [C, H/4, W/4].
        patches: Patches of relu3_1, one element per octave from the half size on.
        deep_grams: Gram matrices of VGG-16 at full size by layer; empty without VGG-16.
    """

    grams: tuple[LayerGrams, ...]
    content: Tensor
    patches: tuple[FeaturePatches, ...]
    deep_grams: LayerGrams


@torch.inference_mode()
def extract_features(
    network: VGG19, picture: Tensor, deep_network: VGG16 | None = None
) -> PerceptualFeatures:
    """Extract the features of a picture that the metrics compare.

    Args:
        network: VGG-19 that returns relu1_1, relu2_1 and relu3_1.
        picture: RGB in 0..1, [1, 3, H, W], on the device of the networks.
        deep_network: VGG-16 that returns relu4_1 and relu5_1, if `style_deep` is wanted.

    Raises:
        ImageError: A side is shorter than 32 pixels.
    """
    height, width = picture.shape[2:]
    if min(height, width) < SMALLEST_SIDE:
        hint = f"both sides must have at least {SMALLEST_SIDE} pixels"
        raise ImageError(f"{width}x{height} is too small to be measured", hint=hint)
    octaves = [network(octave) for octave in build_gaussian_pyramid(picture, OCTAVES)]
    deep = {} if deep_network is None else deep_network(picture)
    return PerceptualFeatures(
        grams=tuple(compute_grams(octave, STYLE_LAYERS) for octave in octaves),
        content=instance_norm(octaves[0][CONTENT_LAYER])[0],
        patches=tuple(sample_patches(octave[PATCH_LAYER][0]) for octave in octaves[1:]),
        deep_grams=compute_grams(deep, DEEP_LAYERS) if deep else {},
    )


def compute_grams(features: Mapping[str, Tensor], layers: Sequence[str]) -> LayerGrams:
    """Compute the Gram matrices [C, C] of some layers of a network's features [1, C, H, W]."""
    return {layer: gram_matrix(features[layer].flatten(2))[0] for layer in layers}


def sample_patches(features: Tensor) -> FeaturePatches:
    """Draw at most 4096 patches of 3 x 3 pixels from a feature map, without replacement.

    The draw depends only on the size of the map.

    Args:
        features: [C, H, W].
    """
    height, width = features.shape[1:]
    rows, columns = max(height - PATCH_SIZE + 1, 0), max(width - PATCH_SIZE + 1, 0)
    order = torch.randperm(rows * columns, generator=torch.Generator().manual_seed(PATCH_SEED))
    drawn = order[:MAX_STYLE_PATCHES].to(features.device)
    top, left = drawn // max(columns, 1), drawn % max(columns, 1)
    offsets = [(y, x) for y in range(PATCH_SIZE) for x in range(PATCH_SIZE)]
    patches = [features[:, top + y, left + x].T for y, x in offsets]  # 9 x [N, C]
    return FeaturePatches(torch.stack(patches, dim=2), features.mean((1, 2)))


def gram_distance(output: LayerGrams, style: LayerGrams) -> float:
    """Compute the squared distance of Gram matrices, relative to the style's and averaged over layers."""
    distances = [
        (output[layer] - wanted).square().sum() / wanted.square().sum() for layer, wanted in style.items()
    ]
    return float(torch.stack(distances).mean())


def style_gram(output: PerceptualFeatures, style: PerceptualFeatures) -> float:
    """Compute the Gram distance from the style at full size: 0 for the style, about 1 for other pictures.

    Source: Gatys et al. 2016 (CVPR), equations 4 and 5. Differs: relative to the style's Gram matrices, at
    relu1_1, relu2_1 and relu3_1 only.
    """
    return gram_distance(output.grams[0], style.grams[0])


def style_pyr(output: PerceptualFeatures, style: PerceptualFeatures) -> float:
    """Average `style_gram` over a Gaussian pyramid of three octaves, so that large strokes count too."""
    pairs = zip(output.grams, style.grams, strict=True)
    return sum(gram_distance(*octave) for octave in pairs) / len(style.grams)


def style_deep(output: PerceptualFeatures, style: PerceptualFeatures) -> float | None:
    """Compute the Gram distance from the style in VGG-16 at relu4_1 and relu5_1; None without VGG-16."""
    return gram_distance(output.deep_grams, style.deep_grams) if style.deep_grams else None


class PatchDistances(NamedTuple):
    """Distances of patches, from 0 (each patch has an exact match) to 1 (no match is better than chance).

    Attributes:
        style_patch: Mean distance from a patch of the output to the nearest patch of the style.
        style_cover: Mean distance from a patch of the style to the nearest patch of the output.
    """

    style_patch: float
    style_cover: float


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
            a = normalize((output_patches[:MAX_OUTPUT_PATCHES] - mean[:, None]).flatten(1))
            b = normalize((style_patches - mean[:, None]).flatten(1))
            cosines = a @ b.T  # [outputs, styles]
            # Rounding gives equal patches a cosine just above 1.
            to_style.append(1 - cosines.amax(1).clamp(max=1).mean())
            to_output.append(1 - cosines.amax(0).clamp(max=1).mean())
    return PatchDistances(float(torch.stack(to_style).mean()), float(torch.stack(to_output).mean()))


def content_distance(output: PerceptualFeatures, content: PerceptualFeatures) -> float:
    """Compute the distance from the content's structure: 0 for the content, 2 for unrelated pictures.

    This is the mean squared difference of instance-normalized relu3_1, relative to the mean square of the
    content's. Instance normalization removes most of the influence of the palette.

    Args:
        output: Features of a picture that has the content's size.
        content: Features of the content.
    """
    difference = (output.content - content.content).square().mean()
    return float(difference / content.content.square().mean())
