"""The affine map that gives features of one mean and covariance those of another, by five rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from .guards import NumericalError, even_power_of_two, symmetrize
from .newton_schulz import newton_schulz_roots
from .spectral import rank_cut, inverse_sqrt, matrix_sqrt, shift_spectrum
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

    Args:
        content: Statistics of the features to be mapped, batch B or 1.
        style: Target statistics, batch B or 1.
        eps: Added to every eigenvalue of both covariances, relative to each mean eigenvalue.
        alpha: 0 is the identity, 1 the full map. In between the map itself is interpolated,
            T_alpha = (1 - alpha) I + alpha T. For the methods of the form T = R_style R_content^(-1) this moves
            the *target* along the straight line between the roots, R_alpha = (1 - alpha) R_content + alpha R_style;
            for "monge" along the Wasserstein geodesic, in agreement with `wasserstein_barycenter`.
        method: "eigh" B^(1/2) A^(-1/2); "newton_schulz" the same without an eigendecomposition; "cholesky"
            L_B L_A^(-1); "adain" diagonals only; "monge" A^(-1/2) (A^(1/2) B A^(1/2))^(1/2) A^(-1/2), the closest map.
        rtol: With eps = 0, content eigenvalues up to rtol times the largest are left out (mapped to zero).

    Returns:
        matrix [B, C, C] and offset [B, C]; both differentiable in both statistics.

    Raises:
        NumericalError: A covariance is not finite, or not positive definite where "cholesky" needs it.
        ValueError: Unknown method or alpha out of 0..1.
    """
    matrix = transfer_matrix(
        content.covariance, style.covariance, eps=eps, alpha=alpha, method=method, rtol=rtol
    )
    target = content.mean + alpha * (style.mean - content.mean)
    return matrix, target - (matrix @ content.mean.unsqueeze(-1)).squeeze(-1)


def transfer_matrix(
    content: Tensor, style: Tensor, *, eps: float, alpha: float, method: Method, rtol: float | None
) -> Tensor:
    """Return the linear part of `transfer_map` for covariances [B or 1, C, C]."""
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}, choose one of {', '.join(get_args(Method))}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}, it must be 0..1")
    if not 0 <= eps < float("inf"):
        raise ValueError(f"eps is {eps}, it must be at least 0")
    if rtol is None:
        rtol = rank_cut(content.dtype, content.dtype, content.shape[-1], eps)
    matrix = _RULES[method](content, style, eps, rtol)
    if alpha == 1:
        return matrix
    return (1 - alpha) * torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device) + alpha * matrix


def _newton_schulz(content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
    return newton_schulz_roots(style, eps=eps)[0] @ newton_schulz_roots(content, eps=eps)[1]


def _cholesky(content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
    factors = []
    for name, covariance in (("content", content), ("style", style)):
        covariance = shift_spectrum(symmetrize(covariance), eps)
        scale = even_power_of_two(covariance)
        factor, info = torch.linalg.cholesky_ex(covariance / scale)
        if not torch.compiler.is_compiling() and info.any():
            raise NumericalError(
                f"the {name} covariance is not positive definite at row {int(info.max())}; "
                'use eps > 0 or method="eigh"'
            )
        factors.append(factor * scale.sqrt())
    content_factor, style_factor = torch.broadcast_tensors(*factors)
    return torch.linalg.solve_triangular(content_factor, style_factor, upper=False, left=False)


def _adain(content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
    deviations = []
    for covariance in (content, style):
        variance = shift_spectrum(covariance, eps).diagonal(dim1=-2, dim2=-1)
        kept = (variance > rtol * variance.amax(-1, keepdim=True)) & (variance > 0)
        deviations.append((torch.where(kept, variance, 1).sqrt(), kept))
    (content_deviation, content_kept), (style_deviation, style_kept) = deviations
    return torch.diag_embed(torch.where(content_kept & style_kept, style_deviation / content_deviation, 0))


def _monge(content: Tensor, style: Tensor, eps: float, rtol: float) -> Tensor:
    root = matrix_sqrt(content, eps=eps, rtol=rtol)
    inverse = inverse_sqrt(content, eps=eps, rtol=rtol)
    middle = matrix_sqrt(root @ shift_spectrum(symmetrize(style), eps) @ root, rtol=rtol)
    return inverse @ middle @ inverse


_RULES: dict[str, Callable[[Tensor, Tensor, float, float], Tensor]] = {
    "eigh": zca_map,
    "newton_schulz": _newton_schulz,
    "cholesky": _cholesky,
    "adain": _adain,
    "monge": _monge,
}
