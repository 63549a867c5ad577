"""Functions of symmetric matrices with exact gradients, whatever the multiplicity of the eigenvalues.

With A = U diag(l) U^T and W = U diag(f(l)) U^T the gradient needs no derivative of an eigenvector:

    dL/dA = U [ F o (U^T sym(dL/dW) U) ] U^T,    F_ij = f[l_i, l_j]                      (Daleckii-Krein)

The divided differences F are bounded where eigenvalues coincide, so nothing is expanded, clipped or masked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .decomposition import decompose
from .divided_differences import InverseSquareRoot, One, ScalarFunction, SquareRoot
from .guards import even_power_of_two, require_square, symmetrize

# From raw eigenvalues [..., C] to those the function sees and a mask of those kept (None: all of them).
Selection = Callable[[Tensor], tuple[Tensor, Tensor | None]]


def spectral_function(matrix: Tensor, function: ScalarFunction) -> Tensor:
    """Apply a scalar function to the eigenvalues of symmetric matrices.

    Args:
        matrix: [..., C, C]; its symmetric part is used.
        function: Value and divided differences on the spectrum, see `divided_differences`.

    Returns:
        [..., C, C], symmetric, twice differentiable.
    """
    require_square("matrix", matrix)
    return _Spectral.apply(symmetrize(matrix), function, _keep_all)


def matrix_sqrt(matrix: Tensor, *, eps: float = 0.0, rtol: float | None = None) -> Tensor:
    """Return the positive semi-definite square root.

    Args:
        matrix: Positive semi-definite, [..., C, C]; its symmetric part is used.
        eps: Added to every eigenvalue, relative to the mean eigenvalue.
        rtol: Eigenvalues up to rtol times the largest count as zero. Default: C times the machine epsilon
            of the matrix without `eps`, nothing with it.

    Returns:
        [..., C, C], symmetric, twice differentiable; on truncated directions zero.
    """
    return _root(matrix, SquareRoot(), eps, rtol)


def inverse_sqrt(matrix: Tensor, *, eps: float = 0.0, rtol: float | None = None) -> Tensor:
    """Return the inverse of the square root, on the span of the eigenvalues kept; arguments of `matrix_sqrt`."""
    return _root(matrix, InverseSquareRoot(), eps, rtol)


def spectral_projector(matrix: Tensor, k: int) -> Tensor:
    """Return the orthogonal projector onto the eigenvectors of the k largest eigenvalues.

    Args:
        matrix: Symmetric, [..., C, C].
        k: Dimension kept, 0..C. The gradient exists where eigenvalues k and k + 1 differ.

    Returns:
        [..., C, C], twice differentiable: principal-component denoising needs no eigenvector gradient.
    """
    require_square("matrix", matrix)
    channels = matrix.shape[-1]
    if not 0 <= k <= channels:
        raise ValueError(f"k is {k}, it must be 0..{channels}")

    def keep_largest(eigenvalues: Tensor) -> tuple[Tensor, Tensor]:
        rank = torch.arange(channels, device=eigenvalues.device)
        return eigenvalues, (rank >= channels - k).expand_as(eigenvalues)

    return _Spectral.apply(symmetrize(matrix), One(), keep_largest)


def rank_cut(matrix: torch.dtype, features: torch.dtype, channels: int, eps: float) -> float:
    """Return the share of the largest eigenvalue up to which a covariance is rounding; 0 where eps lifts them all.

    Features of machine epsilon u determine singular values to C u (the rule of `torch.linalg.matrix_rank`), so
    eigenvalues of their covariance to (C u)^2, if it is measured in a precision that can hold that.
    """
    if eps > 0:
        return 0.0
    return max((channels * torch.finfo(features).eps) ** 2, channels * torch.finfo(matrix).eps)


def shift_spectrum(matrix: Tensor, eps: float) -> Tensor:
    """Add eps times the mean eigenvalue to every eigenvalue of [..., C, C]."""
    if eps == 0:
        return matrix
    mean = matrix.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True)
    return matrix + torch.diag_embed((eps * mean).expand(matrix.shape[:-1]))


def normalize_spectrum(matrix: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return the matrix symmetrised, scaled to a mean eigenvalue near 1 and shifted, and the scale [..., 1, 1]."""
    matrix = symmetrize(matrix)
    scale = even_power_of_two(matrix)
    return shift_spectrum(matrix / scale, eps), scale


def keep_positive(eigenvalues: Tensor, eps: float, rtol: float) -> tuple[Tensor, Tensor]:
    """Select the spectrum of a positive semi-definite matrix shifted by eps: eigenvalues and which are kept."""
    # Rounding may leave eigenvalues under the shift, or even negative; the matrix itself has none.
    floor = eps / (1 + eps) * eigenvalues.mean(-1, keepdim=True).clamp(min=0)
    eigenvalues = torch.maximum(eigenvalues, floor)
    return eigenvalues, (eigenvalues > rtol * eigenvalues[..., -1:]) & (eigenvalues > 0)


def _root(matrix: Tensor, function: ScalarFunction, eps: float, rtol: float | None) -> Tensor:
    require_square("matrix", matrix)
    if not 0 <= eps < float("inf"):
        raise ValueError(f"eps is {eps}, it must be at least 0")
    if rtol is None:
        rtol = rank_cut(matrix.dtype, matrix.dtype, matrix.shape[-1], eps)
    normalized, scale = normalize_spectrum(matrix, eps)
    value: Tensor = _Spectral.apply(normalized, function, partial(keep_positive, eps=eps, rtol=rtol))
    return value * function.value(scale)


def _keep_all(eigenvalues: Tensor) -> tuple[Tensor, None]:
    return eigenvalues, None


def _first(function: ScalarFunction, a: Tensor, b: Tensor, kept_a: Tensor, kept_b: Tensor) -> Tensor:
    """Return the divided difference of f where kept and 0 elsewhere."""
    safe_a, safe_b = torch.where(kept_a, a, 1), torch.where(kept_b, b, 1)
    gap = torch.where(kept_a == kept_b, 1, a - b)
    across = (kept_a * function.value(safe_a) - kept_b * function.value(safe_b)) / gap
    return torch.where(kept_a == kept_b, kept_a * function.first(safe_a, safe_b), across)


def pair_factors(function: ScalarFunction, eigenvalues: Tensor, kept: Tensor | None) -> Tensor:
    """Return the divided differences of all pairs of eigenvalues, [..., C, C]."""
    a, b = eigenvalues.unsqueeze(-1), eigenvalues.unsqueeze(-2)
    if kept is None or kept.all():
        return function.first(a, b)
    return _first(function, a, b, kept.unsqueeze(-1), kept.unsqueeze(-2))


def _second(
    function: ScalarFunction, a: Tensor, b: Tensor, c: Tensor, kept_a: Tensor, kept_b: Tensor, kept_c: Tensor
) -> Tensor:
    """Return the second divided difference; mixed triples divide by a gap across the cut, which is open."""
    safe = [torch.where(kept, x, 1) for kept, x in ((kept_a, a), (kept_b, b), (kept_c, c))]
    inside = (kept_a & kept_b & kept_c) * function.second(*safe)
    ac = _first(function, a, c, kept_a, kept_c)
    bc = _first(function, b, c, kept_b, kept_c)
    ab = _first(function, a, b, kept_a, kept_b)
    over_ac = (ab - bc) / torch.where(kept_a == kept_c, 1, a - c)
    over_ab = (ac - bc) / torch.where(kept_a == kept_b, 1, a - b)
    return torch.where(kept_a != kept_c, over_ac, torch.where(kept_a != kept_b, over_ab, inside))


class _Spectral(torch.autograd.Function):
    """W = f(A); the gradient is the Frechet derivative, which is its own adjoint."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, function: ScalarFunction, select: Selection) -> Tensor:
        eigenvalues, eigenvectors = decompose(matrix)
        eigenvalues, kept = select(eigenvalues)
        values = function.value(eigenvalues)
        if kept is not None:
            values = torch.where(kept, values, 0)
        ctx.save_for_backward(matrix, eigenvalues, eigenvectors, kept)
        ctx.function = function
        return (eigenvectors * values.unsqueeze(-2)) @ eigenvectors.mT

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _Frechet.apply(grad, *ctx.saved_tensors, ctx.function), None, None


class _Frechet(torch.autograd.Function):
    """The derivative of f at A in a direction, differentiable once with respect to both."""

    @staticmethod
    def forward(
        ctx: Any,
        direction: Tensor,
        matrix: Tensor,
        eigenvalues: Tensor,
        eigenvectors: Tensor,
        kept: Tensor | None,
        function: ScalarFunction,
    ) -> Tensor:
        ctx.save_for_backward(direction, matrix, eigenvalues, eigenvectors, kept)
        ctx.function = function
        factors = pair_factors(function, eigenvalues, kept)
        rotated = eigenvectors.mT @ symmetrize(direction) @ eigenvectors
        return eigenvectors @ (factors * rotated) @ eigenvectors.mT

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        direction, matrix, eigenvalues, vectors, kept = ctx.saved_tensors
        function: ScalarFunction = ctx.function
        kept = torch.ones_like(eigenvalues, dtype=torch.bool) if kept is None else kept
        grad_direction = _Frechet.apply(grad, matrix, eigenvalues, vectors, kept, function)
        h = vectors.mT @ symmetrize(grad) @ vectors
        e = vectors.mT @ symmetrize(direction) @ vectors
        rows = []
        for i in range(eigenvalues.shape[-1]):  # one [..., C, C] slice of the [..., C, C, C] factors at a time
            a, kept_a = eigenvalues[..., i, None, None], kept[..., i, None, None]
            b, kept_b = eigenvalues.unsqueeze(-1), kept.unsqueeze(-1)
            c, kept_c = eigenvalues.unsqueeze(-2), kept.unsqueeze(-2)
            factors = _second(function, a, b, c, kept_a, kept_b, kept_c)
            products = h[..., i, :, None] * e + e[..., i, :, None] * h
            rows.append((factors * products).sum(-2))
        grad_matrix = vectors @ torch.stack(rows, -2) @ vectors.mT
        return grad_direction, symmetrize(grad_matrix), None, None, None, None
