"""Threads that do jobs, so that one picture is read or written while others are computed."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from threading import Lock, get_ident
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def employ_crew(
    do: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Iterator[Callable[[], Result]]]:
    """Do something with every item, on several threads if wanted.

    Yields:
        An iterator over what stands for each item, in their order: called, it returns the result or raises
        the error. One worker is the thread of the caller, who then works when he calls. More workers begin
        at most one item each ahead of the caller. When the block ends, however it does, what is in work is
        interrupted and no thread works any more.
    """
    if workers == 1:
        yield (partial(do, item) for item in items)
        return
    interruptible = Interruptible(do)
    executor = ThreadPoolExecutor(workers)
    try:
        yield _submit(executor, interruptible, items, workers)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        interruptible.interrupt()
        executor.shutdown()


def _submit(
    executor: ThreadPoolExecutor, do: Callable[[Item], Result], items: Sequence[Item], ahead: int
) -> Iterator[Callable[[], Result]]:
    remaining = iter(items)
    begun: deque[Future[Result]] = deque(executor.submit(do, item) for item in islice(remaining, ahead))
    while begun:
        yield begun.popleft().result
        begun.extend(executor.submit(do, item) for item in islice(remaining, 1))


class Interruptible(Generic[Item, Result]):
    """A function that can be stopped on whatever threads it runs, as Ctrl-C stops the main thread.

    Args:
        function: Of one argument.
    """

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self._function = function
        self._running: set[int] = set()
        self._lock = Lock()

    def __call__(self, item: Item) -> Result:
        """Call the function on this thread."""
        with self._lock:
            self._running.add(get_ident())
        try:
            return self._function(item)
        finally:
            with self._lock:  # whoever is interrupted waits here until it has happened
                self._running.discard(get_ident())

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in every thread that is inside the function, at its next step of Python."""
        with self._lock:
            for thread in self._running:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt)
                )
