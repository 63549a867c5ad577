"""Feature maps whose rows come into being when they are asked for, and go when they have been read.

A network over a large picture is a chain of maps. Each asks the map before it for the few rows it needs, so
a strip of the result pulls strips through the whole chain: no map exists in full unless it is stored on
purpose, every row is computed once, and the halo of a strip is whatever the asking comes to.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .memory import Pages

# Bytes of a map whose stored strips are kept out of the heap: smaller ones leave small holes.
LARGE = 2**25
HALF_MAX = torch.finfo(torch.float16).max
# Called with the first new row and the new rows [n, W, C] as they come into being.
Observer = Callable[[int, Tensor], None]


class Shape(NamedTuple):
    """What a map is: pixels, numbers per pixel (the fastest dimension in memory), their type and device."""

    height: int
    width: int
    channels: int
    dtype: torch.dtype
    device: torch.device

    @property
    def bytes(self) -> int:
        """What all of the map would take."""
        return self.height * self.width * self.channels * self.dtype.itemsize

    def allocate(self, rows: int, margin: int = 0) -> Tensor:
        """Return room for rows with a margin of columns on either side, not initialised."""
        size = rows, self.width + 2 * margin, self.channels
        return torch.empty(size, dtype=self.dtype, device=self.device)


class FeatureMap(ABC):
    """A map that is computed from top to bottom.

    Args:
        shape: Of the map.
        sources: Of what it is computed.
    """

    # Rows come in multiples of this, but for the last ones.
    step = 1

    def __init__(self, shape: Shape, sources: Sequence[Reader] = ()) -> None:
        self.shape = shape
        self.sources = sources
        self.observers: list[Observer] = []
        self.positions: list[int] = []  # of each reader, the first row that it may ask for again
        self._margin = 0
        self._buffer: Tensor | None = None  # rows from _first on, with the margin around them
        self._first = 0
        self._done = 0  # rows computed so far

    @abstractmethod
    def produce(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Compute rows start..stop, [stop - start, width, channels], into `out` if it is given."""

    def read(self, *, margin: int = 0) -> Reader:
        """Register a reader; all must be known before the first row is asked for."""
        self._margin = max(self._margin, margin)
        self.positions.append(-margin)
        return Reader(self, margin, len(self.positions) - 1)

    def window(self, start: int, stop: int, margin: int) -> Tensor:
        """Return rows start..stop with `margin` columns on either side; see `Reader.take`."""
        if min(stop, self.shape.height) > self._done:
            self._advance(min(stop, self.shape.height))
        assert self._buffer is not None
        rows = self._buffer[start - self._first : stop - self._first]
        return rows if margin == self._margin else rows[:, self._margin : -self._margin]

    def _advance(self, stop: int) -> None:
        """Compute rows up to a number, and let go of those that no reader will come back to."""
        start = self._done
        stop = min(-(-stop // self.step) * self.step, self.shape.height)
        low = max(-self._margin, min(start, *self.positions))
        if self._margin == 0 and low == start:
            self._buffer = None  # first, so that old and new rows never exist together
            self._buffer = new = self.produce(start, stop, None)
        else:
            end = stop + self._margin if stop == self.shape.height else stop
            self._buffer = self._move_up(low, end)
            rows = self._buffer[start - low : stop - low]
            new = rows[:, self._margin : self._margin + self.shape.width]
            self.produce(start, stop, new)
            if self._margin:
                self._replicate_border(rows, first=start == 0, last=stop == self.shape.height)
        self._first, self._done = low, stop
        for observe in self.observers:
            observe(start, new)

    def _move_up(self, low: int, end: int) -> Tensor:
        """Return a buffer for rows low..end, with those of them that are computed already."""
        old = None
        if self._buffer is not None and low < self._done:
            old = self._buffer[low - self._first :]
            if 2 * len(old) < len(self._buffer):
                old = old.clone()  # so that the rest can go before there is more
        self._buffer = None
        buffer = self.shape.allocate(end - low, self._margin)
        if old is not None:
            buffer[: len(old)] = old
        return buffer

    def _replicate_border(self, rows: Tensor, *, first: bool, last: bool) -> None:
        """Fill the margin beside new rows, and above the first and below the last one."""
        assert self._buffer is not None
        rows[:, 0], rows[:, -1] = rows[:, 1], rows[:, -2]
        if first:
            self._buffer[0] = rows[0]
        if last:
            self._buffer[-1] = rows[-1]


class Reader:
    """A consumer of a map and its place there.

    Args:
        source: The map.
        margin: 0, or 1 for a reader that looks one pixel around it, over the border of the map too.
        index: Of its position in the map's list.
    """

    def __init__(self, source: FeatureMap, margin: int, index: int) -> None:
        # The map knows positions, not readers: a circle of references would outlive the pass.
        self.source, self.margin, self.index = source, margin, index

    def take(self, start: int, stop: int) -> Tensor:
        """Read rows and the margin around them; `start` is where the last call stopped.

        Returns:
            [stop - start + 2 margin, width + 2 margin, channels], a view that holds until the next call on
            any reader of the map; beyond its border the map continues with copies of the border.
        """
        rows = self.source.window(start - self.margin, stop + self.margin, self.margin)
        self.source.positions[self.index] = stop - self.margin
        return rows


class Store:
    """All rows of a map, kept from the pass that computes them for passes to come.

    Args:
        source: The map, none of whose rows exists yet.
        halve: Keep the deviations from the mean of the first row, in float16.
    """

    def __init__(self, source: FeatureMap, *, halve: bool = False) -> None:
        self.shape = source.shape
        self._halve = halve
        self._shift: Tensor | None = None  # [C]
        large = source.shape.bytes >= LARGE and Pages.exist(source.shape.device)
        self._pages = Pages(source.shape.bytes // (2 if halve else 1)) if large else None
        self._strips: list[Tensor] = []
        self._bottoms: list[int] = []  # the row after each strip
        self._released = 0  # bytes
        source.observers.append(self._append)

    def _append(self, start: int, rows: Tensor) -> None:
        if self._halve:
            # A large common offset would leave few of the eleven bits to what varies.
            self._shift = rows[0].mean(0) if self._shift is None else self._shift
            rows = torch.sub(rows, self._shift).clamp_(-HALF_MAX, HALF_MAX).half()
        # Rows without a margin have a buffer of their own, which their map lets go of: no copy of small ones.
        self._strips.append(self._pages.put(rows) if self._pages else rows.contiguous())
        self._bottoms.append(start + len(rows))

    def read(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Return rows start..stop, in `out` if it is given, else without a copy where that is possible."""
        index = bisect_right(self._bottoms, start)
        top = self._bottoms[index - 1] if index else 0
        if out is None and stop <= self._bottoms[index] and self._shift is None:
            return self._strips[index][start - top : stop - top]
        if out is None:
            out = self.shape.allocate(stop - start)
        row = start
        while row < stop:
            bottom = min(stop, self._bottoms[index])
            kept = out[row - start : bottom - start].copy_(self._strips[index][row - top : bottom - top])
            if self._shift is not None:
                kept += self._shift
            row = top = bottom
            index += 1
        return out

    def release(self, stop: int) -> None:
        """Let go of the strips that lie wholly before a row."""
        if self._pages:
            # One call late: what was read just now is a view of pages, which nothing else keeps.
            self._pages.release(self._released)
        for index in range(bisect_right(self._bottoms, stop)):
            self._released += self._strips[index].nbytes
            self._strips[index] = self._strips[index][:0].clone()


class StoredMap(FeatureMap):
    """A map whose rows were stored by a pass before.

    Args:
        store: The rows.
        last: Nobody will read them again: they go from the store as they are read.
    """

    def __init__(self, store: Store, *, last: bool) -> None:
        super().__init__(store.shape)
        self.store, self.last = store, last

    def produce(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Fetch rows."""
        rows = self.store.read(start, stop, out)
        if self.last:
            self.store.release(stop)
        return rows
