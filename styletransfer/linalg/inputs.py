"""Inputs of a computation: checks of their values, choice of device and dtype, transforms of `torch.func`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from math import isfinite
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._C import _functorch

CPU = torch.device("cpu")

# Eigendecompositions of small matrices are bound by kernel launches on a CUDA device, and a CPU usually
# finishes them earlier, the copies there and back included. A batch is decomposed on the CPU if its matrices
# are at most this wide and all of them together have at most this many rows.
CPU_EIGH_MAX_CHANNELS = 128
CPU_EIGH_MAX_ROWS = 512


class DeviceDtype(NamedTuple):
    """A device and a floating-point dtype, which together say where and how precisely to compute."""

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> DeviceDtype:
        """Return the device and dtype of a tensor."""
        return cls(tensor.device, tensor.dtype)

    def to(self, tensor: Tensor) -> Tensor:
        """Return a tensor moved to this device and dtype, differentiably.

        The dtype is converted on the CPU if the tensor moves to or from it, because the other device may not
        support both dtypes.
        """
        if self.device.type == "cpu":
            return tensor.to(self.device).to(self.dtype)
        return tensor.to(self.dtype).to(self.device)


def supports_dtype(placement: DeviceDtype) -> bool:
    """Return whether a device supports a dtype. For example, MPS does not support float64."""
    return _is_usual(placement) or _computes(placement)


def supports_eigh(placement: DeviceDtype) -> bool:
    """Return whether `torch.linalg.eigh` runs there. MPS lacks it, and no device has it in half precision."""
    return _is_usual(placement) or _decomposes(placement)


def _is_usual(placement: DeviceDtype) -> bool:
    """Tell the placements that need no trial, which also keeps the trials out of `torch.compile`."""
    return placement.device.type in {"cpu", "cuda"} and placement.dtype in {torch.float32, torch.float64}


@cache
def _computes(placement: DeviceDtype) -> bool:
    return _succeeds(lambda: torch.zeros(1, dtype=placement.dtype).to(placement.device) + 1)


@cache
def _decomposes(placement: DeviceDtype) -> bool:
    return _succeeds(lambda: torch.linalg.eigh(torch.eye(2, dtype=placement.dtype).to(placement.device)))


def first_supported(preferred: DeviceDtype, supports: Callable[[DeviceDtype], bool]) -> DeviceDtype:
    """Return the first supported of: the preferred placement, its dtype on the CPU, float64 on the CPU."""
    candidates = (preferred, DeviceDtype(CPU, preferred.dtype), DeviceDtype(CPU, torch.float64))
    return next(candidate for candidate in candidates if supports(candidate))


def eigh_placement(preferred: DeviceDtype, channels: int, batch: int) -> DeviceDtype:
    """Return where to decompose a batch of symmetric matrices.

    Args:
        preferred: Placement of the matrices.
        channels: Width C of each matrix.
        batch: Number of matrices.
    """
    supported = first_supported(preferred, supports_eigh)
    if prefers_cpu_eigh(supported.device.type, channels, batch):
        return DeviceDtype(CPU, supported.dtype)
    return supported


def prefers_cpu_eigh(device_type: str, channels: int, batch: int) -> bool:
    """Return whether matrices on a kind of device are better decomposed on the CPU.

    The answer depends on sizes only, so that equal calls give equal bits. It is True on the CPU itself, True
    on MPS, which has no eigendecomposition, and True on CUDA for few and small matrices (see the constants
    above).
    """
    if device_type in {"cpu", "mps"}:
        return True
    if device_type == "cuda":
        return channels <= CPU_EIGH_MAX_CHANNELS and batch * channels <= CPU_EIGH_MAX_ROWS
    return False


def is_batched(*tensors: Tensor | None) -> bool:
    """Return whether one of the tensors is batched by `torch.func.vmap`."""
    if torch.compiler.is_compiling():
        return False
    for tensor in tensors:
        while tensor is not None and _functorch.is_functorch_wrapped_tensor(tensor):
            if _functorch.is_batchedtensor(tensor):
                return True
            tensor = _functorch.get_unwrapped(tensor)
    return False


def values_are_available(tensor: Tensor) -> bool:
    """Return whether control flow may depend on the values of a tensor.

    It may not while a graph is compiled or exported, on the meta device, and inside of `torch.func.vmap`.
    """
    return not (torch.compiler.is_compiling() or tensor.is_meta or is_batched(tensor))


def is_transformed(*tensors: Tensor | None) -> bool:
    """Return whether a transform of `torch.func`, forward-mode differentiation or a compiler is active."""
    if torch.compiler.is_compiling() or _functorch.peek_interpreter_stack() is not None:
        return True
    unpack: Callable[[Tensor], Any] = torch.autograd.forward_ad.unpack_dual
    return any(x is not None and unpack(x).tangent is not None for x in tensors)


class TransformableFunction(torch.autograd.Function):
    """An autograd function that supports `torch.func` and `torch.compile`.

    A subclass defines `forward`, `setup_context`, `backward` and `tangents`. All of its tensors have the same
    leading batch dimensions, unless it defines its own `vmap`. It is called with `call` instead of `apply`.
    """

    _with_jvp: type[torch.autograd.Function]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "tangents" in vars(cls):
            # The compiler refuses functions that define jvp, so only a subclass defines it.
            members = {"jvp": staticmethod(cls.tangents), "__module__": cls.__module__}
            cls._with_jvp = type(f"{cls.__name__}WithJvp", (cls,), members)

    @staticmethod
    def tangents(ctx: Any, *tangents: Any) -> Any:
        """Return the tangents of the outputs from the tangents of the inputs, as `jvp` does."""
        raise NotImplementedError

    @classmethod
    def call(cls, *arguments: Any) -> Any:
        """Apply the function."""
        if torch.compiler.is_compiling():
            return cls.apply(*arguments)
        return cls._with_jvp.apply(*arguments)

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        """Move the dimension of `torch.func.vmap` to the front of all tensors, and call the function once."""
        moved = [
            move_to_front(x, dim, info.batch_size) if isinstance(x, Tensor) else x
            for x, dim in zip(arguments, in_dims, strict=True)
        ]
        outputs = cls.call(*moved)
        return outputs, (0,) * len(outputs) if isinstance(outputs, tuple) else 0


def move_to_front(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    """Return a tensor with the dimension of vmap in front; without one, it is expanded to the size."""
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (RuntimeError, TypeError):  # NotImplementedError is a RuntimeError.
        return False
    return True


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
