"""Affine maps that give features of one mean and covariance the mean and covariance of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from .divided_differences import InverseSquareRoot, SquareRoot
from .eigh import decompose_symmetric
from .function_transforms import TransformableFunction, is_batched, values_are_available
from .matrix_functions import (
    SpectralFunction,
    apply_spectral_function,
    differentiate,
    differentiate_adjoint,
    first_differences,
    from_eigenbasis,
    inverse_sqrt,
    matrix_sqrt,
)
from .newton_schulz import newton_schulz_roots
from .psd_matrices import (
    NumericalError,
    add_ridge,
    clamp_and_mask_eigenvalues,
    default_rank_rtol,
    regularize_and_scale,
    require_eps,
    require_finite,
    symmetrize,
)
from .statistics import Statistics

TransferMethod = Literal["eigh", "newton_schulz", "cholesky", "adain", "monge"]


def transfer_map(
    content: Statistics,
    style: Statistics,
    *,
    eps: float = 1e-5,
    alpha: float = 1.0,
    method: TransferMethod = "eigh",
    rtol: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the map y = matrix @ x + offset that gives content features the statistics of the style.

    `whitening_coloring` applies the same map to features. Use this function if the statistics come from
    tiles, or to fold the map into the next convolution.

    Args:
        content: Statistics of the features to be mapped, batch B or 1. Their covariance is called A below.
        style: Statistics to reach, batch B or 1. Their covariance is called B below.
        eps: Added to every eigenvalue of both covariances, relative to the mean eigenvalue of each.
        alpha: Strength, 0..1. The map is interpolated with the identity, T_alpha = (1 - alpha) I + alpha T.
            If T = R_B R_A^(-1), the square root of the reached covariance moves along a straight line from
            R_A to R_B. For "monge", the reached covariance moves along the Wasserstein geodesic of
            `wasserstein_barycenter`.
        method: Which matrix T is chosen among those with T A T^T = B:
            "eigh": B^(1/2) A^(-1/2), whitening and coloring with symmetric square roots (ZCA).
            "newton_schulz": The same matrix, computed with matrix products only. It needs eps > 0 or positive
            definite covariances.
            "cholesky": L_B L_A^(-1), with triangular roots. It needs the same.
            "monge": A^(-1/2) (A^(1/2) B A^(1/2))^(1/2) A^(-1/2), the optimal transport map.
            "adain": A diagonal matrix, which matches the variances only.
        rtol: Eigenvalues up to rtol times the largest are left out by "eigh" and "monge", and variances by
            "adain". The default leaves out rounding errors if eps is 0, and nothing otherwise.

    Returns:
        Matrix [B, C, C] and offset [B, C], differentiable in both statistics. The matrix is 0 for content
        without any variance, so that only the mean is transferred.

    Raises:
        NumericalError: A covariance is not finite, or it is not positive definite and "cholesky" needs it.
        ValueError: The method is unknown, or an option is out of its range.
    """
    matrix = transfer_matrix(
        content.covariance, style.covariance, eps=eps, alpha=alpha, method=method, rtol=rtol
    )
    target_mean = torch.lerp(content.mean, style.mean, alpha)
    return matrix, target_mean - (matrix @ content.mean.unsqueeze(-1)).squeeze(-1)


def transfer_matrix(
    content: Tensor, style: Tensor, *, eps: float, alpha: float, method: TransferMethod, rtol: float | None
) -> Tensor:
    """Return the matrix of `transfer_map` for covariances [B or 1, C, C]."""
    require_transfer_options(eps, alpha, method)
    if rtol is None:
        rtol = default_rank_rtol(content.dtype, content.dtype, content.shape[-1], eps)
    matrix = _TRANSFER_MATRICES[method](content, style, eps, rtol)
    if alpha == 1:
        return matrix
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return (1 - alpha) * identity + alpha * matrix


def require_transfer_options(eps: float, alpha: float, method: TransferMethod) -> None:
    """Raise ValueError unless the options of a transfer are in their ranges."""
    if method not in get_args(TransferMethod):
        raise ValueError(f"method is {method!r}, choose one of {', '.join(get_args(TransferMethod))}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}, it must be 0..1")
    require_eps(eps)


def _zca(content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
    matrix: Tensor = _ZcaMatrix.call(content, style, eps, rtol)[0]
    return matrix


class _ZcaMatrix(TransformableFunction):
    """The matrix B^(1/2) A^(-1/2) as one node, which keeps little more than two bases of eigenvectors.

    Value and gradient are those of `matrix_sqrt(style) @ inverse_sqrt(content)`, with fewer products: both
    passes use Q = U_style^T U_content and stay in the two eigenbases until the end. The matrix is followed by
    the eigenvalues, eigenvectors, mask and scale of the content and of the style.
    """

    @staticmethod
    def forward(content: Tensor, style: Tensor, eps: float, rtol: float) -> tuple[Tensor, ...]:
        a, scale_a = regularize_and_scale(content, eps)
        b, scale_b = regularize_and_scale(style, eps)
        l_a, u_a = decompose_symmetric(a, "the content covariance")
        l_b, u_b = decompose_symmetric(b, "the style covariance")
        l_a, kept_a = clamp_and_mask_eigenvalues(l_a, eps, rtol)
        l_b, kept_b = clamp_and_mask_eigenvalues(l_b, eps, rtol)
        whitening = _inverse_deviations(l_a, kept_a) * (scale_b / scale_a).sqrt()
        core = _deviations(l_b, kept_b) * (u_b.mT @ u_a) * whitening
        return u_b @ core @ u_a.mT, l_a, u_a, kept_a, scale_a, l_b, u_b, kept_b, scale_b

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        content, style, eps, rtol = inputs
        ctx.save_for_backward(content, style, *output[1:])
        ctx.save_for_forward(content, style, *output[1:])
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.inverse_root = SpectralFunction(InverseSquareRoot(), is_power=True, eps=eps, rtol=rtol)
        ctx.root = SpectralFunction(SquareRoot(), is_power=True, eps=eps, rtol=rtol)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, Tensor | None, None, None]:
        if grad is None:
            return None, None, None, None
        content, style, *decompositions = ctx.saved_tensors
        grad_content = grad_style = None
        if torch.is_grad_enabled() or is_batched(grad):  # The gradient may be differentiated in turn.
            inverse, content_decomposition = apply_spectral_function(content, ctx.inverse_root)
            root, style_decomposition = apply_spectral_function(style, ctx.root)
            if ctx.needs_input_grad[0]:
                grad_inverse = (root.mT @ grad).sum_to_size(content.shape)
                grad_content = differentiate_adjoint(
                    grad_inverse, content, ctx.inverse_root, content_decomposition
                )
            if ctx.needs_input_grad[1]:
                grad_root = (grad @ inverse.mT).sum_to_size(style.shape)
                grad_style = differentiate_adjoint(grad_root, style, ctx.root, style_decomposition)
            return grad_content, grad_style, None, None
        l_a, u_a, kept_a, scale_a, l_b, u_b, kept_b, scale_b = decompositions
        q = u_b.mT @ u_a
        core = (u_b.mT @ grad @ u_a) * (scale_b / scale_a).sqrt()
        if ctx.needs_input_grad[0]:
            rotated = (_deviations(l_b, kept_b) * q).mT @ core
            gradient = _root_gradient(ctx.inverse_root, rotated, l_a, u_a, kept_a)
            grad_content = gradient / scale_a
        if ctx.needs_input_grad[1]:
            rotated = core @ (q * _inverse_deviations(l_a, kept_a)).mT
            grad_style = _root_gradient(ctx.root, rotated, l_b, u_b, kept_b) / scale_b
        return grad_content, grad_style, None, None

    @staticmethod
    def tangents(
        ctx: Any, content_tangent: Tensor | None, style_tangent: Tensor | None, *_: None
    ) -> tuple[Tensor | None, ...]:
        content, style, *_decompositions = ctx.saved_tensors
        inverse, content_decomposition = apply_spectral_function(content, ctx.inverse_root)
        root, style_decomposition = apply_spectral_function(style, ctx.root)
        tangent = torch.zeros_like(root @ inverse)
        if content_tangent is not None:
            change = differentiate(content_tangent, content, ctx.inverse_root, content_decomposition)
            tangent = tangent + root @ change
        if style_tangent is not None:
            tangent = tangent + differentiate(style_tangent, style, ctx.root, style_decomposition) @ inverse
        return tangent, *(None for _ in range(8))


def _deviations(eigenvalues: Tensor, kept: Tensor) -> Tensor:
    """Return factors of rows, [B, C, 1]: square roots of the eigenvalues that are kept, and 0."""
    return torch.where(kept, eigenvalues.sqrt(), 0).unsqueeze(-1)


def _inverse_deviations(eigenvalues: Tensor, kept: Tensor) -> Tensor:
    """Return factors of columns, [B, 1, C]: inverse square roots of the eigenvalues that are kept, and 0."""
    return torch.where(kept, eigenvalues.rsqrt(), 0).unsqueeze(-2)


def _root_gradient(
    spectral: SpectralFunction, rotated: Tensor, eigenvalues: Tensor, vectors: Tensor, kept: Tensor
) -> Tensor:
    """Return the gradient to a matrix A from the gradient to f(A + shift), given in the eigenbasis."""
    differences = first_differences(spectral.function, eigenvalues, kept)
    inner = differences.mul_(symmetrize(rotated.sum_to_size(vectors.shape)))
    return add_ridge(from_eigenbasis(inner, vectors), spectral.eps)


def _newton_schulz(content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
    return newton_schulz_roots(style, eps=eps)[0] @ newton_schulz_roots(content, eps=eps)[1]


def _cholesky(content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
    content_factor, content_varies = _cholesky_factor("content", content, eps)
    style_factor, style_varies = _cholesky_factor("style", style, eps)
    matrix: Tensor = torch.linalg.solve_triangular(content_factor, style_factor, upper=False, left=False)
    return matrix * (content_varies & style_varies)


def _cholesky_factor(name: str, covariance: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return the factor of a covariance, [B, C, C], and whether the covariance is not zero, [B, 1, 1].

    The factor of a zero covariance is the identity.
    """
    normalized, scale = regularize_and_scale(covariance, eps)
    require_finite(f"the {name} covariance", normalized)
    varies = normalized.detach().diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None] > 0
    identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    factor, info = torch.linalg.cholesky_ex(torch.where(varies, normalized, identity))
    if values_are_available(info) and info.any():
        raise NumericalError(
            f"the {name} covariance is not positive definite (leading block of {int(info.max())} channels); "
            'use eps > 0 or method="eigh"'
        )
    return factor * scale.sqrt(), varies


def _adain(content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
    content_deviation, content_kept = _channel_deviations("content", content, eps, rtol)
    style_deviation, style_kept = _channel_deviations("style", style, eps, rtol)
    return torch.diag_embed(torch.where(content_kept & style_kept, style_deviation / content_deviation, 0))


def _channel_deviations(name: str, covariance: Tensor, eps: float, rtol: float) -> tuple[Tensor, Tensor]:
    """Return the standard deviation of each channel and a mask of those above rounding errors, [B, C]."""
    variance = add_ridge(covariance, eps).diagonal(dim1=-2, dim2=-1)
    require_finite(f"the {name} covariance", variance)
    kept = (variance > rtol * variance.amax(-1, keepdim=True)) & (variance > 0)
    return torch.where(kept, variance, 1).sqrt(), kept


def _monge(content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
    root = matrix_sqrt(content, eps=eps, rtol=rtol)
    inverse = inverse_sqrt(content, eps=eps, rtol=rtol)
    middle = matrix_sqrt(root @ add_ridge(style, eps) @ root, rtol=rtol)
    return inverse @ middle @ inverse


_TRANSFER_MATRICES: dict[str, Callable[[Tensor, Tensor, float, float], Tensor]] = {
    "eigh": _zca,
    "newton_schulz": _newton_schulz,
    "cholesky": _cholesky,
    "adain": _adain,
    "monge": _monge,
}
