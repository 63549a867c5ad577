"""How VGG-19 sees a picture, and the distances of style and content that follow from it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import instance_norm

from ..errors import ImageError
from ..model.vgg import STYLE_LAYERS, VGG19
from ..transfer.gram import gram
from .gaussian import build_gaussian_pyramid

OCTAVES = 3
CONTENT_LAYER = "relu3_1"
# Halved twice for the last octave and twice more down to relu3_1, whose padding reflects one pixel.
SMALLEST_SIDE = 32

LayerGrams = dict[str, Tensor]  # layer -> [C, C]


class Perception(NamedTuple):
    """What the metrics need of a picture.

    Attributes:
        grams: Gram matrices by layer, one dictionary per octave, the full size first.
        structure: relu3_1 of the full size after instance normalisation, [C, H/4, W/4].
    """

    grams: tuple[LayerGrams, ...]
    structure: Tensor


@torch.inference_mode()
def perceive(network: VGG19, picture: Tensor) -> Perception:
    """Look at a picture.

    Args:
        network: Returns relu1_1, relu2_1 and relu3_1.
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
    return Perception(grams, instance_norm(octaves[0][CONTENT_LAYER])[0])


def gram_distance(output: LayerGrams, style: LayerGrams) -> float:
    """Return the squared distance of Gram matrices relative to the style's, averaged over the layers."""
    distances = [
        (output[layer] - wanted).square().sum() / wanted.square().sum() for layer, wanted in style.items()
    ]
    return float(torch.stack(distances).mean())


def style_gram(output: Perception, style: Perception) -> float:
    """Return how far an output is from its style at full size: 0 is the style, about 1 another picture.

    Source: Gatys et al. 2016 (CVPR). Differs: relative to the style, at relu1_1, relu2_1 and relu3_1 only.
    """
    return gram_distance(output.grams[0], style.grams[0])


def style_pyr(output: Perception, style: Perception) -> float:
    """Return `style_gram` averaged over a Gaussian pyramid of three octaves: large strokes count too."""
    pairs = zip(output.grams, style.grams, strict=True)
    return sum(gram_distance(*octave) for octave in pairs) / len(style.grams)


def content_in(output: Perception, content: Perception) -> float:
    """Return how far the structure of an output is from its content's: 0 is the same, 2 unrelated.

    The mean squared difference of relu3_1 after instance normalisation, which takes the palette out,
    relative to the mean square of the content's.

    Args:
        output: Of a picture of the content's size.
        content: Of the content.
    """
    difference = (output.structure - content.structure).square().mean()
    return float(difference / content.structure.square().mean())
