"""The errors a user meets: one line each, with an exit code and, where there is one, a remedy."""

from __future__ import annotations

import errno


class StyleTransferError(Exception):
    """Base of every error that is the user's to read, not the developer's.

    Args:
        message: What went wrong and which file it concerns, in one line.
        hint: What to do about it, in one line.
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


class OutputExistsError(StyleTransferError):
    """The output is there already and was not to be overwritten."""


class OptionError(StyleTransferError):
    """An option or a combination of options makes no sense."""

    exit_code = 2


class WeightsError(StyleTransferError):
    """Model weights are missing, corrupt, of an unknown format or out of reach."""

    exit_code = 3


class MemoryLimitError(StyleTransferError):
    """The work does not fit into the memory there is."""

    exit_code = 4


def is_out_of_memory(error: BaseException) -> bool:
    """Tell exhausted memory from other errors; torch has a class for it on some devices only."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    words = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)
