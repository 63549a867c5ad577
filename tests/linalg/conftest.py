"""Devices on which the tests of linalg run."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Return the CPU, and a GPU if there is one."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device(request.param)


@pytest.fixture(scope="session")
def second_device() -> torch.device:
    """Return the lazy device of torch, a second device that the CPU executes."""
    from torch._lazy import ts_backend

    ts_backend.init()
    return torch.device("lazy")
