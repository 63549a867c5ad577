"""The ZCA map B^(1/2) A^(-1/2) as one node that keeps two bases of eigenvectors and little else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .decomposition import decompose
from .divided_differences import InverseSquareRoot, ScalarFunction, SquareRoot
from .frechet import first_differences, rotate_back
from .products import symmetrize
from .semidefinite import keep_positive, normalize_spectrum, shift_spectrum
from .spectral import inverse_sqrt, matrix_sqrt


def zca_map(content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
    """Return style^(1/2) content^(-1/2) for covariances [B or 1, C, C]; twice differentiable.

    Value and gradient are those of `matrix_sqrt(style) @ inverse_sqrt(content)`, with fewer products: both
    passes work on Q = U_style^T U_content and never leave the two eigenbases in between.
    """
    matrix: Tensor = _ZcaMap.apply(content, style, eps, rtol)
    return matrix


class _ZcaMap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
        a, scale_a = normalize_spectrum(content, eps)
        b, scale_b = normalize_spectrum(style, eps)
        l_a, u_a = decompose(a, "the content covariance")
        l_b, u_b = decompose(b, "the style covariance")
        l_a, kept_a = keep_positive(l_a, eps, rtol)
        l_b, kept_b = keep_positive(l_b, eps, rtol)
        ctx.save_for_backward(content, style, l_a, u_a, kept_a, l_b, u_b, kept_b, scale_a, scale_b)
        ctx.eps, ctx.rtol = eps, rtol
        core = _color(l_b, kept_b) * (u_b.mT @ u_a) * (_white(l_a, kept_a) * (scale_b / scale_a).sqrt())
        return u_b @ core @ u_a.mT

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        content, style, l_a, u_a, kept_a, l_b, u_b, kept_b, scale_a, scale_b = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated in turn: leave that to its parts
            matrix = matrix_sqrt(style, eps=ctx.eps, rtol=ctx.rtol) @ inverse_sqrt(
                content, eps=ctx.eps, rtol=ctx.rtol
            )
            wanted = [x for x, needed in zip((content, style), ctx.needs_input_grad, strict=False) if needed]
            found = iter(torch.autograd.grad(matrix, wanted, grad, create_graph=True))
            grads = [next(found) if needed else None for needed in ctx.needs_input_grad[:2]]
            return grads[0], grads[1], None, None
        crossing = u_b.mT @ u_a
        core = (u_b.mT @ grad @ u_a) * (scale_b / scale_a).sqrt()
        grad_content = grad_style = None
        if ctx.needs_input_grad[0]:
            rotated = (_color(l_b, kept_b) * crossing).mT @ core
            grad_content = _pull_back(InverseSquareRoot(), rotated, l_a, u_a, kept_a, ctx.eps) / scale_a
        if ctx.needs_input_grad[1]:
            rotated = core @ (crossing * _white(l_a, kept_a)).mT
            grad_style = _pull_back(SquareRoot(), rotated, l_b, u_b, kept_b, ctx.eps) / scale_b
        return grad_content, grad_style, None, None


def _color(eigenvalues: Tensor, kept: Tensor) -> Tensor:
    return torch.where(kept, eigenvalues.sqrt(), 0).unsqueeze(-1)  # [B, C, 1], scales rows


def _white(eigenvalues: Tensor, kept: Tensor) -> Tensor:
    return torch.where(kept, eigenvalues.rsqrt(), 0).unsqueeze(-2)  # [B, 1, C], scales columns


def _pull_back(
    function: ScalarFunction, rotated: Tensor, eigenvalues: Tensor, vectors: Tensor, kept: Tensor, eps: float
) -> Tensor:
    """Return the gradient to the matrix before its shift from that to f(matrix) in its eigenbasis."""
    inner = first_differences(function, eigenvalues, kept).mul_(
        symmetrize(rotated.sum_to_size(vectors.shape))
    )
    return shift_spectrum(rotate_back(inner, vectors), eps)
