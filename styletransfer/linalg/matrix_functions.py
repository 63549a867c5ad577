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

from .device_placement import no_autocast
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
from .function_transforms import TransformableFunction, is_batched
from .psd_matrices import (
    add_ridge,
    clamp_and_mask_eigenvalues,
    default_rank_rtol,
    regularize_and_scale,
    require_eps,
    require_square,
    symmetric_product,
    symmetrize,
)

# Eigenvalues [..., C], eigenvectors [..., C, C], mask of the eigenvalues kept [..., C] and scale [..., 1, 1].
Decomposition = tuple[Tensor, ...]


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
        rtol = default_rank_rtol(matrix.dtype, matrix.dtype, matrix.shape[-1], eps)
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
            return regularize_and_scale(matrix, self.eps)
        return symmetrize(matrix), matrix.new_ones(*matrix.shape[:-2], 1, 1)

    def select(self, eigenvalues: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ascending eigenvalues, corrected for rounding, and a mask of those that are kept."""
        if self.is_power:
            return clamp_and_mask_eigenvalues(eigenvalues, self.eps, self.rtol)
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


def apply_spectral_function(matrix: Tensor, spectral: SpectralFunction) -> tuple[Tensor, Decomposition]:
    """Return f(matrix), [..., C, C], and the decomposition that `differentiate` needs."""
    value, *decomposition = _Value.call(matrix, spectral)
    return value, tuple(decomposition)


def differentiate(
    direction: Tensor, matrix: Tensor, spectral: SpectralFunction, decomposition: Decomposition
) -> Tensor:
    """Return the derivative of f(matrix) in a direction, [..., C, C], differentiably."""
    result: Tensor = _Derivative.call(add_ridge(direction, spectral.eps), matrix, spectral, *decomposition)
    return result


def differentiate_adjoint(
    gradient: Tensor, matrix: Tensor, spectral: SpectralFunction, decomposition: Decomposition
) -> Tensor:
    """Return the gradient to the matrix from that to f(matrix), [..., C, C], differentiably."""
    derivative = _Derivative.call(gradient, matrix, spectral, *decomposition)
    return add_ridge(derivative, spectral.eps)


def _apply(matrix: Tensor, spectral: SpectralFunction) -> Tensor:
    with no_autocast(matrix):
        return apply_spectral_function(matrix, spectral)[0]


class _Value(TransformableFunction):
    """The value W = f(A), followed by eigenvalues, eigenvectors, mask and scale of the decomposition."""

    @staticmethod
    def forward(matrix: Tensor, spectral: SpectralFunction) -> tuple[Tensor, ...]:
        normalized, scale = spectral.normalize(matrix)
        eigenvalues, vectors = decompose_symmetric(normalized)
        eigenvalues, kept = spectral.select(eigenvalues)
        values = torch.where(kept, spectral.function.value(eigenvalues), 0)
        values = values.unsqueeze(-2) * spectral.output_scale(scale)
        return symmetric_product(vectors * values, vectors.mT), eigenvalues, vectors, kept, scale

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        matrix, ctx.spectral = inputs
        ctx.save_for_backward(matrix, *output[1:])
        ctx.save_for_forward(matrix, *output[1:])
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, None]:
        if grad is None:
            return None, None
        matrix, *decomposition = ctx.saved_tensors
        if torch.is_grad_enabled() or is_batched(grad):
            return differentiate_adjoint(grad, matrix, ctx.spectral, tuple(decomposition)), None
        derivative = _first_derivative(grad, ctx.spectral, *decomposition)
        return add_ridge(derivative, ctx.spectral.eps), None

    @staticmethod
    def tangents(ctx: Any, tangent: Tensor, _: None) -> tuple[Tensor | None, ...]:
        matrix, *decomposition = ctx.saved_tensors
        return differentiate(tangent, matrix, ctx.spectral, tuple(decomposition)), None, None, None, None


class _Derivative(TransformableFunction):
    """The Frechet derivative of f at A in a direction. It is linear in the direction and self-adjoint."""

    @staticmethod
    def forward(
        direction: Tensor, matrix: Tensor, spectral: SpectralFunction, *decomposition: Tensor
    ) -> Tensor:
        return _first_derivative(direction, spectral, *decomposition)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        direction, matrix, ctx.spectral, *decomposition = inputs
        ctx.save_for_backward(direction, matrix, *decomposition)
        ctx.save_for_forward(direction, matrix, *decomposition)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        direction, matrix, *decomposition = ctx.saved_tensors
        spectral: SpectralFunction = ctx.spectral
        grad_matrix = _SecondDerivative.call(direction, grad, spectral, *decomposition)
        grad_direction = _Derivative.call(grad, matrix, spectral, *decomposition)
        return grad_direction, add_ridge(grad_matrix, spectral.eps), None, None, None, None, None

    @staticmethod
    def tangents(ctx: Any, direction_tangent: Tensor, matrix_tangent: Tensor, *_: Any) -> Tensor:
        direction, matrix, *decomposition = ctx.saved_tensors
        spectral: SpectralFunction = ctx.spectral
        linear: Tensor = _Derivative.call(direction_tangent, matrix, spectral, *decomposition)
        shifted = add_ridge(matrix_tangent, spectral.eps)
        change: Tensor = _SecondDerivative.call(direction, shifted, spectral, *decomposition)
        return linear + change


class _SecondDerivative(TransformableFunction):
    """The second derivative of f at A in two directions."""

    @staticmethod
    def forward(first: Tensor, second: Tensor, spectral: SpectralFunction, *decomposition: Tensor) -> Tensor:
        return _second_derivative(first, second, spectral, *decomposition)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        raise NotImplementedError("functions of matrices can be differentiated twice, but not three times")

    @staticmethod
    def tangents(ctx: Any, *_: Any) -> Any:
        raise NotImplementedError("functions of matrices can be differentiated twice, but not three times")


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
