"""Console output: results on stdout, all else on stderr, every error as one line and an exit code."""

from __future__ import annotations

import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from ..errors import MemoryLimitError, StyleTransferError, is_out_of_memory

if TYPE_CHECKING:
    from tqdm import tqdm

INTERRUPTED = 130  # 128 + SIGINT, as shells count
TERMINATED = 143  # 128 + SIGTERM


class Terminated(KeyboardInterrupt):
    """SIGTERM was received. The program stops as it does for Ctrl-C and removes its temporary files."""


@dataclass
class Console:
    """Console output of a command.

    It writes no colors at all, so NO_COLOR is honored, and draws progress bars only on terminals.

    Attributes:
        quiet: Write only results and errors.
        verbose: Write details and tracebacks too.
    """

    quiet: bool = False
    verbose: bool = False
    _bar: tqdm[NoReturn] | None = field(default=None, repr=False)
    _stdout: TextIO | None = field(default=None, repr=False)  # None for sys.stdout as it is then

    def result(self, line: str) -> None:
        """Write one line of what the user asked for to stdout, flushed, because a reader may wait for it."""
        with self._bar_hidden():
            click.echo(line, file=self._stdout)

    @contextmanager
    def stdout_for_results_alone(self) -> Iterator[None]:
        """Keep off stdout what a library prints there; with verbose it goes to stderr."""
        self._stdout = sys.stdout
        try:
            with Path(os.devnull).open("w") as null, redirect_stdout(sys.stderr if self.verbose else null):
                yield
        finally:
            self._stdout = None

    def note(self, line: str) -> None:
        """Write a line that the user may want to know, unless quiet."""
        if not self.quiet:
            with self._bar_hidden():
                write_to_stderr(line)

    def detail(self, line: str) -> None:
        """Write a line that only helps to find a fault, if verbose."""
        if self.verbose:
            with self._bar_hidden():
                write_to_stderr(line)

    def error(self, message: str) -> None:
        """Write an error as one line."""
        print_error(message)

    def traceback(self, error: BaseException) -> None:
        """Write where an error came from, if verbose."""
        if self.verbose:
            self.detail("".join(traceback.format_exception(error)).rstrip())

    @contextmanager
    def progress(self, total: int) -> Iterator[JobProgress]:
        """Show the progress of jobs on a bar that disappears at the end; hidden without a terminal.

        The bar of a single job appears after a second, so that quick ones are not disturbed.
        """
        from tqdm import tqdm

        count = "{n:.1f}/{total} " if total > 1 else ""
        with tqdm(
            total=total,
            file=sys.stderr,
            disable=True if self.quiet else None,  # None: tqdm hides the bar without a terminal
            leave=False,
            delay=0 if total > 1 else 1,
            bar_format="{percentage:3.0f}%|{bar}| " + count + "[{elapsed}<{remaining}]",
        ) as bar:
            self._bar = bar
            try:
                yield JobProgress(bar)
            finally:
                self._bar = None

    @contextmanager
    def video_progress(self, seconds: float | None, done: float) -> Iterator[Callable[[float, int], None]]:
        """Show how much of a video is done, frames per second, and the time left if the length is known.

        Args:
            seconds: Length of the video; None if it is unknown.
            done: Seconds that an earlier run has done.

        Yields:
            A function that takes the seconds that are done and the number of frames of this run.
        """
        from tqdm import tqdm

        known = "{percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} s [{elapsed}<{remaining}{postfix}]"
        with tqdm(
            total=seconds,
            initial=done,
            file=sys.stderr,
            disable=True if self.quiet else None,
            leave=False,
            bar_format="{n:.1f} s [{elapsed}{postfix}]" if seconds is None else known,
        ) as bar:
            self._bar = bar
            start = time.monotonic()

            def report(reached: float, frames: int) -> None:
                bar.set_postfix_str(f"{frames / max(time.monotonic() - start, 1e-3):.1f} fps", refresh=False)
                bar.update(min(reached, reached if seconds is None else seconds) - bar.n)

            try:
                yield report
            finally:
                self._bar = None

    @contextmanager
    def _bar_hidden(self) -> Iterator[None]:
        bar = self._bar
        if bar is None or bar.disable or bar.last_print_t < bar.start_t + (bar.delay or 0):
            yield  # it does not show yet
            return
        bar.clear()
        yield
        bar.refresh()


class JobProgress:
    """Adds up the progress of jobs, which several threads report.

    Args:
        bar: The bar to advance; its unit is one job.
    """

    def __init__(self, bar: tqdm[NoReturn]) -> None:
        self._bar = bar
        self._shares: dict[int, float] = {}
        self._lock = Lock()

    def report(self, job: int, share: float) -> None:
        """Report the share of a job that is done, 0..1, by the index of the job."""
        with self._lock:
            advance = share - self._shares.get(job, 0)
            if advance > 0:
                self._shares[job] = share
                self._bar.update(advance)


def exit_code_of(error: BaseException, words: Sequence[str] = ()) -> int:
    """Tell the user about an error that ends the program and return the exit code.

    Args:
        error: The error.
        words: The command line.
    """
    if isinstance(error, click.Abort):  # click's wrapper of an interrupt
        error = error.__cause__ or error
    if isinstance(error, Terminated):
        return TERMINATED
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    if isinstance(error, click.ClickException):
        print_error(error.format_message().rstrip(".") + _point_to_help(error, words))
        return error.exit_code
    explained = explain_error(error)
    print_error(str(explained))
    return explained.exit_code


def print_error(message: str) -> None:
    """Write an error as one line on stderr."""
    write_to_stderr(f"error: {' '.join(message.split())}")


def write_to_stderr(line: str) -> None:
    """Write a line to stderr. If that is not possible, for example on a full disk, nothing is said any more.

    The results and the exit code do not depend on it.
    """
    try:
        click.echo(line, err=True)
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stderr.fileno())  # what is still buffered goes there when the program ends
        os.close(null)


def open_closed_streams() -> bool:
    """Open the null device where stdin, stdout or stderr is closed, and tell whether stdout was open.

    Otherwise the next file that is opened would take the place of the stream, and what a library prints would
    be written into that file. `sys.stdin` stays None.
    """
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            if opened > 2:  # the number is in use already
                os.close(opened)
            elif number == 2:
                sys.stderr = os.fdopen(opened, "w")
    return sys.stdout is not None


def explain_error(error: BaseException, inputs: Sequence[str] = ()) -> StyleTransferError:
    """Convert any exception to one that a user can read.

    Args:
        error: The exception.
        inputs: Names of the files being worked on. The first is put before a message that names none of them.
    """
    if isinstance(error, StyleTransferError):
        explained = error
    elif is_out_of_memory(error):
        explained = MemoryLimitError("out of memory", hint="make the result smaller, for example --size 1024")
    elif isinstance(error, OSError) and error.strerror is not None:
        # An error without a file name comes from a stream, of which the program writes to one only.
        explained = StyleTransferError(f"{error.filename or 'standard output'}: {error.strerror}")
    else:
        explained = StyleTransferError(
            f"unexpected {type(error).__name__}: {error}", hint="run again with -v for the traceback"
        )
    if inputs and not any(name in str(explained) for name in inputs):
        return type(explained)(f"{inputs[0]}: {explained.message}", hint=explained.hint)
    return explained


def _point_to_help(error: click.ClickException, words: Sequence[str]) -> str:
    """Return what a user can do about a wrong command line, which may have a file named like an option."""
    if not isinstance(error, click.UsageError):
        return ""
    for word in takewhile(lambda word: word != "--", words):
        is_file = word.startswith("-") and os.path.lexists(word)
        if is_file or (isinstance(error, click.NoSuchOption) and re.match(r"-.*[./*]", word)):
            return f"; if {word} is a file, write ./{word}, or -- before all files"
    return f"; see `{error.ctx.command_path} --help`" if error.ctx else ""
