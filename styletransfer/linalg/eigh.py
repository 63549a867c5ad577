"""Eigendecomposition of symmetric matrices with gradients that stay finite at close eigenvalues."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from .device_placement import DeviceDtype, eigh_placement, limit_threads
from .function_transforms import TransformableFunction, values_are_available
from .psd_matrices import NumericalError, require_finite, require_square, symmetrize

EighBackward = Literal["taylor", "exact", "clip", "pade"]

# Negative eigenvalues count as rounding errors up to this share of the largest eigenvalue. It is wide enough
# for a covariance that was computed in float32 and converted to float64.
NEGATIVE_TOLERANCE = 1e-3

# The rule "clip" raises gaps between eigenvalues to this share of the largest eigenvalue.
CLIP_RATIO = 0.01


def eigh(matrix: Tensor, *, backward: EighBackward = "taylor", degree: int = 9) -> tuple[Tensor, Tensor]:
    """Decompose positive semi-definite matrices, with a robust gradient of the eigenvectors.

    Use it for losses of individual eigenvectors, whose true gradient diverges where eigenvalues meet. The
    loss of a function of the whole matrix (whitening, projectors) has an exact gradient that does not
    diverge: see `matrix_sqrt`, `inverse_sqrt`, `spectral_projector` and `spectral_function`.

    Args:
        matrix: [..., C, C]. Its symmetric part is used.
        backward: Replacement of 1 / (l_i - l_j) in the gradient, for l_i > l_j and r = l_j / l_i:
            "taylor": (1 + r + ... + r^degree) / l_i, which is at most (degree + 1) / l_i. A spectral function
            that is rebuilt from the eigenvectors gets the true factor of each pair times 1 - r^(degree + 1).
            "exact": no replacement, but 0 where two eigenvalues are equal.
            "clip": 1 / max(l_i - l_j, 0.01 l_max).
            "pade": the [degree/degree] Pade approximant of 1 / (1 - r), divided by l_i. It follows the exact
            factor much closer to r = 1 than "taylor" does.
        degree: Degree of "taylor" and "pade", at least 1.

    Returns:
        Eigenvalues [..., C] in descending order, and eigenvectors [..., C, C] in the columns.

    Raises:
        NumericalError: The matrix holds NaN or infinity, it is indefinite (beyond rounding errors), or the
            eigensolver does not converge.
        ValueError: The matrix is not square, or an option is out of its range.

    Source: Wang et al. 2021 (arXiv 2104.03821), the Taylor expansion of K~. Song et al. 2021 (arXiv
    2105.02498), the Pade approximant. Differs: The replacement is antisymmetric at equal eigenvalues too, and
    eigenvalues are clamped relative to the largest instead of at 1e-10, so that the gradient scales with the
    matrix.
    """
    require_square("matrix", matrix)
    if backward not in get_args(EighBackward):
        raise ValueError(f"backward is {backward!r}, choose one of {', '.join(get_args(EighBackward))}")
    if degree < 1:
        raise ValueError(f"degree is {degree}, it must be at least 1")
    eigenvalues, eigenvectors = _Eigh.call(matrix, backward, degree)
    return eigenvalues, eigenvectors


def decompose_symmetric(matrix: Tensor, name: str = "the matrix") -> tuple[Tensor, Tensor]:
    """Decompose symmetric matrices on whichever device suits their size, without a gradient.

    Args:
        matrix: Symmetric, [..., C, C]. Only one triangle is read.
        name: Name of the matrix in error messages.

    Returns:
        Eigenvalues [..., C] in ascending order, and eigenvectors [..., C, C] in the columns, on the device
        and in the dtype of the matrix.

    Raises:
        NumericalError: The matrix holds NaN or infinity, or the eigensolver does not converge.
    """
    require_finite(name, matrix)
    placement = DeviceDtype.of(matrix)
    solver_placement = eigh_placement(placement, matrix.shape[-1], matrix.shape[:-2].numel())
    placed = solver_placement.to(matrix.detach())
    try:
        with limit_threads(placed):
            eigenvalues, eigenvectors = torch.linalg.eigh(placed)
    except LinAlgError as error:
        raise NumericalError(f"the eigendecomposition of {name} did not converge: {error}") from error
    return placement.to(eigenvalues), placement.to(eigenvectors)


def inverse_gaps(eigenvalues: Tensor, backward: EighBackward, degree: int) -> Tensor:
    """Return the replacement of 1 / (l_i - l_j) that `eigh` describes.

    Args:
        eigenvalues: [..., C], descending.
        backward: Rule of the replacement.
        degree: Degree of "taylor" and "pade".

    Returns:
        [..., C, C], antisymmetric, and 0 where two eigenvalues are equal.
    """
    floor = torch.finfo(eigenvalues.dtype).eps * eigenvalues[..., :1]
    gap = eigenvalues.unsqueeze(-1) - eigenvalues.unsqueeze(-2)
    if backward == "exact":
        return torch.where(gap == 0, 0, 1 / torch.where(gap == 0, 1, gap))
    if backward == "clip":
        smallest = torch.finfo(eigenvalues.dtype).tiny
        least_gap = (CLIP_RATIO * eigenvalues[..., :1]).clamp(min=smallest).unsqueeze(-1)
        return gap.sign() / torch.maximum(gap.abs(), least_gap)
    clamped = torch.maximum(eigenvalues, floor)
    larger = torch.maximum(clamped.unsqueeze(-1), clamped.unsqueeze(-2))
    larger = torch.where(larger > 0, larger, 1)
    ratio = torch.minimum(clamped.unsqueeze(-1), clamped.unsqueeze(-2)) / larger
    series = _geometric_series(ratio, degree) if backward == "taylor" else _pade_approximant(ratio, degree)
    return gap.sign() * series / larger


def _require_semidefinite(ascending: Tensor) -> None:
    """Raise NumericalError if the eigenvalues [..., C] of a matrix are negative beyond rounding errors."""
    if ascending.numel() == 0 or not values_are_available(ascending):
        return
    tolerance = max(NEGATIVE_TOLERANCE, ascending.shape[-1] * torch.finfo(ascending.dtype).eps)
    smallest, largest = ascending[..., 0], ascending[..., -1]
    indefinite = -smallest > tolerance * torch.maximum(-smallest, largest)
    if indefinite.any():
        raise NumericalError(
            f"the matrix is indefinite: its eigenvalues reach from {smallest[indefinite][0].item():g} to "
            f"{largest[indefinite][0].item():g}, but eigh needs positive semi-definite matrices"
        )


def _geometric_series(ratio: Tensor, degree: int) -> Tensor:
    """Return 1 + r + ... + r^degree."""
    series = torch.ones_like(ratio)
    for _ in range(degree):
        series = 1 + ratio * series
    return series


def _pade_approximant(ratio: Tensor, degree: int) -> Tensor:
    """Return the [degree/degree] Pade approximant of 1 / (1 - r)."""
    # Every coefficient of the expansion is 1, so the denominator 1 + sum q_k r^k only has to satisfy
    # sum q_k = -1. The solution of least norm is q_k = -1 / degree, and the numerator follows from it as
    # 1 + sum (1 - k / degree) r^k.
    numerator, denominator = torch.zeros_like(ratio), torch.zeros_like(ratio)
    for k in range(degree, 0, -1):
        numerator = ratio * (numerator + 1 - k / degree)
        denominator = ratio * (denominator - 1 / degree)
    return (1 + numerator) / (1 + denominator).clamp(min=torch.finfo(ratio.dtype).eps)


class _Eigh(TransformableFunction):
    """Eigendecomposition whose gradient uses `inverse_gaps`."""

    @staticmethod
    def forward(matrix: Tensor, backward: EighBackward, degree: int) -> tuple[Tensor, Tensor]:
        ascending, columns = decompose_symmetric(symmetrize(matrix))
        _require_semidefinite(ascending)
        return ascending.flip(-1), columns.flip(-1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*output)
        ctx.save_for_forward(*output)
        ctx.rule = inputs[1:]

    @staticmethod
    def backward(ctx: Any, grad_eigenvalues: Tensor, grad_eigenvectors: Tensor) -> tuple[Tensor, None, None]:
        eigenvalues, eigenvectors = ctx.saved_tensors
        rotated = eigenvectors.mT @ grad_eigenvectors
        inner = inverse_gaps(eigenvalues, *ctx.rule).mT * rotated + torch.diag_embed(grad_eigenvalues)
        return symmetrize(eigenvectors @ inner @ eigenvectors.mT), None, None

    @staticmethod
    def tangents(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor, Tensor]:
        eigenvalues, eigenvectors = ctx.saved_tensors
        inner = eigenvectors.mT @ symmetrize(tangent) @ eigenvectors
        rotation = inverse_gaps(eigenvalues, *ctx.rule).mT * inner
        return inner.diagonal(dim1=-2, dim2=-1), eigenvectors @ rotation
