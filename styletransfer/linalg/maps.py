"""The affine map that gives features of one mean and covariance those of another, by five rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from .guards import NumericalError, require_eps, require_finite
from .newton_schulz import newton_schulz_roots
from .semidefinite import normalize_spectrum, rank_cut, shift_spectrum
from .spectral import inverse_sqrt, matrix_sqrt
from .statistics import Statistics
from .zca import zca_map

Method = Literal["eigh", "newton_schulz", "cholesky", "adain", "monge"]


def transfer_map(
    content: Statistics,
    style: Statistics,
    *,
    eps: float = 1e-5,
    alpha: float = 1.0,
    method: Method = "eigh",
    rtol: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the map y = matrix @ x + offset that gives content the style's mean and covariance.

    For inference: statistics may come from tiles, and the map may be folded into the next convolution.

    Args:
        content: Statistics of the features to be mapped, batch B or 1; A below is their covariance.
        style: Statistics to reach, batch B or 1; B below.
        eps: Added to every eigenvalue of both covariances, relative to each mean eigenvalue.
        alpha: Strength 0..1. The map itself is interpolated, T_alpha = (1 - alpha) I + alpha T, so that 0 is
            exactly the identity. Where T = R_B R_A^(-1) this moves the *target* covariance: its root runs
            straight from R_A to R_B. For "monge" it is the Wasserstein geodesic of `wasserstein_barycenter`.
        method: Which matrix T of all those with T A T^T = B:
            "eigh" B^(1/2) A^(-1/2), whiten and color by symmetric roots (ZCA);
            "newton_schulz" the same by matrix products only, where eps makes both definite;
            "cholesky" L_B L_A^(-1), by triangular roots, where eps makes both definite;
            "monge" A^(-1/2) (A^(1/2) B A^(1/2))^(1/2) A^(-1/2), which moves the samples least;
            "adain" diagonal, matches the variances only.
        rtol: Eigenvalues up to rtol times the largest are left out of "eigh" and "monge" (variances of
            "adain"); default: those that are rounding where eps = 0, none otherwise.

    Returns:
        matrix [B, C, C] and offset [B, C], differentiable in both statistics. Content without any variance
        gets matrix 0: the mean alone is transferred.

    Raises:
        NumericalError: A covariance is not finite, or not positive definite where "cholesky" needs it.
        ValueError: Unknown method, or an option out of its range.
    """
    matrix = transfer_matrix(
        content.covariance, style.covariance, eps=eps, alpha=alpha, method=method, rtol=rtol
    )
    target = torch.lerp(content.mean, style.mean, alpha)
    return matrix, target - (matrix @ content.mean.unsqueeze(-1)).squeeze(-1)


def transfer_matrix(
    content: Tensor, style: Tensor, *, eps: float, alpha: float, method: Method, rtol: float | None
) -> Tensor:
    """Return the linear part of `transfer_map` for covariances [B or 1, C, C]."""
    require_options(eps, alpha, method)
    if rtol is None:
        rtol = rank_cut(content.dtype, content.dtype, content.shape[-1], eps)
    matrix = _RULES[method](content, style, eps, rtol)
    if alpha == 1:
        return matrix
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return (1 - alpha) * identity + alpha * matrix


def require_options(eps: float, alpha: float, method: Method) -> None:
    """Raise ValueError unless the options of a transfer are in their ranges."""
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}, choose one of {', '.join(get_args(Method))}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}, it must be 0..1")
    require_eps(eps)


def _newton_schulz(content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
    return newton_schulz_roots(style, eps=eps)[0] @ newton_schulz_roots(content, eps=eps)[1]


def _cholesky(content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
    content_factor, content_varies = _cholesky_factor("content", content, eps)
    style_factor, style_varies = _cholesky_factor("style", style, eps)
    matrix: Tensor = torch.linalg.solve_triangular(content_factor, style_factor, upper=False, left=False)
    return matrix * (content_varies & style_varies)


def _cholesky_factor(name: str, covariance: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return the factor of a covariance (of the identity if it is zero) and whether it is not, [B, 1, 1]."""
    normalized, scale = normalize_spectrum(covariance, eps)
    require_finite(f"the {name} covariance", normalized)
    varies = normalized.detach().diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None] > 0
    identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    factor, info = torch.linalg.cholesky_ex(torch.where(varies, normalized, identity))
    if not torch.compiler.is_compiling() and info.any():
        raise NumericalError(
            f"the {name} covariance is not positive definite (leading block of {int(info.max())} channels); "
            'use eps > 0 or method="eigh"'
        )
    return factor * scale.sqrt(), varies


def _adain(content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
    content_deviation, content_kept = _deviation("content", content, eps, rtol)
    style_deviation, style_kept = _deviation("style", style, eps, rtol)
    return torch.diag_embed(torch.where(content_kept & style_kept, style_deviation / content_deviation, 0))


def _deviation(name: str, covariance: Tensor, eps: float, rtol: float) -> tuple[Tensor, Tensor]:
    """Return the standard deviation of every channel, [B, C], and which are more than rounding."""
    variance = shift_spectrum(covariance, eps).diagonal(dim1=-2, dim2=-1)
    require_finite(f"the {name} covariance", variance)
    kept = (variance > rtol * variance.amax(-1, keepdim=True)) & (variance > 0)
    return torch.where(kept, variance, 1).sqrt(), kept


def _monge(content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
    root = matrix_sqrt(content, eps=eps, rtol=rtol)
    inverse = inverse_sqrt(content, eps=eps, rtol=rtol)
    middle = matrix_sqrt(root @ shift_spectrum(style, eps) @ root, rtol=rtol)
    return inverse @ middle @ inverse


_RULES: dict[str, Callable[[Tensor, Tensor, float, float], Tensor]] = {
    "eigh": zca_map,
    "newton_schulz": _newton_schulz,
    "cholesky": _cholesky,
    "adain": _adain,
    "monge": _monge,
}
