"""Functions of symmetric matrices with exact first and second derivatives at any eigenvalue multiplicity.

With A = U diag(l) U^T and W = f(A) = U diag(f(l)) U^T, the gradient needs no derivative of an eigenvector
(Daleckii and Krein):

    dL/dA = U [ F o (U^T sym(dL/dW) U) ] U^T,    F_ij = f[l_i, l_j]

The divided differences F_ij are bounded where eigenvalues coincide, so nothing is expanded, clipped or
masked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .divided_differences import (
    AnalyticFunction,
    ConstantOne,
    InverseSquareRoot,
    ScalarFunction,
    SquareRoot,
    all_true,
    truncated_first_difference,
    truncated_second_difference,
)
from .eigh import decompose_symmetric
from .psd import (
    default_rtol,
    normalize_spectrum,
    select_positive,
    shift_spectrum,
    symmetric_product,
    symmetrize,
)
from .validation import no_autocast, require_eps, require_square


def spectral_function(matrix: Tensor, function: Callable[[Tensor], Tensor] | ScalarFunction) -> Tensor:
    """Apply a scalar function to the eigenvalues of symmetric matrices.

    Args:
        matrix: [..., C, C]. Its symmetric part is used.
        function: Elementwise torch code such as `torch.exp`, analytic on the range of the eigenvalues, or an
            object with its own divided differences (see `ScalarFunction`).

    Returns:
        f(matrix), [..., C, C], symmetric and twice differentiable.

    Raises:
        NumericalError: The matrix holds NaN or infinity, or the eigensolver does not converge.
        ValueError: The matrix is not square.
    """
    require_square("matrix", matrix)
    scalar_function = AnalyticFunction(function) if callable(function) else function
    return _apply(matrix, SpectralFunction(scalar_function))


def matrix_sqrt(matrix: Tensor, *, eps: float = 0.0, rtol: float | None = None) -> Tensor:
    """Return the positive semi-definite square root.

    Args:
        matrix: Positive semi-definite, [..., C, C]. Its symmetric part is used.
        eps: Added to every eigenvalue, relative to the mean eigenvalue.
        rtol: Eigenvalues up to rtol times the largest count as zero, 0 <= rtol < 1. The default is C times
            the machine epsilon of the matrix if eps is 0, and 0 otherwise.

    Returns:
        [..., C, C], symmetric and twice differentiable. It maps the eigenvectors whose eigenvalues count as
        zero to zero.

    Raises:
        NumericalError: The matrix holds NaN or infinity, or the eigensolver does not converge.
        ValueError: The matrix is not square, or an option is out of its range.
    """
    return _root(matrix, SquareRoot(), eps, rtol)


def inverse_sqrt(matrix: Tensor, *, eps: float = 0.0, rtol: float | None = None) -> Tensor:
    """Return the pseudo-inverse of the positive semi-definite square root.

    Arguments, result and errors are those of `matrix_sqrt`.
    """
    return _root(matrix, InverseSquareRoot(), eps, rtol)


def spectral_projector(matrix: Tensor, k: int) -> Tensor:
    """Return the orthogonal projector onto the eigenvectors of the k largest eigenvalues.

    Principal component analysis can use it without the gradient of an eigenvector.

    Args:
        matrix: [..., C, C]. Its symmetric part is used; it may be indefinite.
        k: Rank of the projector, 0..C. The gradient exists if eigenvalues k and k + 1 differ. Eigenvalues may
            be equal on either side of this gap.

    Returns:
        [..., C, C], symmetric and twice differentiable.

    Raises:
        NumericalError: The matrix holds NaN or infinity, or the eigensolver does not converge.
        ValueError: The matrix is not square, or k is out of its range.
    """
    require_square("matrix", matrix)
    if not 0 <= k <= matrix.shape[-1]:
        raise ValueError(f"k is {k}, it must be 0..{matrix.shape[-1]}")
    return _apply(matrix, SpectralFunction(ConstantOne(), rank=k))


def _root(matrix: Tensor, function: ScalarFunction, eps: float, rtol: float | None) -> Tensor:
    require_square("matrix", matrix)
    require_eps(eps)
    if rtol is None:
        rtol = default_rtol(matrix.dtype, matrix.dtype, matrix.shape[-1], eps)
    if not 0 <= rtol < 1:
        raise ValueError(f"rtol is {rtol}, it must be at least 0 and less than 1")
    return _apply(matrix, SpectralFunction(function, is_power=True, eps=eps, rtol=rtol))


class SpectralFunction(NamedTuple):
    """A scalar function, and the part of the spectrum that it is applied to.

    Attributes:
        function: Scalar function with divided differences.
        is_power: Whether the function is a power of positive semi-definite matrices. If so, the computation
            is done at a scale near one, f(A) = f(scale) f(A / scale), with `eps` and `rtol`.
        eps: Added to every eigenvalue, relative to the mean eigenvalue.
        rtol: Eigenvalues up to rtol times the largest give 0.
        rank: Number of largest eigenvalues that are kept; the others give 0. None keeps all of them.
    """

    function: ScalarFunction
    is_power: bool = False
    eps: float = 0.0
    rtol: float = 0.0
    rank: int | None = None

    def normalize(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Return the matrix to decompose, and the scale that it was divided by."""
        if self.is_power:
            return normalize_spectrum(matrix, self.eps)
        return symmetrize(matrix), matrix.new_ones(1, 1)

    def select(self, eigenvalues: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ascending eigenvalues, corrected for rounding, and a mask of those that are kept."""
        if self.is_power:
            return select_positive(eigenvalues, self.eps, self.rtol)
        kept = torch.ones_like(eigenvalues, dtype=torch.bool)
        if self.rank is not None:
            kept[..., : eigenvalues.shape[-1] - self.rank] = False
        return eigenvalues, kept

    def output_scale(self, scale: Tensor) -> Tensor:
        """Return the factor by which f(A / scale) must be multiplied to give f(A)."""
        return self.function.value(scale) if self.is_power else scale


def first_differences(function: ScalarFunction, eigenvalues: Tensor, kept: Tensor) -> Tensor:
    """Return f[l_i, l_j] for all pairs of eigenvalues.

    Args:
        function: Scalar function f, set to 0 on the eigenvalues that are not kept.
        eigenvalues: [..., C].
        kept: Mask of the eigenvalues that are kept, [..., C].

    Returns:
        [..., C, C], symmetric.
    """
    a, b = eigenvalues.unsqueeze(-1), eigenvalues.unsqueeze(-2)
    if all_true(kept):
        return function.first_difference(a, b)
    return truncated_first_difference(function, a, b, kept.unsqueeze(-1), kept.unsqueeze(-2))


def from_eigenbasis(inner: Tensor, vectors: Tensor) -> Tensor:
    """Return vectors @ inner @ vectors^T for symmetric inner, [..., C, C]."""
    return symmetric_product(vectors @ inner, vectors.mT)


def _apply(matrix: Tensor, spectral: SpectralFunction) -> Tensor:
    with no_autocast(matrix):
        result: Tensor = _Value.apply(matrix, spectral)
    return result


class _Value(torch.autograd.Function):
    """The value W = f(A)."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, spectral: SpectralFunction) -> Tensor:
        normalized, scale = spectral.normalize(matrix)
        eigenvalues, vectors = decompose_symmetric(normalized)
        eigenvalues, kept = spectral.select(eigenvalues)
        ctx.save_for_backward(matrix, eigenvalues, vectors, kept, scale)
        ctx.spectral = spectral
        values = torch.where(kept, spectral.function.value(eigenvalues), 0)
        values = values.unsqueeze(-2) * spectral.output_scale(scale)
        return symmetric_product(vectors * values, vectors.mT)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        matrix, *decomposition = ctx.saved_tensors
        if torch.is_grad_enabled():
            derivative = _Derivative.apply(grad, matrix, ctx.spectral, *decomposition)
        else:
            derivative = _first_derivative(grad, ctx.spectral, *decomposition)
        return shift_spectrum(derivative, ctx.spectral.eps), None


class _Derivative(torch.autograd.Function):
    """The Frechet derivative of f at A in a direction. It is linear in the direction and self-adjoint."""

    @staticmethod
    def forward(
        ctx: Any, direction: Tensor, matrix: Tensor, spectral: SpectralFunction, *decomposition: Tensor
    ) -> Tensor:
        ctx.save_for_backward(direction, *decomposition)
        ctx.spectral = spectral
        return _first_derivative(direction, spectral, *decomposition)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        direction, *decomposition = ctx.saved_tensors
        spectral: SpectralFunction = ctx.spectral
        grad_matrix = _second_derivative(direction, grad, spectral, *decomposition)
        grad_direction = _first_derivative(grad, spectral, *decomposition)
        return grad_direction, shift_spectrum(grad_matrix, spectral.eps), None, None, None, None, None


def _first_derivative(
    direction: Tensor,
    spectral: SpectralFunction,
    eigenvalues: Tensor,
    vectors: Tensor,
    kept: Tensor,
    scale: Tensor,
) -> Tensor:
    """Return U [ F o (U^T sym(direction) U) ] U^T, [..., C, C], at the scale of the matrix."""
    inner = first_differences(spectral.function, eigenvalues, kept)
    inner.mul_(_to_eigenbasis(direction, vectors, 0.5 * spectral.output_scale(scale)))
    return from_eigenbasis(inner, vectors).div_(scale)


def _second_derivative(
    first: Tensor,
    second: Tensor,
    spectral: SpectralFunction,
    eigenvalues: Tensor,
    vectors: Tensor,
    kept: Tensor,
    scale: Tensor,
) -> Tensor:
    """Return the second derivative in two directions, [..., C, C].

    In the eigenbasis, with the directions E and H and F_ikj = f[l_i, l_k, l_j], it is
    M_ij = sum_k F_ikj (E_ik H_kj + H_ik E_kj).
    """
    e = _to_eigenbasis(first, vectors, 0.5 * spectral.output_scale(scale) / scale)
    h = _to_eigenbasis(second, vectors, 0.5 / scale)
    b, c = eigenvalues.unsqueeze(-1), eigenvalues.unsqueeze(-2)
    kept_b, kept_c = kept.unsqueeze(-1), kept.unsqueeze(-2)
    rows = []
    for i in range(eigenvalues.shape[-1]):  # Only one slice [..., C, C] of F exists at a time.
        a, kept_a = eigenvalues[..., i, None, None], kept[..., i, None, None]
        differences = truncated_second_difference(spectral.function, (a, b, c), (kept_a, kept_b, kept_c))
        products = e[..., i, :, None] * h + h[..., i, :, None] * e
        rows.append((differences * products).sum(-2))
    return from_eigenbasis(torch.stack(rows, -2), vectors)


def _to_eigenbasis(direction: Tensor, vectors: Tensor, factor: Tensor) -> Tensor:
    """Return factor * vectors^T @ (direction + direction^T) @ vectors, [..., C, C]."""
    return symmetric_product(vectors.mT, (direction + direction.mT).mul_(factor) @ vectors)
