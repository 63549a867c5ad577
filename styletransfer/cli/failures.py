"""Any exception as one line and an exit code: the only place that knows both."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..errors import MemoryLimitError, StyleTransferError, is_out_of_memory

INTERRUPTED = 130  # 128 + SIGINT, as shells count
TERMINATED = 143  # 128 + SIGTERM


class Terminated(KeyboardInterrupt):
    """SIGTERM came: stop as after Ctrl-C, so that temporary files are removed."""


def exit_for(error: BaseException) -> int:
    """Tell the user about an error that ends the program and return the exit code."""
    if isinstance(error, click.Abort):  # click's wrapping of an interrupt
        error = error.__cause__ or error
    if isinstance(error, Terminated):
        return TERMINATED
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    if isinstance(error, click.ClickException):
        print_error(error.format_message().rstrip(".") + _point_to_help(error))
        return error.exit_code
    explained = explain(error)
    print_error(str(explained))
    return explained.exit_code


def print_error(message: str) -> None:
    """Write an error as one line on stderr."""
    click.echo(f"error: {' '.join(message.split())}", err=True)


def explain(error: BaseException, inputs: Sequence[str] = ()) -> StyleTransferError:
    """Turn any exception into one that a user can read.

    Args:
        error: Anything.
        inputs: Names of the files in work; a message that names none of them is given the first.
    """
    if isinstance(error, StyleTransferError):
        explained = error
    elif is_out_of_memory(error):
        explained = MemoryLimitError("out of memory", hint="make the result smaller, for example --size 1024")
    elif isinstance(error, OSError) and error.filename is not None:
        explained = StyleTransferError(f"{error.filename}: {error.strerror}")
    else:
        explained = StyleTransferError(
            f"unexpected {type(error).__name__}: {error}", hint="run again with -v for the traceback"
        )
    if inputs and not any(name in str(explained) for name in inputs):
        return type(explained)(f"{inputs[0]}: {explained.message}", hint=explained.hint)
    return explained


def _point_to_help(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"; see `{context.command_path} --help`" if context else ""
