"""Pieces of work in processes of their own, measured by turns."""

from __future__ import annotations

import multiprocessing
import platform
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, NamedTuple

# Called in the new process with the arguments of the worker; what it returns is the work.
Setup = Callable[..., Callable[..., object]]

MAXRSS_UNIT = 1 if platform.system() == "Darwin" else 1024  # getrusage(2)


class Cost(NamedTuple):
    """What a piece of work took: processor seconds, and the bytes of its process at their most so far."""

    seconds: float
    peak: int


class Worker:
    """A process that does one kind of work whenever it is asked to.

    Settings of a whole process, such as how its allocator treats freed memory, are thus everyone's own.

    Args:
        setup: A function of a module; called once, in the process.
        arguments: Of the setup.
    """

    def __init__(self, setup: Setup, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, setup, arguments), daemon=True)
        self.process.start()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()
        self.process.join()

    def run(self, *arguments: Any) -> Cost:
        """Do the work once.

        Raises:
            EOFError: The process died, perhaps for want of memory.
        """
        self.connection.send(arguments)
        return Cost(*self.connection.recv())


def serve(connection: Connection, setup: Setup, arguments: tuple[Any, ...]) -> None:
    """Work until the other end hangs up."""
    work = setup(*arguments)
    while True:
        try:
            given = connection.recv()
        except EOFError:
            return
        start = time.process_time()
        work(*given)
        seconds = time.process_time() - start
        connection.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT))
