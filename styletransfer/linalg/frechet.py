"""A function of symmetric matrices and its derivatives, from divided differences in the eigenbasis."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .decomposition import decompose
from .divided_differences import ScalarFunction
from .guards import no_autocast
from .products import symmetric_product, symmetrize
from .semidefinite import keep_positive, normalize_spectrum, shift_spectrum


class Recipe(NamedTuple):
    """Which function of which part of the spectrum.

    Attributes:
        function: Scalar function with divided differences.
        positive: The matrix is positive semi-definite and the function a power: work at a scale near one,
            f(A) = f(scale) f(A / scale), shift by eps and cut at rtol.
        eps: Added to every eigenvalue, relative to the mean.
        rtol: Eigenvalues up to rtol times the largest give 0.
        largest: Number of eigenvalues kept, all others give 0; None keeps all.
    """

    function: ScalarFunction
    positive: bool = False
    eps: float = 0.0
    rtol: float = 0.0
    largest: int | None = None

    def normalize(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Return the matrix to decompose and the scale taken off it."""
        if self.positive:
            return normalize_spectrum(matrix, self.eps)
        return symmetrize(matrix), matrix.new_ones(1, 1)

    def select(self, eigenvalues: Tensor) -> tuple[Tensor, Tensor]:
        """Return ascending eigenvalues and which of them are kept."""
        if self.positive:
            return keep_positive(eigenvalues, self.eps, self.rtol)
        kept = torch.ones_like(eigenvalues, dtype=torch.bool)
        if self.largest is not None:
            kept[..., : eigenvalues.shape[-1] - self.largest] = False
        return eigenvalues, kept

    def rescale(self, scale: Tensor) -> Tensor:
        """Return what f(A / scale) is multiplied by."""
        return self.function.value(scale) if self.positive else scale


def apply_function(matrix: Tensor, recipe: Recipe) -> Tensor:
    """Return f(matrix), [..., C, C], twice differentiable."""
    with no_autocast(matrix):
        result: Tensor = _Value.apply(matrix, recipe)
    return result


def first_differences(function: ScalarFunction, eigenvalues: Tensor, kept: Tensor) -> Tensor:
    """Return f[l_i, l_j] of all pairs, [..., C, C], for f cut to 0 where not kept."""
    a, b = eigenvalues.unsqueeze(-1), eigenvalues.unsqueeze(-2)
    if kept.all():
        return function.first(a, b)
    return _first(function, a, b, kept.unsqueeze(-1), kept.unsqueeze(-2))


def rotate_back(inner: Tensor, vectors: Tensor) -> Tensor:
    """Return vectors @ inner @ vectors^T for symmetric inner, [..., C, C]."""
    return symmetric_product(vectors @ inner, vectors.mT)


class _Value(torch.autograd.Function):
    """W = f(A)."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, recipe: Recipe) -> Tensor:
        normalized, scale = recipe.normalize(matrix)
        eigenvalues, vectors = decompose(normalized)
        eigenvalues, kept = recipe.select(eigenvalues)
        ctx.save_for_backward(matrix, eigenvalues, vectors, kept, scale)
        ctx.recipe = recipe
        values = torch.where(kept, recipe.function.value(eigenvalues), 0).unsqueeze(-2) * recipe.rescale(
            scale
        )
        return symmetric_product(vectors * values, vectors.mT)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        matrix, *spectrum = ctx.saved_tensors
        if torch.is_grad_enabled():
            derivative = _Derivative.apply(grad, matrix, ctx.recipe, *spectrum)
        else:
            derivative = _differentiate(grad, ctx.recipe, *spectrum)
        return shift_spectrum(derivative, ctx.recipe.eps), None


class _Derivative(torch.autograd.Function):
    """The Frechet derivative of f at A in a direction; linear and its own adjoint in the direction."""

    @staticmethod
    def forward(ctx: Any, direction: Tensor, matrix: Tensor, recipe: Recipe, *spectrum: Tensor) -> Tensor:
        ctx.save_for_backward(direction, *spectrum)
        ctx.recipe = recipe
        return _differentiate(direction, recipe, *spectrum)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        direction, *spectrum = ctx.saved_tensors
        recipe: Recipe = ctx.recipe
        to_matrix = _differentiate_twice(direction, grad, recipe, *spectrum)
        to_direction = _differentiate(grad, recipe, *spectrum)
        return to_direction, shift_spectrum(to_matrix, recipe.eps), None, None, None, None, None


def _differentiate(
    direction: Tensor, recipe: Recipe, eigenvalues: Tensor, vectors: Tensor, kept: Tensor, scale: Tensor
) -> Tensor:
    """Return U [ F o (U^T sym(direction) U) ] U^T, at the scale of the matrix."""
    inner = first_differences(recipe.function, eigenvalues, kept)
    inner.mul_(_rotate(direction, vectors, 0.5 * recipe.rescale(scale)))
    return rotate_back(inner, vectors).div_(scale)


def _differentiate_twice(
    first: Tensor,
    second: Tensor,
    recipe: Recipe,
    eigenvalues: Tensor,
    vectors: Tensor,
    kept: Tensor,
    scale: Tensor,
) -> Tensor:
    """Return the second derivative in two directions: in the eigenbasis, with F_ikj = f[l_i, l_k, l_j],

    M_ij = sum_k F_ikj (E_ik H_kj + H_ik E_kj).
    """
    e = _rotate(first, vectors, 0.5 * recipe.rescale(scale) / scale)
    h = _rotate(second, vectors, 0.5 / scale)
    columns, rows = (
        (eigenvalues.unsqueeze(-1), kept.unsqueeze(-1)),
        (eigenvalues.unsqueeze(-2), kept.unsqueeze(-2)),
    )
    inner = []
    for i in range(eigenvalues.shape[-1]):  # one slice [..., C, C] of F at a time
        one = (eigenvalues[..., i, None, None], kept[..., i, None, None])
        products = e[..., i, :, None] * h + h[..., i, :, None] * e
        inner.append((_second(recipe.function, one, columns, rows) * products).sum(-2))
    return rotate_back(torch.stack(inner, -2), vectors)


def _rotate(direction: Tensor, vectors: Tensor, half: Tensor) -> Tensor:
    """Return direction + direction^T in the eigenbasis, times half."""
    return symmetric_product(vectors.mT, (direction + direction.mT).mul_(half) @ vectors)


def _first(function: ScalarFunction, a: Tensor, b: Tensor, kept_a: Tensor, kept_b: Tensor) -> Tensor:
    """Return f[a, b] for f cut to 0 where not kept; across the cut the gap is open."""
    same = kept_a == kept_b
    safe_a, safe_b = torch.where(kept_a, a, 1), torch.where(kept_b, b, 1)
    jump = kept_a * function.value(safe_a) - kept_b * function.value(safe_b)
    return torch.where(same, kept_a * function.first(safe_a, safe_b), jump / torch.where(same, 1, a - b))


_Slice = tuple[Tensor, Tensor]  # eigenvalues, and which are kept


def _second(function: ScalarFunction, first: _Slice, middle: _Slice, last: _Slice) -> Tensor:
    """Return f[a, b, c] for f cut to 0 where not kept, by a gap across the cut where there is one."""
    (a, kept_a), (b, kept_b), (c, kept_c) = first, middle, last
    safe = [torch.where(kept, x, 1) for x, kept in (first, middle, last)]
    inside = (kept_a & kept_b & kept_c) * function.second(*safe)
    if kept_b.all():  # the middle runs through the whole spectrum: nothing is cut
        return inside
    ab = _first(function, a, b, kept_a, kept_b)
    bc = _first(function, b, c, kept_b, kept_c)
    ac = _first(function, a, c, kept_a, kept_c)
    over_ac = (ab - bc) / torch.where(kept_a == kept_c, 1, a - c)
    over_ab = (ac - bc) / torch.where(kept_a == kept_b, 1, a - b)
    return torch.where(kept_a != kept_c, over_ac, torch.where(kept_a != kept_b, over_ab, inside))
