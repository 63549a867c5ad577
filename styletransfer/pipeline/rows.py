"""Feature maps whose rows come into being when they are asked for, and go when they have been read.

A network over a large picture is a chain of maps. Each asks the map before it for the few rows it needs, so
a strip of the result pulls strips through the whole chain: no map exists in full unless it is stored on
purpose, every row is computed once, and the halo of a strip is whatever the asking comes to.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .memory import Pages

# Bytes from which on a stored map is kept out of the heap: smaller ones leave small holes.
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

    # Rows come in multiples of this, the last ones with what remains.
    step = 1

    def __init__(self, shape: Shape, sources: Sequence[Reader] = ()) -> None:
        self.shape = shape
        self.sources = sources
        self.observers: list[Observer] = []
        self.positions: list[int] = []  # of each reader, the first row that it may ask for again
        self._margin = 0
        self._buffer: Tensor | None = None  # rows from _first on, with the margin around them
        self._first = 0
        self._keeps = False  # rather than letting go
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

    def keep(self, buffer: Tensor) -> None:
        """Have all rows stay in a buffer [H + 2, W + 2, C], with a margin of one pixel."""
        self._margin, self._first, self._buffer, self._keeps = 1, -1, buffer, True

    def _advance(self, stop: int) -> None:
        """Compute rows up to a number."""
        start = self._done
        stop = -(-stop // self.step) * self.step
        if stop + self.step > self.shape.height:
            stop = self.shape.height
        new = self._extend(start, stop)
        self._done = stop
        for observe in self.observers:
            observe(start, new)

    def _extend(self, start: int, stop: int) -> Tensor:
        """Add rows to the buffer, return them, and let go of those that no reader will come back to."""
        low = max(-self._margin, min(start, *self.positions))
        if self._margin == 0 and low == start:
            self._buffer = None  # first, so that old and new rows never exist together
            self._buffer, self._first = self.produce(start, stop, None), start
            return self._buffer
        if not self._keeps:
            end = stop + self._margin if stop == self.shape.height else stop
            self._buffer, self._first = self._move_up(low, end), low
        assert self._buffer is not None
        rows = self._buffer[start - self._first : stop - self._first]
        new = rows[:, self._margin : self._margin + self.shape.width]
        self.produce(start, stop, new)
        if self._margin:
            self._replicate_border(rows, first=start == 0, last=stop == self.shape.height)
        return new

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
        dtype: What it is stored in and read as.
        halve: Keep the deviations from the mean of the first row, in float16, in place of float32.

    Attributes:
        whole: Whether the map itself is kept, with its margin.
        rows: [H + 2, W + 2, C] if it is; else [H, W, C], converted or deviations.
        shift: [C], what was taken off the deviations, as soon as there are some; else None.
    """

    def __init__(self, source: FeatureMap, dtype: torch.dtype, *, halve: bool = False) -> None:
        self.shape = source.shape._replace(dtype=dtype)
        self.halved = halve and dtype == torch.float32
        self.whole = dtype == source.shape.dtype and not self.halved
        self.shift: Tensor | None = None
        height, width, channels, _, device = source.shape
        size = (height + 2, width + 2, channels) if self.whole else (height, width, channels)
        dtype = torch.float16 if self.halved else dtype
        self._pages: Pages | None = None
        if source.shape.bytes >= LARGE and Pages.exist(device):
            self._pages = Pages(math.prod(size) * dtype.itemsize)
            self.rows = self._pages.view(size, dtype)
        else:
            self.rows = torch.empty(size, dtype=dtype, device=device)
        if self.whole:
            source.keep(self.rows)
        else:
            source.observers.append(self._convert)

    def _convert(self, start: int, rows: Tensor) -> None:
        if self.halved:
            # A large common offset would leave few of the eleven bits to what varies.
            self.shift = rows[0].mean(0) if self.shift is None else self.shift
            rows = torch.sub(rows, self.shift).clamp_(-HALF_MAX, HALF_MAX)
        self.rows[start : start + len(rows)] = rows

    def release(self, stop: int) -> None:
        """Let go of what lies before a row."""
        if self._pages:
            self._pages.release(max(0, stop) * self.rows[0].nbytes)


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
        """Fetch rows; to deviations, add what they deviate from."""
        rows = self.store.rows[start:stop]
        if self.store.shift is not None:
            return torch.add(rows, self.store.shift, out=out)
        return rows if out is None else out.copy_(rows)

    def _extend(self, start: int, stop: int) -> Tensor:
        if self.last:
            self.store.release(min(start, *self.positions))
        if not self.store.whole:
            return super()._extend(start, stop)
        self.keep(self.store.rows)
        return self.store.rows[start + 1 : stop + 1, 1:-1]
