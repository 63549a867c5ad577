"""All singular values of a convolution: exactly, or as distributions that cost far less."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from .boundary import GRID, measure_with_border, sample_symbol
from .krylov import lanczos
from .layers import conv_operator
from .measures import Measure
from .norm import leading_images
from .operator import ConvOperator
from .symbol import TAU

Method = Literal["exact", "circular", "density", "corrected", "lanczos"]

PROBES = 8
PROBE_STEPS = 40
TOP_SETTLED = 2e-3  # relative residual of the largest value, which is wrong by its square over the gap


def singular_values(
    module: nn.Module, input_size: Sequence[int], method: Method = "corrected", *, seed: int = 0
) -> Tensor:
    """Compute or estimate the singular values of a convolutional layer.

    Args:
        module: A `Conv2d`, a `ConvTranspose2d` or a `Sequential` of padding modules and a `Conv2d`.
        input_size: Rows and columns of the layer's input.
        method: How.
            "exact": from the dense matrix; time grows with the cube of the pixels.
            "circular": the symbol's on the grid of the discrete Fourier transform, as if the image wrapped.
            "density": quantiles of every singular value function of the symbol, what a large image's
                values tend to; interpolated on a grid between the points of the transform.
            "corrected": the symbol's distribution with the border's (see `boundary`) and the largest value
                by Lanczos; any padding. Layers of more than some 60 channels, for which even a tiny image
                is costly, are only rescaled to the exact Frobenius norm.
            "lanczos": stochastic Lanczos quadrature, any padding; smooths over the gaps of the spectrum.
        seed: Of the random probes of "lanczos".

    Returns:
        [min(inputs, outputs)], descending, float64.

    Raises:
        TypeError: The module is no two-dimensional convolution.
        ValueError: The image is smaller than the kernel or the padding needs, or the method is unknown.

    Source: "circular" Sedghi et al. 2019 (arXiv 1805.10408); "density" Yi 2020 (arXiv 2006.07117), quantile
    interpolation; "lanczos" Ubaru et al. 2017 (SIAM J. Matrix Anal. 38). Differs: strides, by polyphase.
    """
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}; choose one of {', '.join(get_args(Method))}")
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
    # Sides of other padding or strides that do not divide: the same distribution, of the right number.
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
    measure = measure_with_border(module, size)
    if measure is None:
        values = Measure.uniform(_density(operator), 1.0).quantiles(count)
        values = values * (operator.frobenius_norm() / values.norm().clamp_min(1e-300))
    else:
        values = measure.quantiles(count)
    largest = operator.apply(leading_images(operator, 1, TOP_SETTLED)).norm()
    return torch.cat([largest[None], values[1:].clamp(max=largest)])


def _quadrature(operator: ConvOperator, seed: int) -> Measure:
    """Average Gauss quadratures of the spectral measures of random vectors."""
    shape = min(operator.input_shape, operator.output_shape, key=math.prod)
    generator = torch.Generator().manual_seed(seed)
    total = Measure(operator.weight.new_empty(0), operator.weight.new_empty(0))
    for _ in range(PROBES):
        start = torch.randn(shape, generator=generator, dtype=torch.float64).to(operator.weight)
        for space in lanczos(operator, start, PROBE_STEPS):
            krylov = space
        values, vectors = torch.linalg.eigh(krylov.tridiagonal)
        total += Measure(values.clamp_min(0).sqrt(), vectors[0].square() / PROBES)
    return total
