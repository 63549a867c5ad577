"""Symmetric and positive semi-definite matrices: checks, products, scaling, regularization, rank."""

from __future__ import annotations

from math import frexp, isfinite

import torch
from torch import Tensor

from .function_transforms import values_are_available

# Height of a panel. It is tall enough for the full speed of a matrix product, and at C = 512 computing only
# the panels of the lower triangle saves three eighths of the work.
PANEL_ROWS = 128


class NumericalError(ArithmeticError):
    """The values of a tensor do not allow the computation, for example because some are NaN."""


def require_finite(name: str, values: Tensor) -> None:
    """Raise NumericalError if a tensor holds NaN or infinity.

    The message says how many there are and where the first one is. The check is skipped if the values are not
    available.

    Args:
        name: Name of the tensor in the error message.
        values: Tensor of any shape.
    """
    # One sum is cheaper than a mask. It cannot be finite if any of the values is not.
    if not values_are_available(values) or isfinite(values.sum().item()):
        return
    finite = torch.isfinite(values)
    if finite.all():  # The sum of finite values overflowed.
        return
    bad = values.numel() - int(finite.sum())
    infinite = int(torch.isinf(values).sum())
    first = tuple((~finite).nonzero()[0].tolist())
    raise NumericalError(
        f"{name} holds {bad - infinite} NaN and {infinite} infinite among {values.numel()} values, "
        f"the first at {first}"
    )


def require_square(name: str, matrix: Tensor) -> None:
    """Raise ValueError unless a tensor is a batch of square floating-point matrices [..., C, C]."""
    if matrix.dim() < 2 or matrix.shape[-1] != matrix.shape[-2] or not matrix.is_floating_point():
        raise ValueError(
            f"{name} must be real square matrices [..., C, C], got {list(matrix.shape)} of {matrix.dtype}"
        )


def require_eps(eps: float) -> None:
    """Raise ValueError unless a regularization strength is finite and not negative."""
    if not 0 <= eps < float("inf"):
        raise ValueError(f"eps is {eps}, it must be finite and at least 0")


def symmetrize(matrix: Tensor) -> Tensor:
    """Return the symmetric part of [..., C, C]. Eigensolvers read one triangle only."""
    return 0.5 * matrix + 0.5 * matrix.mT  # The sum of the entries may overflow before it is halved.


def symmetric_product(left: Tensor, right: Tensor) -> Tensor:
    """Return left @ right for a product that is known to be symmetric. It has no gradient.

    Args:
        left: [..., C, K].
        right: [..., K, C].

    Returns:
        [..., C, C], symmetric to the last bit. Only panels on and below the diagonal are computed; the rest
        is copied.
    """
    channels = left.shape[-2]
    lefts, rights = left.reshape(-1, *left.shape[-2:]), right.reshape(-1, *right.shape[-2:])
    result = left.new_empty(len(lefts), channels, channels)
    for rows, columns in lower_triangle_blocks(channels):
        torch.bmm(lefts[:, rows], rights[..., columns], out=result[:, rows, columns])
    return mirror_lower_triangle(result).view(*left.shape[:-1], channels)


def lower_triangle_blocks(channels: int) -> list[tuple[slice, slice]]:
    """Return rows and columns of the panels that cover the lower triangle of [C, C]."""
    ends = [min(start + PANEL_ROWS, channels) for start in range(0, channels, PANEL_ROWS)]
    return [(slice(PANEL_ROWS * i, end), slice(0, end)) for i, end in enumerate(ends)]


def mirror_lower_triangle(matrix: Tensor) -> Tensor:
    """Copy the lower triangle to the upper one, in place, and return the matrix [..., C, C].

    Within a panel, too: not every processor computes a product and its transpose alike to the last bit.
    """
    for start in range(0, matrix.shape[-1], PANEL_ROWS):
        rows, left = slice(start, start + PANEL_ROWS), slice(0, start)
        matrix[..., left, rows] = matrix[..., rows, left].mT
        panel = matrix[..., rows, rows]
        panel.copy_(panel.tril() + panel.tril(-1).mT)
    return matrix


def default_rank_rtol(
    matrix_dtype: torch.dtype, features_dtype: torch.dtype, channels: int, eps: float
) -> float:
    """Return the share of the largest eigenvalue up to which eigenvalues of a covariance are rounding errors.

    Features with machine epsilon u determine their singular values up to C u times the largest, which is the
    rule of `torch.linalg.matrix_rank`. The eigenvalues of their covariance are the squares, so the share is
    (C u)^2 if the covariance has a precision that can resolve it. A positive eps lifts all eigenvalues above
    the rounding errors, so the share is 0.

    Args:
        matrix_dtype: Precision of the covariance.
        features_dtype: Precision of the features that the covariance was computed from.
        channels: Number of channels C.
        eps: Regularization in use, see `add_ridge`.
    """
    if eps > 0:
        return 0.0
    return max((channels * torch.finfo(features_dtype).eps) ** 2, channels * torch.finfo(matrix_dtype).eps)


def add_ridge(matrix: Tensor, eps: float) -> Tensor:
    """Add eps times the mean eigenvalue to every eigenvalue of [..., C, C].

    The operation is linear in the matrix and its own adjoint, so it also maps the gradient back.
    """
    if eps == 0:
        return matrix
    mean = matrix.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True)
    return matrix + torch.diag_embed((eps * mean).expand(matrix.shape[:-1]))


def power_of_four_scale(matrix: Tensor) -> Tensor:
    """Return the power of four near the mean eigenvalue of positive semi-definite matrices, [..., 1, 1].

    Division by it is exact, and so is multiplication by its square root. A matrix of any scale can therefore
    be processed at a scale near one, where no power of an eigenvalue underflows or overflows. A zero matrix
    gives 1.
    """
    diagonal = matrix.detach().diagonal(dim1=-2, dim2=-1)
    mean = diagonal.mean(-1)
    mean = torch.where(mean.isinf(), (diagonal / matrix.shape[-1]).sum(-1), mean)  # The sum may overflow.
    deviation = mean.abs().sqrt()
    mantissa, _ = torch.frexp(deviation)
    largest = 2.0 ** ((frexp(torch.finfo(matrix.dtype).max)[1] - 1) // 2)
    power_of_two = (deviation / mantissa).clamp(max=largest)
    return power_of_two.square().nan_to_num(1.0, 1.0)[..., None, None]  # 0 / 0 if the matrix is zero


def regularize_and_scale(matrix: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return the symmetrized and shifted matrix [..., C, C] near scale one, and its scale [..., 1, 1]."""
    scale = power_of_four_scale(matrix)
    return add_ridge((matrix / scale + matrix.mT / scale).mul_(0.5), eps), scale


def clamp_and_mask_eigenvalues(eigenvalues: Tensor, eps: float, rtol: float) -> tuple[Tensor, Tensor]:
    """Return corrected eigenvalues and a mask of those that count as positive.

    Args:
        eigenvalues: Ascending eigenvalues [..., C] of a positive semi-definite matrix shifted by eps.
        eps: Shift relative to the mean eigenvalue of the matrix, see `add_ridge`.
        rtol: Eigenvalues up to rtol times the largest are not kept.

    Returns:
        Eigenvalues [..., C], raised to the shift if rounding left them below it, and the mask [..., C]. The
        mask of a zero matrix is False everywhere.
    """
    if eps > 0:
        floor = eps / (1 + eps) * eigenvalues.mean(-1, keepdim=True).clamp(min=0)
        eigenvalues = torch.maximum(eigenvalues, floor)
    return eigenvalues, eigenvalues > rtol * eigenvalues[..., -1:]
