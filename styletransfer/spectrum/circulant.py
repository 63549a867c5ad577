"""Twisted circulants, which contain a convolution with borders as a block, and the certified upper bound.

A zero-padded convolution on n pixels is a block of a convolution on a circle of m positions, where m is at
least n plus what the taps reach beyond the image. No output inside the image reads across the seam of the
circle. The seam may therefore carry any phase theta (a *twist*), and the frequencies of the circulant are
(2 pi j + theta) / m. The largest singular value of the symbol at these frequencies bounds the norm of the
convolution, for every theta.

Theorem (compression). A convolution that a twisted circulant contains is a block of it, for
every phase theta. The circulant is unitarily equivalent to the block diagonal matrix of the symbols
F((2 pi j + theta) / m), hence

    ||T|| <= max_j ||F((2 pi j + theta) / m)||.

The phases are chosen so that the peaks of ||F|| fall between grid points. The bound then gains through the
grid what the wave packets of a finite image lose through its borders.

Lemma (pruning). g(w) = ||F(w)|| is the largest of the real trigonometric polynomials Re(u* F(w) v), of degree
d_a in axis a. Where a real trigonometric polynomial of degree d (or, for even kernels, an entire function of
exponential type d) has |p| <= M, arccos(p / M) is Lipschitz with constant d (van der Corput & Schaake 1935,
Duffin & Schaeffer 1937); so is arccos(g / M). Let t be the largest value *evaluated* so far, and suppose that
the grid holds a larger value T. Then sup g <= T / kappa with kappa = prod_a cos(pi d_a / m_a), and T lies at
a distance of at least

    arccos(kappa g0 / T) - arccos(kappa),    where distances are sum_a d_a |w_a - w0_a|,

from an evaluated point of value g0. A point nearer than arccos(kappa g0 / t) - arccos(kappa) is therefore
below T, for every T > t. If every grid point is evaluated, or that near to an evaluated one, no such T
exists, and t is the maximum.

Rounding: values are roots of eigenvalues of F* F in float64; `ConvOperator.rounding_margin` is added to the
bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .conv_operator import Axis, ConvOperator
from .symbol import TAU, Taps, frequency_grid, gram_eigenvalues, group_symbols
from .symbol_peaks import SymbolPeaks

CHUNK = 2**22  # complex numbers held at once
ARCCOS_ERROR = 1e-9  # error allowed for in the lemma's radii: arccos near 1 loses half the digits
DISTANCE_CHUNK = 512  # evaluated points whose distances to the grid are held at once


@dataclass(frozen=True)
class CirculantAxis:
    """One axis, closed to a circle.

    The symbol's singular values depend on the frequency w only through `step * w`: a dilation, or a stride
    that shares a factor with it, splits the axis into interleaved copies of one smaller circle. Frequencies
    of this class are those of one copy, v = step * w.

    Attributes:
        taps: Taps on one copy; the first tap of each polyphase component has offset 0.
        origin: What was subtracted from the offsets of each component, in output pixels.
        step: Output pixels between neighbors within a copy.
        period: Positions around the circle of one copy; 1 if the symbol does not depend on the frequency.
        twisted: Whether any phase is allowed; circular padding allows only phase 0.
        exact: Whether input and output fill the circle, so that the convolution *is* the circulant.
    """

    taps: Taps
    origin: tuple[int, ...]
    step: int
    period: int
    twisted: bool
    exact: bool

    @property
    def degree(self) -> float:
        """Degree of the symbol as a trigonometric polynomial, with each component centered."""
        return max(self.taps.offset) / 2

    def wave(self, size: int, frequency: float) -> Tensor:
        """Return the wave exp(-i w x) of a frequency of this circle at the input pixels: [size], complex."""
        pixel = torch.arange(size)
        origin = torch.tensor(self.origin)[pixel % self.taps.stride]
        position = (pixel // self.taps.stride - origin).double()
        phase = -frequency / self.step * position
        return torch.polar(torch.ones_like(phase), phase)


@dataclass(frozen=True)
class Circulant:
    """A convolution on a torus: both axes closed to circles.

    Attributes:
        operator: The convolution with borders that the circulant contains, in float64.
        axes: Rows and columns.
    """

    operator: ConvOperator
    axes: tuple[CirculantAxis, CirculantAxis]

    def symbols(self, frequencies: Tensor) -> Tensor:
        """Return the symbol of every group at frequencies [P, 2]: [P, G, rows, columns]."""
        taps = (self.axes[0].taps, self.axes[1].taps)
        frequencies = frequencies.to(self.operator.weight.device)
        return group_symbols(self.operator.weight, self.operator.groups, taps, frequencies)

    def gains(self, frequencies: Tensor) -> Tensor:
        """Return ||F||, the largest over the groups, at frequencies [P, 2]: [P]."""
        values = [gram_eigenvalues(symbols).amax((1, 2)) for symbols in self._chunks(frequencies)]
        return torch.cat(values).clamp_min(0).sqrt().cpu()

    def _chunks(self, frequencies: Tensor) -> Iterator[Tensor]:
        strides = math.prod(axis.taps.stride for axis in self.axes)
        size = self.operator.weight[:, :, 0, 0].numel() * strides
        step = max(1, CHUNK // size)
        for start in range(0, len(frequencies), step):
            yield self.symbols(frequencies[start : start + step])


def close_axis(axis: Axis) -> CirculantAxis | None:
    """Close an axis to a circle.

    Returns:
        The circle, or None if the padding is neither zero nor circular by whole outputs.
    """
    taps = Taps.from_kernel(axis.kernel, axis.stride, axis.dilation, axis.left)
    by_residue: dict[int, list[int]] = {}
    for residue, offset in zip(taps.residue, taps.offset, strict=True):
        by_residue.setdefault(residue, []).append(offset)
    first = {residue: min(offsets) for residue, offsets in by_residue.items()}
    step = math.gcd(*(o - first[r] for r, offsets in by_residue.items() for o in offsets)) or 1
    reduced = tuple((o - first[r]) // step for r, o in zip(taps.residue, taps.offset, strict=True))
    around, rest = divmod(axis.size, axis.stride)
    if axis.padding == "zero":
        period = math.ceil(_least_period(axis, taps) / step)
    elif axis.padding == "circular" and rest == 0 and axis.output <= around:
        period = around // math.gcd(step, around)
    else:
        return None
    return CirculantAxis(
        taps=Taps(taps.residue, reduced, taps.stride),
        origin=tuple(first.get(residue, 0) for residue in range(axis.stride)),
        step=step,
        period=period if any(reduced) else 1,
        twisted=axis.padding == "zero",
        exact=axis.padding == "circular" and axis.output == around,
    )


def _least_period(axis: Axis, taps: Taps) -> int:
    """Return the size of the smallest circle on which no output reads a pixel across the seam."""
    period = axis.output
    for residue, offset in zip(taps.residue, taps.offset, strict=True):
        pixels = math.ceil((axis.size - residue) / axis.stride)  # of this component
        period = max(period, pixels)
        if offset < 0:
            period = max(period, pixels - offset)
        if axis.output - 1 + offset >= pixels:
            period = max(period, axis.output + offset)
    return period


def has_circulant(operator: ConvOperator) -> bool:
    """Tell whether the padding of both axes allows `embed_in_circulant`."""
    return None not in map(close_axis, operator.axes)


def embed_in_circulant(operator: ConvOperator) -> Circulant:
    """Return a circulant that contains a convolution as a block.

    Raises:
        ValueError: The padding of an axis is neither zero nor circular by whole outputs.
    """
    rows, columns = map(close_axis, operator.axes)
    if rows is None or columns is None:
        raise ValueError(
            'no circulant contains a convolution with this padding; use the method "lanczos" or "extension"'
        )
    return Circulant(operator, (rows, columns))


def split_padding(operator: ConvOperator) -> tuple[ConvOperator, float]:
    """Split a convolution into an extension of the image and a convolution that a circulant contains.

    Returns:
        The convolution of the extended image, and the norm of the extension: the root of how often the
        most used pixel is read. Axes that can be closed to a circle stay as they are.
    """
    axes, extension_norm = [], 1.0
    for axis in operator.axes:
        if close_axis(axis) is None:
            extension_norm *= math.sqrt(axis.multiplicity)
            axis = replace(axis, size=len(axis.source), source=tuple(range(len(axis.source))))
        axes.append(axis)
    return replace(operator, axes=(axes[0], axes[1])), extension_norm


def circulant_bound(circulant: Circulant, peaks: SymbolPeaks) -> float:
    """Bound the norm of a convolution by a twisted circulant that contains it, see the theorem.

    Where the chosen grid is coarser than the circulant's, the bound is that of the supremum over all
    frequencies of that axis, sup g <= max g / cos(pi d / m).
    """
    bound = _grid_maximum(circulant, peaks)
    for axis, period in zip(circulant.axes, peaks.periods, strict=True):
        if period < axis.period:
            bound /= math.cos(torch.pi * axis.degree / period)
    return bound * (1 + circulant.operator.rounding_margin)


def _grid_maximum(circulant: Circulant, peaks: SymbolPeaks) -> float:
    """Return the largest gain on the twisted grid, evaluating only points that the lemma does not exclude."""
    grid = frequency_grid(peaks.periods, peaks.phase)
    index = torch.cartesian_prod(*map(torch.arange, peaks.periods))
    top = torch.tensor([peaks.peaks[0].frequency], dtype=torch.float64)
    nearest = _distances(circulant, grid, top)[:, 0].argmin()
    largest = circulant.gains(grid[nearest][None]).item()
    open_ = torch.arange(len(grid)) != nearest
    open_ &= ~_excluded(circulant, peaks, grid, (peaks.frequencies, peaks.gains), largest)
    for spacing in (4, 2, 1):
        here = open_ & (index % spacing == 0).all(1)
        if not here.any():
            continue
        gains = circulant.gains(grid[here])
        largest = max(largest, gains.max().item())
        open_ &= ~here
        open_[open_.clone()] = ~_excluded(circulant, peaks, grid[open_], (grid[here], gains), largest)
    return largest


def _excluded(
    circulant: Circulant, peaks: SymbolPeaks, points: Tensor, evaluated: tuple[Tensor, Tensor], largest: float
) -> Tensor:
    """Tell which grid points are below every value larger than `largest`, by the lemma: [points]."""
    excluded = torch.zeros(len(points), dtype=torch.bool)
    angles = [torch.pi * axis.degree / m for axis, m in zip(circulant.axes, peaks.periods, strict=True)]
    kappa = math.prod(map(math.cos, angles))
    if max(angles) >= torch.pi / 2 or kappa == 1 or largest == 0:
        return excluded
    frequencies, gains = evaluated
    radius = (kappa * gains / largest).clamp(max=1).arccos() - math.acos(kappa) - ARCCOS_ERROR
    useful = radius > 0
    for start in range(0, int(useful.sum()), DISTANCE_CHUNK):
        part = slice(start, start + DISTANCE_CHUNK)
        distances = _distances(circulant, points, frequencies[useful][part])
        excluded |= (distances <= radius[useful][part]).any(1)
    return excluded


def _distances(circulant: Circulant, points: Tensor, others: Tensor) -> Tensor:
    """Return distances on the torus, each axis weighted by its degree: [points, others]."""
    apart = (points[:, None] - others[None]).remainder(TAU)
    degrees = apart.new_tensor([axis.degree for axis in circulant.axes])
    return torch.minimum(apart, TAU - apart) @ degrees
