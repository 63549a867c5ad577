"""Layers of every kind that the tests of `spectrum` draw from."""

from __future__ import annotations

import random
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

PADDINGS: tuple[Literal["zeros", "circular", "reflect", "replicate"], ...]
PADDINGS = ("zeros", "circular", "reflect", "replicate")
MODULES = {"reflect": nn.ReflectionPad2d, "replicate": nn.ReplicationPad2d, "circular": nn.CircularPad2d}


def conv(
    inputs: int, outputs: int, kernel: int | tuple[int, int] = 3, *, seed: int = 0, **options: object
) -> nn.Conv2d:
    """A bias-free float64 convolution with normal weights."""
    layer = nn.Conv2d(inputs, outputs, kernel, bias=False, dtype=torch.float64, **options)  # type: ignore[arg-type]
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(seed))
    return layer


def laplacian() -> nn.Conv2d:
    """A high-pass kernel whose symbol is 0 at frequency 0."""
    layer = conv(1, 1, padding=1)
    layer.weight.data = torch.tensor([[[[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]]], dtype=torch.float64)
    return layer


def dense_matrix(layer: nn.Module, channels: int, size: tuple[int, int]) -> Tensor:
    """The matrix of a linear layer, by applying the layer itself to every unit image."""
    units = torch.eye(channels * size[0] * size[1], dtype=torch.float64)
    with torch.no_grad():
        images: Tensor = layer(units.view(-1, channels, *size))
    return images.flatten(1).T


def draw_layer(seed: int) -> tuple[nn.Module, int, tuple[int, int]]:
    """A random layer of random kind, the channels of its input, and a size that it accepts."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    groups = draw.choice([1, 1, 1, 2, 3])
    inputs, outputs = groups * draw.randint(1, 3), groups * draw.randint(1, 3)
    if draw.random() < 0.15:  # depthwise
        groups, outputs = inputs, inputs * draw.randint(1, 2)
    size = (draw.randint(7, 10), draw.randint(7, 10))
    stride = (draw.randint(1, 3), draw.randint(1, 3))
    dilation = (draw.randint(1, 2), draw.randint(1, 2))
    padding = (draw.randint(0, 2), draw.randint(0, 2))
    build = partial(
        nn.ConvTranspose2d if draw.random() < 0.25 else nn.Conv2d,
        inputs,
        outputs,
        (draw.randint(1, 4), draw.randint(1, 4)),
        stride=stride,
        dilation=dilation,
        groups=groups,
        bias=False,
        dtype=torch.float64,
    )
    if build.func is nn.ConvTranspose2d:
        most = (max(stride[0], dilation[0]) - 1, max(stride[1], dilation[1]) - 1)
        extra = (draw.randint(0, most[0]), draw.randint(0, most[1]))
        return build(padding=padding, output_padding=extra), inputs, size
    if draw.random() < 0.2:
        pad = MODULES[draw.choice(list(MODULES))]
        amounts = (draw.randint(0, 2), draw.randint(0, 2), draw.randint(0, 2), draw.randint(0, 2))
        return nn.Sequential(pad(amounts), build()), inputs, size
    return build(padding=padding, padding_mode=draw.choice(PADDINGS)), inputs, size
