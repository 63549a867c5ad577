"""Errors that users see: one line each, with an exit code and a remedy where there is one."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class StyleTransferError(Exception):
    """Base class of all errors that are written for users, not for developers.

    Args:
        message: What went wrong and with which file, in one line.
        hint: What the user can do, in one line.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class ImageError(StyleTransferError):
    """A picture cannot be read, decoded or written."""


class VideoError(StyleTransferError):
    """A video cannot be read, decoded, encoded or written."""


class OutputExistsError(StyleTransferError):
    """The output exists already and may not be overwritten."""


class OptionError(StyleTransferError):
    """An option or a combination of options is not valid."""

    exit_code = 2


class WeightsError(StyleTransferError):
    """Model weights are missing, corrupt, of an unknown format or cannot be downloaded."""

    exit_code = 3


class ExportError(StyleTransferError):
    """An exported network does not make the pictures that the program makes."""


class MemoryLimitError(StyleTransferError):
    """The work does not fit into memory."""

    exit_code = 4


class CancelledError(Exception):
    """The work was canceled before it was done; nothing was written."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means exhausted memory; torch has a class for it only on some devices."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    words = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def call_within_memory(function: Callable[[], Result], message: str, hint: str) -> Result:
    """Call a function, and explain a lack of memory.

    Args:
        function: The function.
        message: What does not fit into memory.
        hint: What the user can do.

    Raises:
        MemoryLimitError: Memory was exhausted.
    """
    try:
        return function()
    except Exception as error:
        if isinstance(error, StyleTransferError) or not is_out_of_memory(error):
            raise
    # Raised outside the block and without a cause, because the caught error holds the memory that lacks.
    raise MemoryLimitError(message, hint=hint)
