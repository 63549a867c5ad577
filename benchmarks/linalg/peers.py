"""Published methods for matrix square roots with a gradient, implemented anew from their papers.

Each method (a "peer") maps a covariance [B, C, C] and a power, 1/2 or -1/2, to that power of the covariance.
It computes in the dtype of the covariance, which is float32 as published. Known errors of the published code
are kept, and comments name them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import comb
from typing import Any

import torch
from torch import Tensor

Peer = Callable[[Tensor, float], Tensor]

# Eigenvalues are clamped at this value, so that those that rounding made negative have a square root.
FLOOR = 1e-10


def eigh_autograd(matrix: Tensor, power: float) -> Tensor:
    """Differentiate `torch.linalg.eigh`, which divides by differences of eigenvalues."""
    eigenvalues, vectors = torch.linalg.eigh(matrix)
    return _rebuild(eigenvalues, vectors, power)


def svd_autograd(matrix: Tensor, power: float) -> Tensor:
    """Differentiate `torch.linalg.svd`."""
    vectors, singular_values, _ = torch.linalg.svd(matrix)
    return _rebuild(singular_values, vectors, power)


def _rebuild(eigenvalues: Tensor, vectors: Tensor, power: float) -> Tensor:
    return (vectors * eigenvalues.clamp(min=FLOOR).pow(power).unsqueeze(-2)) @ vectors.mT


class _SurrogateEigh(torch.autograd.Function):
    """An eigendecomposition whose gradient uses another matrix in place of 1 / (l_i - l_j)."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, surrogate: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        eigenvalues, vectors = torch.linalg.eigh(matrix)
        eigenvalues, vectors = eigenvalues.flip(-1), vectors.flip(-1)
        ctx.save_for_backward(eigenvalues, vectors)
        ctx.surrogate = surrogate
        return eigenvalues, vectors

    @staticmethod
    def backward(ctx: Any, grad_values: Tensor, grad_vectors: Tensor) -> tuple[Tensor, None]:
        eigenvalues, vectors = ctx.saved_tensors
        inner = ctx.surrogate(eigenvalues).mT * (vectors.mT @ grad_vectors) + torch.diag_embed(grad_values)
        result = vectors @ inner @ vectors.mT
        return 0.5 * (result + result.mT), None


def surrogate(rule: Callable[[Tensor], Tensor]) -> Peer:
    """Return the method that differentiates eigenvectors with another matrix in place of 1 / (l_i - l_j)."""

    def peer(matrix: Tensor, power: float) -> Tensor:
        eigenvalues, vectors = _SurrogateEigh.apply(matrix, rule)
        return _rebuild(eigenvalues, vectors, power)

    return peer


def _gap(eigenvalues: Tensor) -> Tensor:
    return eigenvalues.unsqueeze(-1) - eigenvalues.unsqueeze(-2)


def clip(eigenvalues: Tensor) -> Tensor:
    """Clip the gaps between eigenvalues at 0.01."""
    gap = _gap(eigenvalues)
    return torch.where(gap == 0, 0, gap.sign() / gap.abs().clamp(min=0.01))


def taylor(eigenvalues: Tensor, degree: int = 9) -> Tensor:
    """Expand 1 / (l_i - l_j) for l_i > l_j (Wang et al. 2021). Known error: symmetric at ties."""
    ratio, larger, sign = _ratios(eigenvalues)
    series = torch.ones_like(ratio)
    for _ in range(degree):
        series = 1 + ratio * series
    return sign * series / larger


def pade(eigenvalues: Tensor, degree: int = 50) -> Tensor:
    """Use the diagonal Pade approximant of 1 / (1 - r) with least-norm coefficients (Song et al. 2021)."""
    ratio, larger, sign = _ratios(eigenvalues)
    numerator, denominator = torch.zeros_like(ratio), torch.zeros_like(ratio)
    for k in range(degree, 0, -1):
        numerator = ratio * (numerator + 1 - k / degree)
        denominator = ratio * (denominator - 1 / degree)
    bounded = (1 + denominator).clamp(min=torch.finfo(ratio.dtype).eps)
    return sign * (1 + numerator) / bounded / larger


def _ratios(eigenvalues: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    clamped = eigenvalues.clamp(min=FLOOR)  # Known error: the clamp does not scale with the features.
    a, b = clamped.unsqueeze(-1), clamped.unsqueeze(-2)
    larger, smaller = torch.maximum(a, b), torch.minimum(a, b)
    sign = torch.where(a >= b, 1.0, -1.0).to(a.dtype)
    return smaller / larger, larger, sign - torch.diag_embed(torch.ones_like(eigenvalues))


def power_iteration(matrix: Tensor, power: float, steps: int = 19) -> Tensor:
    """Compute and deflate one eigenpair after the other, and differentiate all steps (Wang et al. 2019)."""
    channels = matrix.shape[-1]
    generator = torch.Generator().manual_seed(0)
    remainder, result = matrix, torch.zeros_like(matrix)
    for _ in range(channels):
        vector = torch.randn(channels, 1, generator=generator).to(matrix).expand(*matrix.shape[:-1], 1)
        for _ in range(steps):
            vector = remainder @ vector
            vector = vector / vector.norm(dim=-2, keepdim=True).clamp(min=FLOOR)
        eigenvalue = vector.mT @ remainder @ vector
        outer = vector @ vector.mT
        result = result + eigenvalue.clamp(min=FLOOR).pow(power) * outer
        remainder = remainder - eigenvalue * outer
    return result


def newton_schulz(matrix: Tensor, power: float, steps: int) -> Tensor:
    """Run the coupled Newton-Schulz iteration and differentiate its steps (iSQRT-COV, Li et al. 2018)."""
    norm = matrix.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    root, inverse = matrix / norm, identity.expand_as(matrix)
    for _ in range(steps):
        step = 0.5 * (3 * identity - inverse @ root)
        root, inverse = root @ step, step @ inverse
    return root * norm.sqrt() if power > 0 else inverse / norm.sqrt()


class _MatrixPade(torch.autograd.Function):
    """MPA-Lya (Song et al. 2022): a matrix Pade approximant, with the Lyapunov equation as its gradient.

    Known error: one norm is used for the whole batch.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, power: float, steps: int, degree: int) -> Tensor:
        norm = matrix.norm()
        identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype)
        scaled = matrix / norm
        even, odd = torch.zeros_like(scaled), torch.zeros_like(scaled)
        for j in range(degree, -1, -1):  # sqrt(a) ~ sum C(2K+1, 2j) a^j / sum C(2K+1, 2j+1) a^j
            even = even @ scaled + comb(2 * degree + 1, 2 * j) * identity
            odd = odd @ scaled + comb(2 * degree + 1, 2 * j + 1) * identity
        root = torch.linalg.solve(odd, even)
        result: Tensor = root * norm.sqrt() if power > 0 else torch.linalg.solve(even, odd) / norm.sqrt()
        ctx.save_for_backward(root * norm.sqrt(), result)
        ctx.power, ctx.steps = power, steps
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        root, result = ctx.saved_tensors
        if ctx.power < 0:  # d(S^-1) = -S^-1 dS S^-1
            grad = -result @ grad @ result
        norm = root.norm()
        identity = torch.eye(root.shape[-1], dtype=root.dtype)
        sign, solution = root / norm, grad / norm
        for _ in range(ctx.steps):
            square = sign @ sign
            step = 3 * identity - square
            solution = 0.5 * (solution @ step - sign @ (sign @ solution - solution @ sign))
            sign = 0.5 * sign @ step
        result = 0.5 * solution
        return 0.5 * (result + result.mT), None, None, None


def matrix_pade(matrix: Tensor, power: float, steps: int = 8, degree: int = 5) -> Tensor:
    """Apply MPA-Lya."""
    result: Tensor = _MatrixPade.apply(matrix, power, steps, degree)
    return result


def cholesky(matrix: Tensor, power: float) -> Tensor:
    """Return the Cholesky factor or its inverse. They are another square root, with another gradient."""
    factor: Tensor = torch.linalg.cholesky(matrix)
    if power > 0:
        return factor
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype).expand_as(matrix)
    inverse: Tensor = torch.linalg.solve_triangular(factor, identity, upper=False)
    return inverse


PEERS: dict[str, Peer] = {
    "eigh autograd": eigh_autograd,
    "svd autograd": svd_autograd,
    "clip 0.01": surrogate(clip),
    "taylor 9": surrogate(taylor),
    "pade [50/50]": surrogate(pade),
    "power iteration 19": power_iteration,
    "newton-schulz 5": partial(newton_schulz, steps=5),
    "newton-schulz 10": partial(newton_schulz, steps=10),
    "mpa-lya": matrix_pade,
    "cholesky": cholesky,
}


def whiten_and_color(content: Tensor, style: Tensor, peer: Peer, eps: float) -> Tensor:
    """Whiten and color features [B, C, N] with separate nodes for covariances, powers and products."""
    mean_c, mean_s = content.mean(-1, keepdim=True), style.mean(-1, keepdim=True)
    centered_c, centered_s = content - mean_c, style - mean_s
    white = peer(covariance(centered_c, eps), -0.5) @ centered_c
    return peer(covariance(centered_s, eps), 0.5) @ white + mean_s


def covariance(centered: Tensor, eps: float) -> Tensor:
    """Return the covariance of centered features [B, C, N], plus eps times its mean eigenvalue."""
    product = centered @ centered.mT / centered.shape[-1]
    mean = product.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    return product + eps * mean * torch.eye(product.shape[-1], dtype=product.dtype)
