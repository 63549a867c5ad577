"""Square roots by matrix products only, for devices and export formats without an eigendecomposition.

The gradient is that of the root itself, not of the steps that found it: with S = A^(1/2), dL/dA solves the
Lyapunov equation S Y + Y S = dL/dS, which products solve as well. No step is kept for the backward pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .guards import no_autocast, require_eps, require_finite, require_square
from .products import symmetrize
from .semidefinite import normalize_spectrum

# A step multiplies the smallest eigenvalue by up to 9/4 until it is near one, then squares the error:
# log(1e8) / log(9/4) + 5 steps reach float64 precision at condition 1e8.
ITERATIONS = 28


def newton_schulz_roots(
    matrix: Tensor, *, eps: float = 1e-5, iterations: int = ITERATIONS
) -> tuple[Tensor, Tensor]:
    """Return the square root and its inverse of positive definite matrices.

    Args:
        matrix: Positive semi-definite, [..., C, C]; eps must make it definite.
        eps: Added to every eigenvalue, relative to the mean eigenvalue.
        iterations: Steps, here and in the gradient; the default serves conditions up to 1e8.

    Returns:
        Root and inverse root, [..., C, C] each, differentiable any number of times. Zero matrices give zeros.

    Raises:
        NumericalError: The matrix holds NaN or infinity.
        ValueError: It is not square, or eps is out of its range.

    Source: Higham 2008, Functions of Matrices, (6.35); gradient: Lin, Maji 2017 (arXiv 1707.06772).
    Differs: each matrix of a batch is normalised by its own norm.
    """
    require_square("matrix", matrix)
    require_eps(eps)
    require_finite("matrix", matrix)
    with no_autocast(matrix):
        normalized, scale = normalize_spectrum(matrix, eps)
        root, inverse = _Roots.apply(normalized, iterations)
        return root * scale.sqrt(), inverse / scale.sqrt()


class _Roots(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
        norm = torch.linalg.matrix_norm(matrix, keepdim=True)
        identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
        root, inverse = matrix / torch.where(norm > 0, norm, 1), identity * (norm > 0)
        for _ in range(iterations):
            step = 1.5 * identity - 0.5 * (inverse @ root)
            root, inverse = root @ step, step @ inverse
        root, inverse = root * norm.sqrt(), inverse / torch.where(norm > 0, norm, 1).sqrt()
        ctx.save_for_backward(root, inverse)
        ctx.iterations = iterations
        return root, inverse

    @staticmethod
    def backward(ctx: Any, grad_root: Tensor, grad_inverse: Tensor) -> tuple[Tensor, None]:
        root, inverse = ctx.saved_tensors
        through_inverse = inverse.mT @ grad_inverse @ inverse.mT
        result: Tensor = _Lyapunov.apply(root, symmetrize(grad_root - through_inverse), ctx.iterations)
        return result, None


class _Lyapunov(torch.autograd.Function):
    """The solution Y of S Y + Y S = G for symmetric G; its gradient is another such solution.

    Source: the sign of [[S, G], [0, -S]] is [[I, 2 Y], [0, -I]] (Roberts 1980), found by Newton-Schulz steps.
    """

    @staticmethod
    def forward(ctx: Any, root: Tensor, right: Tensor, iterations: int) -> Tensor:
        norm = torch.linalg.matrix_norm(root, keepdim=True)
        norm = torch.where(norm > 0, norm, 1)
        identity = torch.eye(root.shape[-1], dtype=root.dtype, device=root.device)
        sign, corner = root / norm, right / norm
        for _ in range(iterations):
            step = 3 * identity - sign @ sign
            product = sign @ corner
            corner = 0.5 * (corner @ step + sign @ (product.mT - product))
            sign = 0.5 * sign @ step
        solution = symmetrize(0.5 * corner)
        ctx.save_for_backward(root, solution)
        ctx.iterations = iterations
        return solution

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        root, solution = ctx.saved_tensors
        pulled = _Lyapunov.apply(root, symmetrize(grad), ctx.iterations)
        product = pulled @ solution
        return -(product + product.mT), pulled, None
