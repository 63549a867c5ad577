"""What a command says: the product on stdout, everything else on stderr."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import click

from .failures import print_error

if TYPE_CHECKING:
    from tqdm import tqdm


@dataclass
class Report:
    """The voice of a command.

    Writes no colours at all, so NO_COLOR is honoured; bars are drawn only on terminals.

    Attributes:
        quiet: Say only errors.
        verbose: Say more, tracebacks included.
    """

    quiet: bool = False
    verbose: bool = False
    _bar: tqdm[NoReturn] | None = field(default=None, repr=False)

    def product(self, line: str) -> None:
        """Write one line of what the user asked for to stdout, at once: a reader may wait for it."""
        with self._bar_hidden():
            click.echo(line)  # which flushes

    def note(self, line: str) -> None:
        """Tell what a user wants to know by the way, unless quiet."""
        if not self.quiet:
            with self._bar_hidden():
                click.echo(line, err=True)

    def detail(self, line: str) -> None:
        """Tell what only helps to find a fault, if verbose."""
        if self.verbose:
            with self._bar_hidden():
                click.echo(line, err=True)

    def error(self, message: str) -> None:
        """Write an error as one line."""
        print_error(message)

    def traceback(self, error: BaseException) -> None:
        """Write where an error came from, if verbose."""
        if self.verbose:
            self.detail("".join(traceback.format_exception(error)).rstrip())

    @contextmanager
    def progress(self, total: int) -> Iterator[tqdm[NoReturn]]:
        """Count results on a bar that vanishes at the end; hidden for one result and off terminals."""
        from tqdm import tqdm

        hidden = True if self.quiet or total < 2 else None  # None: tqdm asks whether it is a terminal
        with tqdm(total=total, unit="picture", file=sys.stderr, disable=hidden, leave=False) as bar:
            self._bar = bar
            try:
                yield bar
            finally:
                self._bar = None

    @contextmanager
    def _bar_hidden(self) -> Iterator[None]:
        if self._bar is not None:
            self._bar.clear()
        yield
        if self._bar is not None:
            self._bar.refresh()
