"""Where and how precisely to compute: devices, dtypes, what the devices support, and on how many threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

CPU = torch.device("cpu")

# Eigendecompositions of small matrices are bound by kernel launches on a CUDA device, and a CPU usually
# finishes them earlier, the copies there and back included. A batch is decomposed on the CPU if its matrices
# are at most this wide and all of them together have at most this many rows.
CPU_EIGH_MAX_CHANNELS = 128
CPU_EIGH_MAX_ROWS = 512

# PyTorch computes convolutions whose input has at most this many values by another algorithm, a product of
# matrices, which is slower and rounds differently.
SMALL_INPUT = 20480


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


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (RuntimeError, TypeError):  # NotImplementedError is a RuntimeError.
        return False
    return True


def no_autocast(tensor: Tensor) -> AbstractContextManager[None]:
    """Return a context in which autocast is off, so that products keep the precision of their factors."""
    device_type = tensor.device.type
    if torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


def limit_threads(tensor: Tensor, most: int = 1) -> AbstractContextManager[None]:
    """Return a context in which the calling thread computes with few threads; others keep their numbers.

    LAPACK and products of matrices divide their sums by the number of threads, except batches of at least as
    many products as threads. With a limit, every number of threads gives the same bits.

    Args:
        tensor: What is computed. Devices other than the CPU have no such threads, and in `torch.compile` the
            change would break the graph.
        most: Largest number of threads: 1 for a decomposition or a single product, or the products' number.
    """
    if tensor.device.type != "cpu" or torch.compiler.is_compiling() or torch.get_num_threads() <= most:
        return nullcontext()
    return _use_threads(most)


def limit_convolution_threads(maps: Tensor) -> AbstractContextManager[None]:
    """Return a context for a convolution of maps [B, C, H, W], in which small ones are computed alone."""
    return limit_threads(maps) if maps.numel() <= SMALL_INPUT else nullcontext()


@contextmanager
def _use_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
