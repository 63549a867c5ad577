"""The certified upper bound: the symbol's largest singular value on the grid of a twisted circulant.

Theorem (compression). A convolution that a twisted circulant contains (see `circulant`) is a block of it, for
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

import torch
from torch import Tensor

from .circulant import Circulant
from .symbol import TAU, frequency_grid
from .symbol_peaks import SymbolPeaks

ARCCOS_ERROR = 1e-9  # error allowed for in the lemma's radii: arccos near 1 loses half the digits
CHUNK = 512  # evaluated points whose distances to the grid are held at once


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
    for start in range(0, int(useful.sum()), CHUNK):
        part = slice(start, start + CHUNK)
        distances = _distances(circulant, points, frequencies[useful][part])
        excluded |= (distances <= radius[useful][part]).any(1)
    return excluded


def _distances(circulant: Circulant, points: Tensor, others: Tensor) -> Tensor:
    """Return distances on the torus, each axis weighted by its degree: [points, others]."""
    apart = (points[:, None] - others[None]).remainder(TAU)
    degrees = apart.new_tensor([axis.degree for axis in circulant.axes])
    return torch.minimum(apart, TAU - apart) @ degrees
