"""Workers on several machines measure every style once: one measures it, the others wait and receive it."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from typing import Protocol

from ..model import StyleStatistics
from ..style_measurer import StyleFolder, name_measurement

# Number of styles that are kept for the workers, some 6 MB each; they keep those that they use themselves.
KEPT_STYLES = 64


class StyleExchange:
    """An actor that keeps what workers have measured, and lets one worker at a time measure a style."""

    def __init__(self) -> None:
        self._measured: dict[str, bytes] = {}
        self._claims: dict[str, str] = {}  # the worker that is measuring, by the name of the measurement
        self._changed = asyncio.Condition()

    async def claim(self, name: str, worker: str) -> bytes | None:
        """Return a measurement, or None if this worker is to make it; wait while another one does.

        Args:
            name: Name of the measurement.
            worker: Name of the worker that asks.
        """
        async with self._changed:
            while True:
                if name in self._measured:
                    return self._measured[name]
                if self._claims.setdefault(name, worker) == worker:
                    return None
                await self._changed.wait()

    async def put(self, name: str, measured: bytes) -> None:
        """Keep a measurement and give it to all who wait for it."""
        async with self._changed:
            while len(self._measured) >= KEPT_STYLES:
                del self._measured[next(iter(self._measured))]
            self._measured[name] = measured
            self._claims.pop(name, None)
            self._changed.notify_all()

    async def release(self, worker: str) -> None:
        """Let others make what a worker has begun to measure and not ended, because it failed or died."""
        async with self._changed:
            self._claims = {name: owner for name, owner in self._claims.items() if owner != worker}
            self._changed.notify_all()


class ExchangeClient(Protocol):
    """What a worker calls of the exchange; the call has ended when it returns."""

    def claim(self, name: str) -> bytes | None:
        """See `StyleExchange.claim`."""

    def put(self, name: str, measured: bytes) -> None:
        """See `StyleExchange.put`."""

    def release(self) -> None:
        """See `StyleExchange.release`."""


class SharedStyles:
    """The statistics of styles that all workers share, in the place of a `StyleFolder`.

    Args:
        client: The exchange.
        folder: A folder of this machine that is looked up first; None for none.
    """

    def __init__(self, client: ExchangeClient, folder: Path | None = None) -> None:
        self._client = client
        self._folder = None if folder is None else StyleFolder(folder)
        self._begun: set[str] = set()  # names of measurements

    def load(self, style: Path, fingerprint: str, *settings: object) -> StyleStatistics | None:
        """Return the statistics of a style, or None if this worker is to measure them."""
        kept = self._folder and self._folder.load(style, fingerprint, *settings)
        if kept:
            return kept
        try:
            name = name_measurement(style, fingerprint, *settings)
        except OSError:  # reading the picture explains it better
            return None
        measured = self._client.claim(name)
        if measured is None:
            self._begun.add(name)
            return None
        statistics: StyleStatistics = pickle.loads(measured)
        return statistics

    def save(self, statistics: StyleStatistics, style: Path, *settings: object) -> None:
        """Share the statistics of a style."""
        if self._folder is not None:
            self._folder.save(statistics, style, *settings)
        # Pickled, because only workers of this run read it and every bit has to come through.
        measured = pickle.dumps(statistics.to("cpu"))
        name = name_measurement(style, statistics.model, *settings)
        self._client.put(name, measured)
        self._begun.discard(name)

    def release(self) -> None:
        """Give up what a job has begun and not ended; most have begun nothing, and then nobody is called."""
        if self._begun:
            self._client.release()
            self._begun.clear()
