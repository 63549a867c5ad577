"""The certified upper bound: the symbol's largest singular value on the grid of a twisted circulant.

Theorem (compression). A convolution whose axes can be wrapped around (see `torus`) is a block of a twisted
circulant, for every phase theta. The circulant is unitarily equivalent to the block diagonal matrix of the
symbols F((2 pi j + theta) / m), hence

    ||T|| <= max_j ||F((2 pi j + theta) / m)||.

Phases are chosen so that the peaks of ||F|| fall between grid points: the bound then gains by the grid what
the wave packets of a finite image lose by its window.

Lemma (pruning). g(w) = ||F(w)|| is the largest of the real trigonometric polynomials Re(u* F(w) v), of degree
d_a in axis a. Where a real trigonometric polynomial of degree d (or, for even kernels, an entire function of
exponential type d) has |p| <= M, arccos(p / M) is Lipschitz with constant d (van der Corput & Schaake 1935,
Duffin & Schaeffer 1937); so is arccos(g / M). Let t be the largest value *evaluated*, and
suppose that the grid holds a larger one, T. Then sup g <= T / kappa, kappa = prod_a cos(pi d_a / m_a), and
from an evaluated point with value g0 it takes a distance of at least

    arccos(kappa g0 / T) - arccos(kappa),    distances being sum_a d_a |w_a - w0_a|,

to reach T. A point nearer than arccos(kappa g0 / t) - arccos(kappa) is therefore below T, whatever T > t is.
If every grid point is evaluated or that near to an evaluated one, no such T exists, and t is the maximum.

Rounding: values are roots of eigenvalues of F* F in float64; `ConvOperator.rounding` is added to the bound.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .survey import Survey
from .symbol import TAU, frequency_grid
from .torus import Torus

ARCCOS_ERROR = 1e-9  # of radii; arccos near 1 loses half the digits


def upper_bound(torus: Torus, survey: Survey) -> float:
    """Bound the norm of a convolution by a twisted circulant, see the theorem.

    Where the survey's grid is coarser than the circulant's, the bound is that of the supremum over all
    frequencies, sup g <= max g / cos(pi d / m) along that axis.
    """
    bound = _grid_maximum(torus, survey)
    for circle, period in zip(torus.circles, survey.periods, strict=True):
        if period < circle.period:
            bound /= math.cos(torch.pi * circle.degree / period)
    return bound * (1 + torus.operator.rounding)


def _grid_maximum(torus: Torus, survey: Survey) -> float:
    """Return the largest gain on the twisted grid, evaluating only points that no known gain clears."""
    grid = frequency_grid(survey.periods, survey.phase)
    index = torch.cartesian_prod(*map(torch.arange, survey.periods))
    top = torch.tensor([survey.peaks[0].frequency], dtype=torch.float64)
    nearest = _distances(torus, grid, top)[:, 0].argmin()
    largest = torus.gains(grid[nearest][None]).item()
    open_ = torch.arange(len(grid)) != nearest
    open_ &= ~_cleared(torus, survey, grid, (survey.frequencies, survey.gains), largest)
    for spacing in (4, 2, 1):
        here = open_ & (index % spacing == 0).all(1)
        if not here.any():
            continue
        gains = torus.gains(grid[here])
        largest = max(largest, gains.max().item())
        open_ &= ~here
        open_[open_.clone()] = ~_cleared(torus, survey, grid[open_], (grid[here], gains), largest)
    return largest


def _cleared(
    torus: Torus, survey: Survey, points: Tensor, evaluated: tuple[Tensor, Tensor], largest: float
) -> Tensor:
    """Tell which grid points are below any value larger than `largest`, by the lemma."""
    cleared = torch.zeros(len(points), dtype=torch.bool)
    angles = [torch.pi * c.degree / m for c, m in zip(torus.circles, survey.periods, strict=True)]
    kappa = math.prod(map(math.cos, angles))
    if max(angles) >= torch.pi / 2 or kappa == 1 or largest == 0:
        return cleared
    frequencies, gains = evaluated
    radius = (kappa * gains / largest).clamp(max=1).arccos() - math.acos(kappa) - ARCCOS_ERROR
    useful = radius > 0
    for start in range(0, int(useful.sum()), 512):
        part = slice(start, start + 512)
        cleared |= (_distances(torus, points, frequencies[useful][part]) <= radius[useful][part]).any(1)
    return cleared


def _distances(torus: Torus, points: Tensor, others: Tensor) -> Tensor:
    """Return distances around the torus, each axis weighted by its degree: [points, others]."""
    apart = (points[:, None] - others[None]).remainder(TAU)
    degrees = apart.new_tensor([circle.degree for circle in torus.circles])
    return torch.minimum(apart, TAU - apart) @ degrees
