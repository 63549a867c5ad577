"""Features of pictures in VGG-19 and VGG-16, and the distances of style and content between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import instance_norm

from ..errors import ImageError
from ..model.vgg import DEEP_LAYERS, STYLE_LAYERS, VGG16, VGG19
from ..transfer.gram import gram
from .gaussian_filter import build_gaussian_pyramid
from .patch_metrics import FeaturePatches, sample_patches

OCTAVES = 3
CONTENT_LAYER = PATCH_LAYER = "relu3_1"
# The pyramid halves twice and VGG-19 twice more before relu3_1, or VGG-16 four times before relu5_1. The
# padding there needs two pixels to reflect.
SMALLEST_SIDE = 32

LayerGrams = dict[str, Tensor]  # layer -> [C, C]


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
    return {layer: gram(features[layer].flatten(2))[0] for layer in layers}


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
