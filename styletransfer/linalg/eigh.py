"""Eigenvalues and eigenvectors with a gradient that stays finite where eigenvalues are close."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from .decomposition import decompose
from .guards import require_square, symmetrize

Backward = Literal["taylor", "exact", "clip", "pade"]


def eigh(matrix: Tensor, *, backward: Backward = "taylor", degree: int = 9) -> tuple[Tensor, Tensor]:
    """Decompose positive semi-definite matrices, with a robust gradient.

    Args:
        matrix: [..., C, C]; its symmetric part is used.
        backward: What replaces 1 / (l_i - l_j) in the gradient of the eigenvectors. "taylor": its expansion of
            the given degree; "exact": itself, 0 at ties; "clip": gaps of at least 0.01 of the largest
            eigenvalue; "pade": the diagonal Pade approximant [degree/degree] of 1 / (1 - r).
        degree: Of "taylor" and "pade".

    Returns:
        eigenvalues [..., C], descending, and eigenvectors [..., C, C] in columns.

    Source: Wang et al. 2021 (arXiv 2104.03821), section 3. Differs: ties give 0 (antisymmetric), eigenvalues
    are clamped relative to the largest instead of at 1e-10.
    """
    require_square("matrix", matrix)
    if backward not in get_args(Backward):
        raise ValueError(f"backward is {backward!r}, choose one of {', '.join(get_args(Backward))}")
    values, vectors = _Eigh.apply(symmetrize(matrix), backward, degree)
    return values, vectors


def _inverse_gaps(eigenvalues: Tensor, backward: Backward, degree: int) -> Tensor:
    """Return the antisymmetric replacement of 1 / (l_i - l_j), [..., C, C]."""
    largest = eigenvalues[..., :1, None].abs().clamp(min=torch.finfo(eigenvalues.dtype).tiny)
    a, b = eigenvalues.unsqueeze(-1), eigenvalues.unsqueeze(-2)
    gap = a - b
    if backward == "exact":
        return torch.where(gap == 0, 0, 1 / torch.where(gap == 0, 1, gap))
    if backward == "clip":
        return gap.sign() / gap.abs().clamp(min=0.01 * largest)
    floor = torch.finfo(eigenvalues.dtype).eps * largest
    upper, lower = torch.maximum(a, b).maximum(floor), torch.minimum(a, b).maximum(floor)
    ratio = lower / upper
    series = torch.ones_like(ratio)
    for _ in range(degree):
        series = 1 + ratio * series
    return gap.sign() * series / upper


class _Eigh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, matrix: Tensor, backward: Backward, degree: int) -> tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def, override]
        eigenvalues, eigenvectors = decompose(matrix)
        eigenvalues, eigenvectors = eigenvalues.flip(-1), eigenvectors.flip(-1)
        ctx.save_for_backward(eigenvalues, eigenvectors)
        ctx.rule = backward, degree
        return eigenvalues, eigenvectors

    @staticmethod
    def backward(ctx, grad_values: Tensor, grad_vectors: Tensor):  # type: ignore[no-untyped-def, override]
        eigenvalues, eigenvectors = ctx.saved_tensors
        inverse_gaps = _inverse_gaps(eigenvalues, *ctx.rule)
        inner = inverse_gaps.mT * (eigenvectors.mT @ grad_vectors) + torch.diag_embed(grad_values)
        return symmetrize(eigenvectors @ inner @ eigenvectors.mT), None, None
