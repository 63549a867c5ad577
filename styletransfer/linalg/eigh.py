"""Eigenvalues and eigenvectors with a gradient that stays finite where eigenvalues are close."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from .decomposition import decompose
from .guards import require_square
from .products import symmetrize

Backward = Literal["taylor", "exact", "clip", "pade"]


def eigh(matrix: Tensor, *, backward: Backward = "taylor", degree: int = 9) -> tuple[Tensor, Tensor]:
    """Decompose positive semi-definite matrices, with a robust gradient of the eigenvectors.

    For losses of *individual* eigenvectors, whose true gradient diverges where eigenvalues meet. Losses of a
    function of the whole matrix (whitening, projectors) have an exact gradient: see `spectral`.

    Args:
        matrix: [..., C, C]; its symmetric part is used.
        backward: What stands for 1 / (l_i - l_j), l_i > l_j, r = l_j / l_i, in the gradient:
            "taylor" (1 + r + ... + r^degree) / l_i, at most (degree + 1) / l_i; a spectral function rebuilt
            from the eigenvectors gets each pair's true factor times 1 - r^(degree + 1);
            "exact" the thing itself, 0 at exact ties;
            "clip" 1 / max(l_i - l_j, 0.01 l_max);
            "pade" the [degree/degree] Pade approximant of 1 / (1 - r), over l_i: close to exact to the end.
        degree: Of "taylor" and "pade", at least 1.

    Returns:
        eigenvalues [..., C], descending, and eigenvectors [..., C, C] in columns.

    Raises:
        NumericalError: The matrix holds NaN or infinity.
        ValueError: It is not square, or an option is out of its range.

    Source: Wang et al. 2021 (arXiv 2104.03821), the Taylor expansion of K~; "pade": Song et al. 2021 (arXiv
    2105.02498). Differs: antisymmetric at ties too, and eigenvalues are clamped relative to the largest
    instead of at 1e-10, so that scaling the matrix scales the gradient.
    """
    require_square("matrix", matrix)
    if backward not in get_args(Backward):
        raise ValueError(f"backward is {backward!r}, choose one of {', '.join(get_args(Backward))}")
    if degree < 1:
        raise ValueError(f"degree is {degree}, it must be at least 1")
    values, vectors = _Eigh.apply(matrix, backward, degree)
    return values, vectors


# Gaps are clipped at this share of the largest eigenvalue.
CLIP = 0.01


def inverse_gaps(eigenvalues: Tensor, backward: Backward, degree: int) -> Tensor:
    """Return what stands for 1 / (l_i - l_j): [..., C, C], antisymmetric, 0 where eigenvalues are equal."""
    floor = torch.finfo(eigenvalues.dtype).eps * eigenvalues[..., :1]
    a, b = eigenvalues.unsqueeze(-1), eigenvalues.unsqueeze(-2)
    gap = a - b
    if backward == "exact":
        return torch.where(gap == 0, 0, 1 / torch.where(gap == 0, 1, gap))
    if backward == "clip":
        least = (CLIP * eigenvalues[..., :1]).clamp(min=torch.finfo(eigenvalues.dtype).tiny).unsqueeze(-1)
        return gap.sign() / torch.maximum(gap.abs(), least)
    clamped = torch.maximum(eigenvalues, floor)
    larger = torch.maximum(clamped.unsqueeze(-1), clamped.unsqueeze(-2))
    larger = torch.where(larger > 0, larger, 1)
    ratio = torch.minimum(clamped.unsqueeze(-1), clamped.unsqueeze(-2)) / larger
    series = _geometric(ratio, degree) if backward == "taylor" else _pade(ratio, degree)
    return gap.sign() * series / larger


def _geometric(ratio: Tensor, degree: int) -> Tensor:
    series = torch.ones_like(ratio)
    for _ in range(degree):
        series = 1 + ratio * series
    return series


def _pade(ratio: Tensor, degree: int) -> Tensor:
    # All coefficients expanded are 1, so the denominator 1 + sum q_k r^k only has to satisfy sum q_k = -1: of
    # least norm is q_k = -1 / degree, and the numerator follows as 1 + sum (1 - k / degree) r^k.
    numerator, denominator = torch.zeros_like(ratio), torch.zeros_like(ratio)
    for k in range(degree, 0, -1):
        numerator = ratio * (numerator + 1 - k / degree)
        denominator = ratio * (denominator - 1 / degree)
    return (1 + numerator) / (1 + denominator).clamp(min=torch.finfo(ratio.dtype).eps)


class _Eigh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor, backward: Backward, degree: int) -> tuple[Tensor, Tensor]:
        ascending, vectors = decompose(symmetrize(matrix))
        eigenvalues, eigenvectors = ascending.flip(-1), vectors.flip(-1)
        ctx.save_for_backward(eigenvalues, eigenvectors)
        ctx.rule = backward, degree
        return eigenvalues, eigenvectors

    @staticmethod
    def backward(ctx: Any, grad_values: Tensor, grad_vectors: Tensor) -> tuple[Tensor, None, None]:
        eigenvalues, vectors = ctx.saved_tensors
        inner = inverse_gaps(eigenvalues, *ctx.rule).mT * (vectors.mT @ grad_vectors) + torch.diag_embed(
            grad_values
        )
        return symmetrize(vectors @ inner @ vectors.mT), None, None
