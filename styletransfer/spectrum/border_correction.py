"""The distribution of a convolution's singular values, corrected for the image's edges and corners.

The sum of a smooth f over the squared singular values of a convolution with H x W outputs is, up to terms
that vanish exponentially with the size,

    H W (mean of f over the symbol) + W (top and bottom edge) + H (left and right edge) + (corners).

For a polynomial f this is exact once the image exceeds the polynomial's reach: entries of (T T*)^q far from
the border are those of an infinite image, and entries near an edge depend only on their distance to it. What
remains after the first term is affine in H and in W. The singular values of three tiny images, whose matrices
are cheap, therefore determine it for all sizes. The result is a measure: the symbol's distribution plus a
signed combination of three sets of points.

The correction by one moment (rescaling to the exact Frobenius norm) is contained in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .conv_operator import ConvOperator, conv_operator
from .symbol import TAU, Taps, frequency_grid, gram_eigenvalues, group_symbols

GRID = 24  # frequencies per axis; the integrand is smooth and periodic
TINY_SIDE = 320  # largest smaller side of a tiny image's matrix
TINY_ENTRIES = 2**21  # largest number of entries of that matrix
TINY_RATIO = 0.4  # size of the smaller tiny image over that of the larger one
COPIES = 4  # points that represent one singular value of a tiny image


@dataclass(frozen=True)
class Measure:
    """A signed measure of point masses on the line.

    Attributes:
        values: Positions of the points, [N].
        masses: Their masses, [N]; a mass may be negative.
    """

    values: Tensor
    masses: Tensor

    @classmethod
    def uniform(cls, values: Tensor, total: float) -> Measure:
        """Spread a total mass evenly over values of any shape."""
        flat = values.flatten()
        return cls(flat, torch.full_like(flat, total / max(len(flat), 1)))

    def __add__(self, other: Measure) -> Measure:
        return Measure(torch.cat([self.values, other.values]), torch.cat([self.masses, other.masses]))

    def smooth(self, copies: int) -> Measure:
        """Replace each point, all of equal mass, by several that are spread evenly between its neighbors."""
        if len(self.values) < 2:
            return self
        ordered = self.values.sort().values
        place = ((torch.arange(len(ordered) * copies).to(ordered) + 0.5) / copies - 0.5).clamp(
            0, len(ordered) - 1
        )
        left = place.floor().long().clamp(max=len(ordered) - 2)
        values = torch.lerp(ordered[left], ordered[left + 1], place - left)
        return Measure(values, self.masses.repeat_interleave(copies) / copies)

    def quantiles(self, count: int) -> Tensor:
        """Return the values at the centers of `count` equal shares of the mass, descending: [count].

        Negative masses can make the distribution function decrease. It is replaced by the mean of its maximum
        so far and its minimum from there on, which increases.
        """
        order = self.values.argsort()
        values, cumulated = self.values[order], self.masses[order].cumsum(0)
        before = cumulated.cummax(0).values
        after = cumulated.flip(0).cummin(0).values.flip(0)
        shares = (torch.arange(count).to(values) + 0.5) * (cumulated[-1] / count)
        place = torch.searchsorted((before + after) / 2, shares).clamp(max=len(values) - 1)
        return values[place].flip(0)


def sample_symbol(operator: ConvOperator, grid: Sequence[int], phase: float) -> Tensor:
    """Compute the singular values of the symbol on a grid of frequencies with the same phase in both axes.

    Returns:
        [P, r], descending in each row; r is the smaller side of the symbols of all groups together.
    """
    rows, columns = (Taps.from_kernel(axis.kernel, axis.stride, axis.dilation) for axis in operator.axes)
    frequencies = frequency_grid(grid, (phase, phase))
    if phase == TAU / 2:
        frequencies = frequencies[: len(frequencies) // 2]  # the others are their negatives
    parts = [
        gram_eigenvalues(group_symbols(operator.weight, operator.groups, (rows, columns), part))
        for part in frequencies.to(operator.weight.device).split(64)  # type: ignore[no-untyped-call]
    ]
    return torch.cat(parts).clamp_min(0).sqrt().flatten(1).sort(dim=1, descending=True).values


def extrapolate_distribution(module: nn.Module, size: Sequence[int]) -> Measure | None:
    """Extrapolate the distribution of a layer's singular values from tiny images.

    Args:
        module: The layer.
        size: Rows and columns of its input.

    Returns:
        The measure, up to its total mass; None if the layer has so many channels that no image is tiny.
    """
    tiny = _tiny_sizes(module, size)
    if tiny is None:
        return None
    small, large = tiny
    operator = conv_operator(module, size).double()
    symbol = sample_symbol(operator, (GRID, GRID), TAU / 2)
    outputs = [[axis.output for axis in conv_operator(module, each).axes] for each in (size, small, large)]
    factors = [(n - a) / (b - a) if b > a else 0.0 for n, a, b in zip(*outputs, strict=True)]
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
    """Choose a small and a larger tiny size at which the stride meets the borders as it does at `size`."""
    strides = (1, 1) if isinstance(module, nn.ConvTranspose2d) else conv_operator(module, size).strides
    chosen = None
    for target in range(1, max(size) + 1):
        large = _aligned_size(size, strides, target)
        small = _aligned_size(size, strides, max(1, round(TINY_RATIO * target)))
        try:
            images = [
                conv_operator(module, (large[0], small[1])),
                conv_operator(module, (small[0], large[1])),
            ]
        except ValueError:  # too small for the padding or the kernel
            continue
        shapes = [(math.prod(image.output_shape), math.prod(image.input_shape)) for image in images]
        if any(min(shape) > TINY_SIDE or math.prod(shape) > TINY_ENTRIES for shape in shapes):
            break
        chosen = small, large
    return chosen


def _aligned_size(size: Sequence[int], strides: Sequence[int], target: int) -> tuple[int, int]:
    """Return the smallest size from `target` on that is a whole number of strides smaller than `size`."""
    rows, columns = (n - (n - min(n, target)) // s * s for n, s in zip(size, strides, strict=True))
    return rows, columns
