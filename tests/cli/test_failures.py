"""Exceptions as one line and an exit code."""

from __future__ import annotations

import errno

import pytest
import torch

from styletransfer.cli.failures import explain
from styletransfer.errors import WeightsError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WeightsError("absent"), 3),
        (MemoryError(), 4),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 4),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), 4),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), 4),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"), 4),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: not enough memory"), 4),
        (RuntimeError("shapes do not fit"), 1),
        (PermissionError(errno.EACCES, "Permission denied", "a.png"), 1),
        (KeyError("x"), 1),
    ],
)
def test_exit_codes(error: Exception, code: int) -> None:
    assert explain(error).exit_code == code


def test_a_real_allocation_that_torch_refuses() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert explain(caught.value).exit_code == 4


def test_system_errors_name_their_file() -> None:
    error = PermissionError(errno.EACCES, "Permission denied", "a.png")
    assert str(explain(error)) == "a.png: Permission denied"


def test_the_file_in_work_is_named_where_the_message_does_not() -> None:
    assert str(explain(MemoryError(), ["a.png", "b.png"])).startswith("a.png: out of memory; ")
    assert str(explain(WeightsError("b.png is odd"), ["a.png", "b.png"])) == "b.png is odd"
    assert isinstance(explain(WeightsError("odd"), ["a.png"]), WeightsError)
