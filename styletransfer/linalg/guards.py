"""What every routine here checks before it computes: finite, square, symmetric, of a workable scale."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from math import isfinite

import torch
from torch import Tensor


class NumericalError(ArithmeticError):
    """The numbers given cannot be worked with; the message counts and locates the culprits."""


def require_finite(name: str, values: Tensor) -> None:
    """Raise NumericalError if a tensor holds NaN or infinity, saying how many and where the first one is.

    Skipped while a graph is compiled or exported, where control flow cannot depend on values.
    """
    if torch.compiler.is_compiling() or isfinite(values.sum().item()):  # no sum of a culprit is finite
        return
    finite = torch.isfinite(values)
    if finite.all():  # only the sum overflowed
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
    """Raise ValueError unless a regularisation is finite and not negative."""
    if not 0 <= eps < float("inf"):
        raise ValueError(f"eps is {eps}, it must be finite and at least 0")


def even_power_of_two(matrix: Tensor) -> Tensor:
    """Return 4^k near the mean eigenvalue of positive semi-definite matrices, as [..., 1, 1].

    Dividing by it is exact, and so is multiplying by its square root: a matrix of any scale can be
    worked on near one, where no power of an eigenvalue under- or overflows. Zero matrices give 1.
    """
    deviation = matrix.detach().diagonal(dim1=-2, dim2=-1).mean(-1).abs().sqrt()
    mantissa, _ = torch.frexp(deviation)
    return (
        (deviation / mantissa).square().nan_to_num(1.0, 1.0)[..., None, None]
    )  # 0 / 0 where the matrix is zero


def no_autocast(tensor: Tensor) -> AbstractContextManager[None]:
    """Return a context in which products keep the precision of their factors, whatever autocast is on."""
    kind = tensor.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()
