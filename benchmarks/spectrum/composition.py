"""Chains of convolutions as one kernel, and kernels as chains, of the shipped network."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn

from styletransfer.model.autoencoder import Encoder
from styletransfer.model.weights import load_model
from styletransfer.spectrum import (
    NormBounds,
    build_convolution,
    compose,
    compose_layers,
    factorize,
    find_convolutions,
    lipschitz,
    norm_bounds,
    spectral_norm,
)
from styletransfer.spectrum.composition import Unfolding

from ..linalg.tables import Table
from .layers import Layer

ERRORS = (0.01, 0.1)  # of the operator norm
UNFOLDINGS: tuple[Unfolding, ...] = ("separable", "channels")
SIZE = 32  # side of the images at which errors of factorizations are taken


def linear_encoder(encoder: Encoder) -> list[list[nn.Conv2d]]:
    """Return the encoder's convolutions without activations, with circular padding, by scale, in float64.

    An average pooling is a convolution of stride 2, and stands first in its scale.
    """
    scales: list[list[nn.Conv2d]] = []
    for scale in encoder.scales:
        layers = [
            build_convolution(each.weight.detach().double(), "circular")
            for each in find_convolutions(scale).values()
        ]
        if scales:
            channels = layers[0].in_channels
            pool = nn.Conv2d(channels, channels, 2, stride=2, groups=channels, bias=False).double()
            nn.init.constant_(pool.weight, 1 / 4)
            pool.padding_mode = "circular"
            layers.insert(0, pool)
        scales.append(layers)
    return scales


def compare_chains(weights: Path, side: int) -> Table:
    """Compare norms of the encoder's linear part with products of the norms of its layers.

    "chain" is the norm of the one convolution, "product" that of the layers, both certified upper ends with
    circular padding. "scale" has the convolutions of that scale alone, "up to" all from the picture on.
    "Jacobian" is the largest norm found of the Jacobian of the encoder as it is, with its leaky ReLUs.
    """
    encoder = load_model(str(weights)).network.encoder
    assert isinstance(encoder, Encoder)
    table = Table(
        f"Norms of the linear encoder, {side} x {side}",
        ["part", "layers", "kernel", "chain", "product", "product / chain", "Jacobian"],
    )
    scales = linear_encoder(encoder)
    parts = [(f"scale {n}", n, layers) for n, layers in enumerate(scales)]
    chains = accumulate(scales, lambda before, layers: [*before, *layers])
    parts += [(f"up to {n}", n, layers) for n, layers in enumerate(chains) if n]
    for name, index, layers in parts:
        size = side >> max(index - 1, 0) if name.startswith("scale") else side
        product = prod(each.upper for each in layer_bounds(layers, size))
        whole = compose_layers(layers)
        chain = norm_bounds(whole, (size, size), "lanczos", tolerance=0.002)
        found = f"{jacobian(encoder, index, side):.2f}" if not name.startswith("scale") or not index else "-"
        kernel = " x ".join(map(str, whole.kernel_size))
        ratio = product / chain.upper
        table.add(name, len(layers), kernel, f"{chain.upper:.2f}", f"{product:.2f}", f"{ratio:.2f}", found)
    return table


def layer_bounds(layers: list[nn.Conv2d], size: int) -> Iterator[NormBounds]:
    """Yield the bounds of every layer of a chain at the size of its own input."""
    for layer in layers:
        yield norm_bounds(layer, (size, size))
        size //= layer.stride[0]


def jacobian(encoder: Encoder, scale: int, side: int) -> float:
    """Return the largest norm found of the Jacobian of the encoder up to a scale, at two images of noise."""
    parts: list[nn.Module] = []
    for index in range(scale + 1):
        parts += [encoder.pool] if index else []
        parts += encoder.scales[index]
    return lipschitz(nn.Sequential(*parts).eval(), (side, side)).lower


def compare_factorizations(layers: list[Layer]) -> Table:
    """Tell at which share of their parameters kernels reach a relative error in the norm of the map.

    Above 1, the two factors take more parameters and multiplications than the kernel.
    """
    names = [f"{name}, {error:.0%}" for name in UNFOLDINGS for error in ERRORS]
    table = Table(
        "Parameters of two factors over those of the kernel, at a relative error of the norm",
        ["layer", "kernel", *names],
    )
    for layer in layers:
        shares = [parameter_share(layer.weight, name, error) for name in UNFOLDINGS for error in ERRORS]
        shape = " x ".join(map(str, layer.weight.shape))
        table.add(layer.name, shape, *(f"{share:.2f}" for share in shares))
    return table


def parameter_share(weight: Tensor, unfolding: Unfolding, error: float) -> float:
    """Return the share of parameters at the least rank, by bisection, whose error is at most `error`."""
    norm = map_norm(weight)
    low, high = 1, min(factorize(weight, weight.numel(), unfolding)[0].shape[0], weight.numel())
    while low < high:
        rank = (low + high) // 2
        if map_norm(weight - compose(*factorize(weight, rank, unfolding))) <= error * norm:
            high = rank
        else:
            low = rank + 1
    first, second = factorize(weight, low, unfolding)
    return (first.numel() + second.numel()) / weight.numel()


def map_norm(weight: Tensor) -> float:
    """Return the norm of a kernel on images with zeros around them."""
    with torch.no_grad():
        return spectral_norm(build_convolution(weight), (SIZE, SIZE)).item()
