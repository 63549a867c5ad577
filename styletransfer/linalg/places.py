"""Where numbers live and are worked with: a device, a precision, and what to do where a device lacks it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
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


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (RuntimeError, TypeError):  # of which NotImplementedError is one
        return False
    return True
