"""Exceptions as one line and an exit code."""

from __future__ import annotations

import errno

import pytest
import torch

from styletransfer.cli.console import explain_error
from styletransfer.errors import MemoryLimitError, WeightsError
from styletransfer.media.formats import explain_reading

OUT_OF_MEMORY = (
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: not enough memory"),
)


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_exhausted_memory_is_the_same_while_reading(error: Exception) -> None:
    assert explain_error(error).exit_code == MemoryLimitError.exit_code
    assert isinstance(explain_reading(error, "a.png", max_pixels=1), MemoryLimitError)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WeightsError("absent"), 3),
        (RuntimeError("shapes do not fit"), 1),
        (PermissionError(errno.EACCES, "Permission denied", "a.png"), 1),
        (KeyError("x"), 1),
    ],
)
def test_exit_codes(error: Exception, code: int) -> None:
    assert explain_error(error).exit_code == code


def test_a_real_allocation_that_torch_refuses() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert explain_error(caught.value).exit_code == 4


def test_system_errors_name_their_file() -> None:
    error = PermissionError(errno.EACCES, "Permission denied", "a.png")
    assert str(explain_error(error)) == "a.png: Permission denied"


def test_the_file_in_work_is_named_where_the_message_does_not() -> None:
    assert str(explain_error(MemoryError(), ["a.png", "b.png"])).startswith("a.png: out of memory; ")
    assert str(explain_error(WeightsError("b.png is odd"), ["a.png", "b.png"])) == "b.png is odd"
    assert isinstance(explain_error(WeightsError("odd"), ["a.png"]), WeightsError)
