"""Where numbers live and are worked with: a device, a precision, and what to do where a device lacks it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor


class Place(NamedTuple):
    """A device and a floating-point type."""

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> Place:
        """Return where a tensor lives."""
        return cls(tensor.device, tensor.dtype)

    def bring(self, tensor: Tensor) -> Tensor:
        """Return a tensor moved here, differentiably; types are converted on the CPU's side of the way."""
        if self.device.type == "cpu":
            return tensor.to(self.device).to(self.dtype)
        return tensor.to(self.dtype).to(self.device)


CPU = torch.device("cpu")


@cache
def holds(place: Place) -> bool:
    """Try whether a device knows a type: Apple's MPS has no float64."""
    return _succeeds(lambda: torch.zeros(1, dtype=place.dtype).to(place.device) + 1)


@cache
def decomposes(place: Place) -> bool:
    """Try a small eigendecomposition: MPS has none, and no device has one in half precision."""
    return _succeeds(lambda: torch.linalg.eigh(torch.eye(2, dtype=place.dtype).to(place.device)))


def choose_place(home: Place, able: Callable[[Place], bool]) -> Place:
    """Return the first place that is able: home, else the CPU, else the CPU in float64."""
    candidates = (home, Place(CPU, home.dtype), Place(CPU, torch.float64))
    return next(place for place in candidates if able(place))


@cache
def fastest_place(home: Place, channels: int, batch: int) -> Place:
    """Return where a batch of matrices at home is decomposed soonest, the way there and back included.

    Small matrices keep a GPU waiting for its own launches; how small depends on the GPU, so both are tried
    once, and the answer is kept for the life of the process.
    """
    able = choose_place(home, decomposes)
    if able.device == CPU:
        return able
    return min((able, Place(CPU, able.dtype)), key=lambda place: trip_time(home, place, channels, batch))


def trip_time(home: Place, place: Place, channels: int, batch: int) -> float:
    """Return the seconds that decomposing a batch from home takes at a place, the second time it is done."""
    noise = torch.randn(batch, channels, channels, generator=torch.Generator().manual_seed(0))
    matrices = home.bring(noise @ noise.mT)
    for _ in range(2):
        start = perf_counter()
        _, vectors = torch.linalg.eigh(place.bring(matrices))
        home.bring(vectors).sum().item()  # waits for the device
        seconds = perf_counter() - start
    return seconds


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (RuntimeError, TypeError):  # of which NotImplementedError is one
        return False
    return True
