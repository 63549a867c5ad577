"""Queues of pictures in the making, with progress and cancel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, TypeVar

from starlette.requests import Request

from ..errors import CancelledError
from .errors import RequestError

Result = TypeVar("Result")


class Render:
    """One picture in the making: how far it is, and whether it is still wanted."""

    def __init__(self) -> None:
        self.share = 0.0
        self._is_running = False
        self._first: tuple[float, float] | None = None  # when the first share was done, and that share
        self._canceled = Event()

    def begin(self) -> None:
        """Note that the work begins.

        Raises:
            CancelledError: It is no longer wanted.
        """
        self._is_running = True
        self.report(0.0)

    def report(self, share: float) -> None:
        """Note the share that is done, 0..1; the callback of the work.

        Raises:
            CancelledError: It is no longer wanted.
        """
        if self._canceled.is_set():
            raise CancelledError
        self.share = share
        if self._first is None and share > 0:
            self._first = time.monotonic(), share

    def cancel(self) -> None:
        """Let the work end at its next step."""
        self._canceled.set()

    def describe(self) -> dict[str, Any]:
        """Return state, share and seconds left, as the API gives them; seconds are None while unknown."""
        left = None
        if self._first is not None and self.share > self._first[1]:  # before, styles were measured
            began, first = self._first
            left = (time.monotonic() - began) * (1 - self.share) / (self.share - first)
        state = "running" if self._is_running else "queued"
        return {"state": state, "progress": self.share, "seconds_left": left}


class Queue:
    """Work that waits for one thread.

    Args:
        name: What waits, in the plural, for messages.
        limit: Most pieces of work at a time, with the one that runs.
    """

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._pending = 0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[[], Result], render: Render | None = None) -> Result:
        """Run work when its turn comes.

        Raises:
            RequestError: Too much waits already.
            CancelledError: It was canceled.
        """
        if self._pending >= self._limit:
            raise RequestError(503, f"{self._pending} {self._name} are waiting", hint="try again later")
        render = render or Render()

        def begin() -> Result:
            render.begin()
            return work()

        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, begin)
        finally:
            render.cancel()  # if nobody waits any more
            self._pending -= 1

    def close(self) -> None:
        """Drop what waits."""
        self._executor.shutdown(wait=False, cancel_futures=True)


async def while_connected(request: Request, work: asyncio.Future[Result]) -> Result:
    """Wait for work; it is canceled when the client hangs up. The body must have been read.

    Raises:
        CancelledError: The client hung up, or the work was canceled.
    """
    gone = asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        waiting: set[asyncio.Future[Any]] = {work, gone}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not work.done() or work.cancelled():
            raise CancelledError
        return work.result()
    finally:
        gone.cancel()
        work.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
