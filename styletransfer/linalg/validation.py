"""Checks of inputs and options, and the error for values that cannot be computed with."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from math import isfinite

import torch
from torch import Tensor

from .placement import values_are_available


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


def no_autocast(tensor: Tensor) -> AbstractContextManager[None]:
    """Return a context in which autocast is off, so that products keep the precision of their factors."""
    device_type = tensor.device.type
    if torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()
