"""What every routine here checks before it computes: finite, square, symmetric, of a workable scale."""

from __future__ import annotations

import torch
from torch import Tensor


class NumericalError(ArithmeticError):
    """The numbers given cannot be worked with; the message counts and locates the culprits."""


def require_finite(name: str, values: Tensor) -> None:
    """Raise NumericalError if a tensor holds NaN or infinity, saying how many and where the first one is.

    Skipped while a graph is compiled or exported, where control flow cannot depend on values.
    """
    if torch.compiler.is_compiling():
        return
    finite = torch.isfinite(values)
    if finite.all():
        return
    bad = values.numel() - int(finite.sum())
    infinite = int(torch.isinf(values).sum())
    first = tuple((~finite).nonzero()[0].tolist())
    raise NumericalError(
        f"{name} holds {bad - infinite} NaN and {infinite} infinite values of {values.numel()}; the first is at {first}"
    )


def require_square(name: str, matrix: Tensor) -> None:
    """Raise ValueError unless a tensor is a batch of square floating-point matrices [..., C, C]."""
    if matrix.dim() < 2 or matrix.shape[-1] != matrix.shape[-2] or not matrix.is_floating_point():
        raise ValueError(
            f"{name} must be real square matrices [..., C, C], got {list(matrix.shape)} of {matrix.dtype}"
        )


def symmetrize(matrix: Tensor) -> Tensor:
    """Return the symmetric part of [..., C, C]; eigensolvers read one triangle only."""
    return 0.5 * (matrix + matrix.mT)


def even_power_of_two(matrix: Tensor) -> Tensor:
    """Return 4^k near the mean eigenvalue of positive semi-definite matrices, as [..., 1, 1].

    Dividing by it is exact, and so is multiplying by its square root: a matrix of any scale can be
    worked on near one, where no power of an eigenvalue under- or overflows. Zero matrices give 1.
    """
    trace = matrix.detach().diagonal(dim1=-2, dim2=-1).sum(-1).abs()
    _, exponent = torch.frexp(trace / matrix.shape[-1])
    even = 2 * torch.div(exponent, 2, rounding_mode="floor")
    scale = torch.ldexp(torch.ones_like(trace), even)
    return torch.where(trace > 0, scale, torch.ones_like(trace))[..., None, None]
