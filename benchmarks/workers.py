"""Workers: processes of their own that do pieces of work and measure their cost."""

from __future__ import annotations

import multiprocessing
import platform
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, NamedTuple

# Function that the new process calls with the arguments of the worker; it returns the work.
Setup = Callable[..., Callable[..., object]]

MAXRSS_UNIT = 1 if platform.system() == "Darwin" else 1024  # getrusage(2)


class Cost(NamedTuple):
    """Processor seconds of a piece of work, and the peak memory of its process so far in bytes."""

    seconds: float
    peak: int


class Worker:
    """A process that does one kind of work whenever it is asked to.

    Settings of a whole process, such as those of its allocator, thus affect one worker only.

    Args:
        setup: A function at the top level of a module, which is called once in the process.
        arguments: Arguments of the setup.
    """

    def __init__(self, setup: Setup, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other_end = context.Pipe()
        self.process = context.Process(target=serve, args=(other_end, setup, arguments), daemon=True)
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
            EOFError: The process died, perhaps because it ran out of memory.
        """
        self.connection.send(arguments)
        return Cost(*self.connection.recv())


def serve(connection: Connection, setup: Setup, arguments: tuple[Any, ...]) -> None:
    """Work until the other end of the connection is closed."""
    work = setup(*arguments)
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        start = time.process_time()
        work(*request)
        seconds = time.process_time() - start
        connection.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT))
