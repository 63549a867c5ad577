"""Fixtures: a perceptual network with random weights and random pictures, without files or downloads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from styletransfer.model.vgg import (
    DEEP_LAYERS,
    STYLE_LAYERS,
    VGG,
    VGG16,
    VGG19,
    Kernel,
    needed_convolutions,
)


def make_kernels(layers: tuple[str, ...], network: type[VGG]) -> dict[str, Kernel]:
    """Make random kernels that keep the scale of the features, without biases."""
    generator = torch.Generator().manual_seed(0)
    kernels = {}
    for each in needed_convolutions(layers, network):
        scale = (2 / (9 * each.in_channels)) ** 0.5
        shape = (each.out_channels, each.in_channels, 3, 3)
        kernels[each.name] = torch.randn(shape, generator=generator) * scale, torch.zeros(each.out_channels)
    return kernels


@pytest.fixture(scope="session")
def network() -> VGG19:
    return VGG19(make_kernels(STYLE_LAYERS, VGG19))


@pytest.fixture(scope="session")
def deep_network() -> VGG16:
    return VGG16(make_kernels(DEEP_LAYERS, VGG16), DEEP_LAYERS)


def make_picture(seed: int, height: int = 48, width: int = 64) -> Tensor:
    """Make a picture [1, 3, H, W] in 0..1 of smooth random blotches with a little noise."""
    generator = torch.Generator().manual_seed(seed)
    blotches = torch.rand(1, 3, 5, 5, generator=generator)
    smooth = interpolate(blotches, (height, width), mode="bicubic")
    return (smooth + 0.1 * torch.randn(1, 3, height, width, generator=generator)).clamp(0, 1)


@pytest.fixture
def content() -> Tensor:
    return make_picture(1)


@pytest.fixture
def style() -> Tensor:
    return make_picture(2, 56, 40)
