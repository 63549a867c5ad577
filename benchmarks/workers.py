"""Pieces of work in processes of their own, timed by turns."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

# Called in the new process with the arguments of the worker; what it returns is the work.
Setup = Callable[..., Callable[..., object]]


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

    def seconds(self, *arguments: Any) -> float:
        """Do the work once and return the processor seconds it took.

        Raises:
            EOFError: The process died, perhaps for want of memory.
        """
        self.connection.send(arguments)
        return float(self.connection.recv())


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
        connection.send(time.process_time() - start)
