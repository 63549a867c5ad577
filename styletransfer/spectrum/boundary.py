"""The distribution of a convolution's singular values with what the image's edges and corners do to it.

The sum of a smooth f over the squared singular values of a convolution with H x W outputs is, up to terms
that vanish exponentially with the size,

    H W (mean of f over the symbol) + W (top and bottom edge) + H (left and right edge) + (corners),

and exactly that for a polynomial f once the image exceeds its reach: entries of (T T*)^q far from the border
are those of an infinite image, entries near an edge depend on their distance to it alone. What the first
term leaves is affine in H and in W, so that three tiny images, whose matrices are cheap, give it for all
sizes. As a measure: the symbol's distribution plus a signed combination of three sets of points.

Contains the correction by one moment (rescaling to the exact Frobenius norm), and goes on to higher ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .layers import conv_operator
from .measures import Measure
from .operator import ConvOperator
from .symbol import TAU, Taps, frequency_grid, group_symbols
from .torus import gram_eigenvalues

GRID = 24  # frequencies per axis; the integrand is smooth and periodic
SIDE = 320  # smaller side of a tiny image's matrix, at most
ENTRIES = 2**21  # of the matrix, at most
SHARE = 0.4  # size of the smaller tiny image over the larger one's
COPIES = 4  # points that stand for one singular value of a tiny image


def sample_symbol(operator: ConvOperator, grid: Sequence[int], phase: float) -> Tensor:
    """Compute the singular values of the symbol on a grid of frequencies, twisted by a phase in both axes.

    Returns:
        [P, r], descending in each row; r is the smaller side of all groups' symbols together.
    """
    rows, columns = (Taps.of(axis.kernel, axis.stride, axis.dilation) for axis in operator.axes)
    frequencies = frequency_grid(grid, (phase, phase))
    if phase == TAU / 2:
        frequencies = frequencies[: len(frequencies) // 2]  # the others are their negatives
    parts = [
        gram_eigenvalues(group_symbols(operator.weight, operator.groups, (rows, columns), part))
        for part in frequencies.to(operator.weight.device).split(64)  # type: ignore[no-untyped-call]
    ]
    return torch.cat(parts).clamp_min(0).sqrt().flatten(1).sort(dim=1, descending=True).values


def measure_with_border(module: nn.Module, size: Sequence[int]) -> Measure | None:
    """Extrapolate the distribution of a layer's singular values from tiny images.

    Args:
        module: The layer.
        size: Of its input.

    Returns:
        The measure, up to its total mass; None if the layer has so many channels that no image is tiny.
    """
    tiny = _tiny_sizes(module, size)
    if tiny is None:
        return None
    small, large = tiny
    operator = conv_operator(module, size).double()
    symbol = sample_symbol(operator, (GRID, GRID), TAU / 2)
    places = [[axis.output for axis in conv_operator(module, each).axes] for each in (size, small, large)]
    factors = [(n - a) / (b - a) if b > a else 0.0 for n, a, b in zip(*places, strict=True)]
    terms = [
        (small, 1 - sum(factors)),
        ((large[0], small[1]), factors[0]),
        ((small[0], large[1]), factors[1]),
    ]
    border = Measure.uniform(symbol, 0.0)
    area = float(math.prod(axis.output for axis in operator.axes))
    for image, factor in terms:
        if factor:
            of_image = conv_operator(module, image).double()
            values = gram_eigenvalues(of_image.dense()).clamp_min(0).sqrt()
            border += Measure.uniform(values, len(values) * factor).smooth(COPIES)
            area -= factor * math.prod(axis.output for axis in of_image.axes)
    return border + Measure.uniform(symbol, area * symbol.shape[1])


def _tiny_sizes(module: nn.Module, size: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Choose a small and a larger tiny size whose borders meet the stride as those of `size` do."""
    strides = (1, 1) if isinstance(module, nn.ConvTranspose2d) else conv_operator(module, size).strides
    chosen = None
    for target in range(1, max(size) + 1):
        large = _aligned(size, strides, target)
        small = _aligned(size, strides, max(1, round(SHARE * target)))
        try:
            images = [
                conv_operator(module, (large[0], small[1])),
                conv_operator(module, (small[0], large[1])),
            ]
        except ValueError:  # too small for the padding or the kernel
            continue
        shapes = [(math.prod(image.output_shape), math.prod(image.input_shape)) for image in images]
        if any(min(shape) > SIDE or math.prod(shape) > ENTRIES for shape in shapes):
            break
        chosen = small, large
    return chosen


def _aligned(size: Sequence[int], strides: Sequence[int], target: int) -> tuple[int, int]:
    """Return the size nearest above a target that differs from `size` by whole strides, `size` at most."""
    rows, columns = (n - (n - min(n, target)) // s * s for n, s in zip(size, strides, strict=True))
    return rows, columns
