"""All singular values of a convolution, exact or estimated at far less cost, and their summary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from .border_correction import GRID, Measure, extrapolate_distribution, sample_symbol
from .conv_operator import ConvOperator, conv_operator
from .lanczos import lanczos
from .norm_bounds import NormBounds, norm_bounds
from .spectral_norm import group_norms, leading_images
from .symbol import TAU

DistributionMethod = Literal["exact", "circular", "density", "corrected", "lanczos"]

PROBES = 8  # random vectors of "lanczos"
PROBE_STEPS = 40
LARGEST_RESIDUAL = 2e-3  # relative residual of the largest value, whose error is its square over the gap
ENERGY_SHARE = 0.9


def singular_values(
    module: nn.Module, input_size: Sequence[int], method: DistributionMethod = "corrected", *, seed: int = 0
) -> Tensor:
    """Compute or estimate the singular values of a convolutional layer.

    Args:
        module: A `Conv2d`, a `ConvTranspose2d`, or a `Sequential` of padding modules and a `Conv2d`.
        input_size: Rows and columns of the layer's input.
        method: How the values are computed.

            * "exact": from the dense matrix; the time grows with the cube of the number of pixels.
            * "circular": the symbol's values on the grid of the discrete Fourier transform, as if the image
              wrapped around.
            * "density": quantiles of every singular value function of the symbol, to which the values of
              large images tend; interpolated on a grid between the points of the transform.
            * "corrected": the symbol's distribution with that of the border (see `border_correction`), and
              the largest value by Lanczos; for every padding. Layers of more than about 60 channels, for
              which even a tiny image is costly, are only rescaled to the exact Frobenius norm.
            * "lanczos": stochastic Lanczos quadrature, for every padding; it blurs gaps of the spectrum.

        seed: Seed of the random probes of "lanczos".

    Returns:
        [min(inputs, outputs)], descending, float64.

    Raises:
        TypeError: The module is not a two-dimensional convolution.
        ValueError: The image is smaller than the kernel or the padding needs, or the method is unknown.

    Source: "circular" Sedghi et al. 2019 (arXiv 1805.10408); "density" Yi 2020 (arXiv 2006.07117), quantile
    interpolation; "lanczos" Ubaru et al. 2017 (SIAM J. Matrix Anal. 38). Differs: adds strides, by polyphase
    components.
    """
    if method not in get_args(DistributionMethod):
        raise ValueError(f"method is {method!r}; choose one of {', '.join(get_args(DistributionMethod))}")
    operator = conv_operator(module, input_size).double()
    if method == "exact":
        exact: Tensor = torch.linalg.svdvals(operator.dense())
        return exact
    count = min(math.prod(operator.input_shape), math.prod(operator.output_shape))
    if method == "circular":
        values = sample_symbol(operator, [axis.output for axis in operator.axes], 0.0).flatten()
    elif method == "density":
        values = _density(operator)
    elif method == "lanczos":
        values = _quadrature(operator, seed).quantiles(count)
    else:
        return _corrected(module, input_size, operator, count)
    # Other paddings, or strides that do not divide the size, give another number of values: take quantiles.
    values = values if len(values) == count else Measure.uniform(values, 1.0).quantiles(count)
    return values.sort(descending=True).values


def _density(operator: ConvOperator) -> Tensor:
    functions = sample_symbol(operator, (GRID, GRID), TAU / 2).sort(dim=0).values  # [P, r]
    pixels = math.prod(axis.output for axis in operator.axes)
    place = (torch.arange(pixels).to(functions) + 0.5) / pixels * len(functions) - 0.5
    place = place.clamp(0, len(functions) - 1)
    left = place.floor().long().clamp(max=len(functions) - 2)
    return torch.lerp(functions[left], functions[left + 1], (place - left)[:, None]).flatten()


def _corrected(module: nn.Module, size: Sequence[int], operator: ConvOperator, count: int) -> Tensor:
    measure = extrapolate_distribution(module, size)
    if measure is None:
        values = Measure.uniform(_density(operator), 1.0).quantiles(count)
        values = values * (operator.frobenius_norm() / values.norm().clamp_min(1e-300))
    else:
        values = measure.quantiles(count)
    largest = group_norms(operator, operator.apply(leading_images(operator, 1, LARGEST_RESIDUAL))).max()
    return torch.cat([largest[None], values[1:].clamp(max=largest)])


def _quadrature(operator: ConvOperator, seed: int) -> Measure:
    """Average the Gauss quadratures of the spectral measures of random vectors."""
    shape = min(operator.input_shape, operator.output_shape, key=math.prod)
    generator = torch.Generator().manual_seed(seed)
    total = Measure(operator.weight.new_empty(0), operator.weight.new_empty(0))
    for _ in range(PROBES):
        start = torch.randn(shape, generator=generator, dtype=torch.float64).to(operator.weight)
        for step in lanczos(operator, start, PROBE_STEPS):
            space = step
        values, vectors = torch.linalg.eigh(space.tridiagonal)
        total += Measure(values.clamp_min(0).sqrt(), vectors[0].square() / PROBES)
    return total


@dataclass(frozen=True)
class LayerSummary:
    """The singular values of a layer, and the numbers that summarize them.

    Attributes:
        norm: Bounds of the largest singular value.
        values: All singular values, descending, float64.
        stable_rank: Sum of the squared values over the largest squared value.
        energy_rank: Number of largest values that hold `ENERGY_SHARE` of the sum of squares.
    """

    norm: NormBounds
    values: Tensor
    stable_rank: float
    energy_rank: int


def summarize_layer(
    module: nn.Module, input_size: Sequence[int], method: DistributionMethod = "corrected"
) -> LayerSummary:
    """Summarize the singular values of a convolutional layer.

    Args:
        module: A `Conv2d`, a `ConvTranspose2d`, or a `Sequential` of padding modules and a `Conv2d`.
        input_size: Rows and columns of the layer's input.
        method: How the singular values are computed, see `singular_values`.

    Returns:
        The summary. Ranks of a zero layer are 0.

    Raises:
        TypeError: The module is not a two-dimensional convolution.
        ValueError: The image is smaller than the kernel or the padding needs, the weight is not finite, or
            the method is unknown.
    """
    norm = norm_bounds(module, input_size)
    values = singular_values(module, input_size, method)
    energy = values.square().cumsum(0)
    frobenius = conv_operator(module, input_size).double().frobenius_norm().item()
    return LayerSummary(
        norm=norm,
        values=values,
        stable_rank=(frobenius / norm.lower) ** 2 if norm.lower > 0 else 0.0,
        energy_rank=int(torch.searchsorted(energy, ENERGY_SHARE * energy[-1])) + 1 if energy[-1] > 0 else 0,
    )
