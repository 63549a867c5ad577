"""The baseline: Collaborative-Distillation's 16x smaller WCT cascade, implemented as published.

Source: Wang et al. 2020 (CVPR, "Collaborative Distillation for Ultra-Resolution Universal Style Transfer"), a
compressed version of Li et al. 2017 (arXiv 1705.08086): five autoencoders in a row, the deepest first. Each
of them encodes both pictures, whitens and colors in float64, and decodes. As published, tensors are
contiguous float32, borders are reflected, and the style is encoded again for every picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

# Weight [out, in, k, k] and bias [out] of a convolution.
Kernel = tuple[Tensor, Tensor]

# Eigenvalues below this are dropped. The published threshold drops practically none.
EIGENVALUE_THRESHOLD = 1e-100


class Cascade:
    """The five encoders and decoders, the deepest first.

    Args:
        path: A safetensors file with weights and biases of the convolutions `enc1.conv0` ...
            `enc5.conv51` and `dec5.conv51` ... `dec1.conv11`.
    """

    def __init__(self, path: Path) -> None:
        tensors = load_file(path)
        self.stages = [
            (_list_kernels(tensors, f"enc{level}."), _list_kernels(tensors, f"dec{level}.")[::-1])
            for level in (5, 4, 3, 2, 1)
        ]

    def stylize(self, content: Tensor, style: Tensor) -> Tensor:
        """Stylize a content [1, 3, H, W] in 0..1; height and width are rounded down to multiples of 16.

        Args:
            content: The content; height and width are at least 32 pixels.
            style: The style [1, 3, H', W'] in 0..1.
        """
        with torch.inference_mode():
            for encoder, decoder in self.stages:
                features, style_features = encode(content, encoder), encode(style, encoder)
                content = decode(whiten_and_color(features, style_features), decoder)
        return content


# Convolutions, each with its block of VGG, 1..5; block 0 is the preprocessing.
Kernels = Sequence[tuple[int, Kernel]]


def _list_kernels(tensors: dict[str, Tensor], prefix: str) -> list[tuple[int, Kernel]]:
    names = sorted({name.removeprefix(prefix).split(".")[0] for name in tensors if name.startswith(prefix)})
    return [
        (int(name[4]), (tensors[f"{prefix}{name}.weight"].float(), tensors[f"{prefix}{name}.bias"].float()))
        for name in names
        if not name.endswith("_aux")
    ]


def encode(picture: Tensor, kernels: Kernels) -> Tensor:
    """Encode a picture, with max pooling between blocks."""
    (_, preprocessing), *rest = kernels
    features = F.conv2d(picture, *preprocessing)
    block = 1
    for each, kernel in rest:
        if each > block:
            features = F.max_pool2d(features, 2)
            block = each
        features = convolve(features, kernel).relu_()
    return features


def decode(features: Tensor, kernels: Kernels) -> Tensor:
    """Decode features, with upsampling between blocks."""
    block = kernels[0][0]
    for index, (each, kernel) in enumerate(kernels):
        if each < block:
            features = F.interpolate(features, scale_factor=2, mode="nearest")
            block = each
        features = convolve(features, kernel)
        if index < len(kernels) - 1:
            features = features.relu_()
    return features


def convolve(features: Tensor, kernel: Kernel) -> Tensor:
    """Apply a 3x3 convolution that keeps height and width."""
    return F.conv2d(F.pad(features, (1, 1, 1, 1), mode="reflect"), *kernel)


def whiten_and_color(content: Tensor, style: Tensor) -> Tensor:
    """Give content features [1, C, H, W] the mean and covariance of style features, by two decompositions."""
    features = content[0].double().flatten(1)  # [C, H*W]
    style_features = style[0].double().flatten(1)
    _, values, vectors = decompose(features)
    style_mean, style_values, style_vectors = decompose(style_features)
    centered = features - features.mean(1, keepdim=True)
    whitened = (vectors * values.pow(-0.5)) @ vectors.T @ centered
    colored = (style_vectors * style_values.pow(0.5)) @ style_vectors.T @ whitened + style_mean
    return colored.float().view(1, -1, *content.shape[2:])


def decompose(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean [C, 1], eigenvalues [K] and eigenvectors [C, K] of the covariance of features [C, N]."""
    mean = features.mean(1, keepdim=True)
    centered = features - mean
    covariance = centered @ centered.T / (features.shape[1] - 1)
    _, values, transposed = torch.linalg.svd(covariance)
    kept = values > EIGENVALUE_THRESHOLD
    return mean, values[kept], transposed.mT[:, kept]
