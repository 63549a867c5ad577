"""Threads that decode before, and encode after, the one that computes; their queues are short."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
WAIT = 0.1  # seconds between looks at whether the other side has gone


class _End(Exception):  # noqa: N818  it is no error
    """The end of the items."""


@contextmanager
def prefetch(items: Iterable[Item], ahead: int) -> Iterator[Iterator[Item]]:
    """Take items on a thread of their own, some of them ahead.

    An error that taking one raises is raised where the item would have come. When the block ends, the thread
    ends after the item it is at.

    Args:
        items: What is taken.
        ahead: The largest number that waits.
    """
    queue: Queue[Item | Exception] = Queue(ahead)
    stop = Event()

    def take() -> None:
        try:
            for item in items:
                if not _put(queue, item, stop):
                    return
            _put(queue, _End(), stop)
        except Exception as error:
            _put(queue, error, stop)

    thread = Thread(target=take, name="decode", daemon=True)
    thread.start()

    def results() -> Iterator[Item]:
        while True:
            item = queue.get()
            if isinstance(item, _End):
                return
            if isinstance(item, Exception):
                raise item
            yield item

    try:
        yield results()
    finally:
        stop.set()
        thread.join()


class BackgroundWriter(Generic[Item]):
    """Calls a function with items on a thread of its own, in order, while the caller goes on.

    Args:
        write: The function. After it has raised an error it is not called again.
        ahead: The largest number of items that wait; `put` blocks then.
    """

    def __init__(self, write: Callable[[Item], None], ahead: int) -> None:
        self._write = write
        self._queue: Queue[Item | _End] = Queue(ahead)
        self._stop = Event()
        self._error: Exception | None = None
        self._thread = Thread(target=self._run, name="encode", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hand over an item, or raise the error that an earlier one met."""
        if not _put(self._queue, item, self._stop):
            self._raise()

    def finish(self) -> None:
        """Wait until all items are written, or raise the error that one met."""
        _put(self._queue, _End(), self._stop)
        self._thread.join()
        self._raise()

    def cancel(self) -> None:
        """Leave what waits unwritten, and wait for the item that is being written."""
        self._stop.set()
        self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                item = self._queue.get(timeout=WAIT)
            except Empty:
                continue
            if isinstance(item, _End):
                return
            try:
                self._write(item)
            except Exception as error:
                self._error = error
                self._stop.set()


def _put(queue: Queue[Item], item: Item, stop: Event) -> bool:
    """Put an item into a queue, or return False once `stop` is set."""
    while not stop.is_set():
        try:
            queue.put(item, timeout=WAIT)
        except Full:
            continue
        return True
    return False
