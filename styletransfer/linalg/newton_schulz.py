"""Matrix square roots from matrix products only, for devices and export formats without eigensolvers.

The gradient is that of the square root itself and not of the iteration that computes it: with S = A^(1/2),
dL/dA solves the Lyapunov equation S Y + Y S = dL/dS, which is also solved with products. The backward pass
therefore keeps no step of the iteration.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .device_placement import no_autocast
from .function_transforms import TransformableFunction
from .psd_matrices import regularize_and_scale, require_eps, require_finite, require_square, symmetrize

# A step multiplies the smallest eigenvalue by up to 9/4 until it is near one, and squares the error after
# that. log(1e8) / log(9/4) + 5 steps reach the precision of float64 at condition number 1e8.
ITERATIONS = 28


def newton_schulz_roots(
    matrix: Tensor, *, eps: float = 1e-5, iterations: int = ITERATIONS
) -> tuple[Tensor, Tensor]:
    """Return the square root of positive definite matrices, and its inverse.

    Args:
        matrix: Positive semi-definite, [..., C, C]. It must be positive definite after the addition of eps.
        eps: Added to every eigenvalue, relative to the mean eigenvalue.
        iterations: Number of steps, here and in the gradient. The default suffices up to a condition number
            of 1e8.

    Returns:
        Root and inverse root, [..., C, C] each, differentiable any number of times. Both are zero for a zero
        matrix.

    Raises:
        NumericalError: The matrix holds NaN or infinity.
        ValueError: The matrix is not square, or eps is out of its range.

    Source: Higham 2008, Functions of Matrices, (6.35). Lin and Maji 2017 (arXiv 1707.06772), the gradient.
    Differs: Each matrix of a batch is normalized by its own norm.
    """
    require_square("matrix", matrix)
    require_eps(eps)
    with no_autocast(matrix):
        normalized, scale = regularize_and_scale(matrix, eps)
        root, inverse = _Roots.call(normalized, iterations)
        return root * scale.sqrt(), inverse / scale.sqrt()


class _Roots(TransformableFunction):
    """Square root and inverse square root by the coupled Newton-Schulz iteration."""

    @staticmethod
    def forward(matrix: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
        require_finite("the matrix", matrix)
        norm = torch.linalg.matrix_norm(matrix, keepdim=True)
        identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
        root, inverse = matrix / torch.where(norm > 0, norm, 1), identity * (norm > 0)
        for _ in range(iterations):
            step = 1.5 * identity - 0.5 * (inverse @ root)
            root, inverse = root @ step, step @ inverse
        return root * norm.sqrt(), inverse / torch.where(norm > 0, norm, 1).sqrt()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*output)
        ctx.save_for_forward(*output)
        ctx.iterations = inputs[1]

    @staticmethod
    def backward(ctx: Any, grad_root: Tensor, grad_inverse: Tensor) -> tuple[Tensor, None]:
        root, inverse = ctx.saved_tensors
        through_inverse = inverse.mT @ grad_inverse @ inverse.mT
        result: Tensor = _Lyapunov.call(root, symmetrize(grad_root - through_inverse), ctx.iterations)
        return result, None

    @staticmethod
    def tangents(ctx: Any, tangent: Tensor, _: None) -> tuple[Tensor, Tensor]:
        root, inverse = ctx.saved_tensors
        root_tangent: Tensor = _Lyapunov.call(root, symmetrize(tangent), ctx.iterations)
        return root_tangent, -inverse @ root_tangent @ inverse


class _Lyapunov(TransformableFunction):
    """The solution Y of S Y + Y S = G for symmetric G. Its gradient is the solution of another such equation.

    Source: Roberts 1980. The matrix sign of [[S, G], [0, -S]] is [[I, 2 Y], [0, -I]], and Newton-Schulz steps
    compute it.
    """

    @staticmethod
    def forward(root: Tensor, right: Tensor, iterations: int) -> Tensor:
        norm = torch.linalg.matrix_norm(root, keepdim=True)
        norm = torch.where(norm > 0, norm, 1)
        identity = torch.eye(root.shape[-1], dtype=root.dtype, device=root.device)
        sign, corner = root / norm, right / norm
        for _ in range(iterations):
            step = 3 * identity - sign @ sign
            product = sign @ corner
            corner = 0.5 * (corner @ step + sign @ (product.mT - product))
            sign = 0.5 * sign @ step
        return symmetrize(0.5 * corner)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)
        ctx.save_for_forward(inputs[0], output)
        ctx.iterations = inputs[2]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        root, solution = ctx.saved_tensors
        grad_right = _Lyapunov.call(root, symmetrize(grad), ctx.iterations)
        product = grad_right @ solution
        return -(product + product.mT), grad_right, None

    @staticmethod
    def tangents(ctx: Any, root_tangent: Tensor | None, right_tangent: Tensor | None, _: None) -> Tensor:
        root, solution = ctx.saved_tensors
        right = torch.zeros_like(solution) if right_tangent is None else symmetrize(right_tangent)
        if root_tangent is not None:
            product = root_tangent @ solution
            right = right - (product + product.mT)
        result: Tensor = _Lyapunov.call(root, right, ctx.iterations)
        return result
