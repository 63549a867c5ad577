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

UNFOLDINGS: tuple[Unfolding, ...] = ("separable", "channels")


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
        chain = norm_bounds(whole, (size, size), "lanczos")
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
        parts.append(encoder.scales[index])
    return lipschitz(nn.Sequential(*parts).eval(), (side, side)).lower


def compare_factorizations(layers: list[Layer], size: int) -> Table:
    """Tell how far kernels are from factors that take half of their parameters and multiplications.

    "error" is the norm of the difference of the two maps over the norm of the kernel's.
    """
    columns = [f"{name}: {cell}" for name in UNFOLDINGS for cell in ("rank", "error")]
    table = Table(f"Factors of half the parameters, {size} x {size}", ["layer", "kernel", *columns])
    for layer in layers:
        norm = map_norm(layer.weight, size)
        cells: list[str | int] = []
        for name in UNFOLDINGS:
            first, second = factorize(layer.weight, 1, name)
            rank = max(1, layer.weight.numel() // (2 * (first.numel() + second.numel())))
            error = layer.weight - compose(*factorize(layer.weight, rank, name))
            cells += [rank, f"{100 * map_norm(error, size) / norm:.0f} %"]
        table.add(layer.name, " x ".join(map(str, layer.weight.shape)), *cells)
    return table


def map_norm(weight: Tensor, size: int) -> float:
    """Return the norm of a kernel on images with zeros around them."""
    with torch.no_grad():
        return spectral_norm(build_convolution(weight), (size, size)).item()
