"""What every root of a covariance starts with: symmetry, scale near one, shift by eps, cut to the rank."""

from __future__ import annotations

import torch
from torch import Tensor

from .guards import even_power_of_two


def rank_cut(matrix: torch.dtype, features: torch.dtype, channels: int, eps: float) -> float:
    """Return the share of the largest eigenvalue up to which a covariance is mere rounding.

    Features of machine epsilon u determine singular values to C u (the rule of `torch.linalg.matrix_rank`),
    so eigenvalues of their covariance to (C u)^2, if it is measured in a precision that can hold that.
    Nothing is cut where eps lifts all eigenvalues.

    Args:
        matrix: Precision of the covariance.
        features: Precision of the features it was measured on.
        channels: C.
        eps: Regularisation in use.
    """
    if eps > 0:
        return 0.0
    return max((channels * torch.finfo(features).eps) ** 2, channels * torch.finfo(matrix).eps)


def shift_spectrum(matrix: Tensor, eps: float) -> Tensor:
    """Add eps times the mean eigenvalue to every eigenvalue of [..., C, C]: linear, and its own adjoint."""
    if eps == 0:
        return matrix
    mean = matrix.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True)
    return matrix + torch.diag_embed((eps * mean).expand(matrix.shape[:-1]))


def normalize_spectrum(matrix: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return the matrix near 1 in mean eigenvalue, symmetrised and shifted; and its scale [..., 1, 1]."""
    scale = even_power_of_two(matrix)
    return shift_spectrum((matrix + matrix.mT).mul_(0.5 / scale), eps), scale


def keep_positive(eigenvalues: Tensor, eps: float, rtol: float) -> tuple[Tensor, Tensor]:
    """Return the ascending eigenvalues [..., C] of a matrix shifted by eps, and which of them are kept."""
    if eps > 0:  # rounding may leave eigenvalues under the shift; the matrix itself has none there
        floor = eps / (1 + eps) * eigenvalues.mean(-1, keepdim=True).clamp(min=0)
        eigenvalues = torch.maximum(eigenvalues, floor)
    return eigenvalues, eigenvalues > rtol * eigenvalues[..., -1:]  # none of a zero matrix
