"""Distances of style and content between the VGG-19 features of pictures."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import instance_norm

from ..errors import ImageError
from ..model.vgg import STYLE_LAYERS, VGG19
from ..transfer.gram import gram
from .gaussian_filter import build_gaussian_pyramid

OCTAVES = 3
CONTENT_LAYER = "relu3_1"
# The pyramid halves twice and VGG-19 twice more before relu3_1, whose padding needs two pixels to reflect.
SMALLEST_SIDE = 32

LayerGrams = dict[str, Tensor]  # layer -> [C, C]


class PerceptualFeatures(NamedTuple):
    """The features of one picture that the metrics compare.

    Attributes:
        grams: Gram matrices by layer, one dictionary per octave, the full size first.
        content: Instance-normalized relu3_1 at full size, [C, H/4, W/4].
    """

    grams: tuple[LayerGrams, ...]
    content: Tensor


@torch.inference_mode()
def extract_features(network: VGG19, picture: Tensor) -> PerceptualFeatures:
    """Extract the features of a picture that the metrics compare.

    Args:
        network: VGG-19 that returns relu1_1, relu2_1 and relu3_1.
        picture: RGB in 0..1, [1, 3, H, W], on the device of the network.

    Raises:
        ImageError: A side is shorter than 32 pixels.
    """
    height, width = picture.shape[2:]
    if min(height, width) < SMALLEST_SIDE:
        hint = f"both sides must have at least {SMALLEST_SIDE} pixels"
        raise ImageError(f"{width}x{height} is too small to be measured", hint=hint)
    octaves = [network(octave) for octave in build_gaussian_pyramid(picture, OCTAVES)]
    grams = tuple({layer: gram(octave[layer].flatten(2))[0] for layer in STYLE_LAYERS} for octave in octaves)
    return PerceptualFeatures(grams, instance_norm(octaves[0][CONTENT_LAYER])[0])


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
