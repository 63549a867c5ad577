"""Streamed feature maps: rows are computed when they are requested and freed when they have been read.

A network over a large picture is a chain of maps. Each map requests the few rows it needs from the map
before it, so a strip of the result draws strips through the whole chain. No map exists in full unless it is
stored on purpose, every row is computed once, and the halo of a strip follows from the requests.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..linalg import NumericalError, Statistics
from ..linalg.device_placement import limit_threads
from ..transfer.feature_transform import LEAST_VARIANCE
from .process_memory import HugePageBuffer
from .regions import RegionWeights

FLOAT16_MAX = torch.finfo(torch.float16).max
# Numbers of a block: 1 MiB of float32 stays in a processor's cache between subtraction and product.
BLOCK_VALUES = 2**18
# Called with the index of the first new row and the new rows [n, W, C], as soon as they are computed.
Observer = Callable[[int, Tensor], None]


# Called after every strip with the share of the work that is done, 0..1. An exception that it raises ends the
# work and reaches the caller.
ProgressCallback = Callable[[float], None]


def share_progress(progress: ProgressCallback | None, index: int, count: int) -> ProgressCallback | None:
    """Return the callback of one of several equal parts of the work."""
    return None if progress is None else lambda share: progress((index + share) / count)


@dataclass(frozen=True)
class WorkSpan:
    """The part of a piece of work that one pass does.

    Attributes:
        callback: Called with the share of the whole work that is done; None if nobody asks.
        start: Share that is done when the pass begins.
        stop: Share that is done when it ends.
    """

    callback: ProgressCallback | None
    start: float
    stop: float

    def report(self, share: float) -> None:
        """Report the share of the pass that is done."""
        if self.callback is not None:
            self.callback(self.start + (self.stop - self.start) * share)


class MapShape(NamedTuple):
    """Size, dtype and device of a feature map [H, W, C]; channels are contiguous in memory."""

    height: int
    width: int
    channels: int
    dtype: torch.dtype
    device: torch.device

    @property
    def bytes(self) -> int:
        """Bytes of the whole map."""
        return self.height * self.width * self.channels * self.dtype.itemsize

    def allocate(self, rows: int, margin: int = 0) -> Tensor:
        """Return an uninitialized tensor for some rows, with a margin of columns on either side."""
        size = rows, self.width + 2 * margin, self.channels
        return torch.empty(size, dtype=self.dtype, device=self.device)


class FeatureMap(ABC):
    """A feature map that is computed from top to bottom.

    Args:
        shape: Shape of the map.
        sources: Readers of the maps from which this one is computed.
    """

    # Rows are computed in multiples of this; the last rows may be fewer.
    step = 1

    def __init__(self, shape: MapShape, sources: Sequence[Reader] = ()) -> None:
        self.shape = shape
        self.sources = sources
        self.observers: list[Observer] = []
        self.positions: list[int] = []  # first row that each reader may request again
        self._margin = 0
        self._buffer: Tensor | None = None  # rows from _first on, with the margin around them
        self._first = 0
        self._keeps_all = False
        self._done = 0  # number of rows computed so far

    @abstractmethod
    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Compute rows start..stop, [stop - start, width, channels], into `out` if it is given."""

    def reader(self, *, margin: int = 0) -> Reader:
        """Add a reader. All readers must be added before the first row is requested."""
        self._margin = max(self._margin, margin)
        self.positions.append(-margin)
        return Reader(self, margin, len(self.positions) - 1)

    def window(self, start: int, stop: int, margin: int) -> Tensor:
        """Return rows start..stop with `margin` columns on either side; see `Reader.read`."""
        if min(stop, self.shape.height) > self._done:
            self._advance(min(stop, self.shape.height))
        assert self._buffer is not None
        rows = self._buffer[start - self._first : stop - self._first]
        return rows if margin == self._margin else rows[:, self._margin : -self._margin]

    def keep_all(self, buffer: Tensor) -> None:
        """Keep all rows in a buffer [H + 2, W + 2, C], with a margin of one pixel."""
        self._margin, self._first, self._buffer, self._keeps_all = 1, -1, buffer, True

    def _advance(self, stop: int) -> None:
        """Compute the rows up to `stop`."""
        start = self._done
        stop = -(-stop // self.step) * self.step
        if stop + self.step > self.shape.height:
            stop = self.shape.height
        new = self._extend(start, stop)
        self._done = stop
        for observe in self.observers:
            observe(start, new)

    def _extend(self, start: int, stop: int) -> Tensor:
        """Add rows to the buffer, return them, and free those that no reader will request again."""
        low = max(-self._margin, min(start, *self.positions))
        if self._margin == 0 and low == start:
            self._buffer = None  # freed first, so that old and new rows never exist together
            self._buffer, self._first = self.compute(start, stop, None), start
            return self._buffer
        if not self._keeps_all:
            end = stop + self._margin if stop == self.shape.height else stop
            self._buffer, self._first = self._shift_buffer(low, end), low
        assert self._buffer is not None
        rows = self._buffer[start - self._first : stop - self._first]
        new = rows[:, self._margin : self._margin + self.shape.width]
        self.compute(start, stop, new)
        if self._margin:
            self._replicate_border(rows, first=start == 0, last=stop == self.shape.height)
        return new

    def _shift_buffer(self, low: int, end: int) -> Tensor:
        """Return a buffer for rows low..end that contains those computed already."""
        old = None
        if self._buffer is not None and low < self._done:
            old = self._buffer[low - self._first :]
            if 2 * len(old) < len(self._buffer):
                old = old.clone()  # the rest can then be freed before more is allocated
        self._buffer = None
        buffer = self.shape.allocate(end - low, self._margin)
        if old is not None:
            buffer[: len(old)] = old
        return buffer

    def _replicate_border(self, rows: Tensor, *, first: bool, last: bool) -> None:
        """Fill the margin beside new rows, above the first row and below the last one."""
        assert self._buffer is not None
        rows[:, 0], rows[:, -1] = rows[:, 1], rows[:, -2]
        if first:
            self._buffer[0] = rows[0]
        if last:
            self._buffer[-1] = rows[-1]


class Reader:
    """A consumer of a map, with its position in it.

    Args:
        source: The map.
        margin: 0, or 1 for a consumer that also reads the neighboring pixels, beyond the border too.
        index: Index of its position in the map's list.
    """

    def __init__(self, source: FeatureMap, margin: int, index: int) -> None:
        # The map stores positions and not readers, because a reference cycle would outlive the pass.
        self.source, self.margin, self.index = source, margin, index

    def read(self, start: int, stop: int) -> Tensor:
        """Read rows and the margin around them; `start` is where the last call stopped.

        Returns:
            [stop - start + 2 margin, width + 2 margin, channels], a view that is valid until the next call on
            any reader of the map. Beyond its border the map continues with copies of the border.
        """
        rows = self.source.window(start - self.margin, stop + self.margin, self.margin)
        self.source.positions[self.index] = stop - self.margin
        return rows


def run(sink: FeatureMap, scale: int, tile: int) -> None:
    """Compute a map from top to bottom, strip by strip; its observers receive the rows.

    Args:
        sink: The map.
        scale: Scale of the map: a row at scale 2 stands for four rows of the picture.
        tile: Rows of the picture per strip.
    """
    reader = sink.reader()
    rows = max(1, tile >> scale)
    for start in range(0, sink.shape.height, rows):
        reader.read(start, min(start + rows, sink.shape.height))


class FeatureStore:
    """All rows of a map, kept by the pass that computes them for later passes.

    Args:
        source: The map, before any of its rows is computed.
        dtype: Type in which the rows are stored and read.
        half_precision: Store deviations from the mean of the first row in float16 instead of float32.

    Attributes:
        whole: Whether the map's own buffer is kept, with its margin.
        rows: [H + 2, W + 2, C] if `whole`, else [H, W, C].
        shift: The mean [C] that was subtracted, once there are rows in half precision; else None.
    """

    def __init__(self, source: FeatureMap, dtype: torch.dtype, *, half_precision: bool = False) -> None:
        self.shape = source.shape._replace(dtype=dtype)
        self.half_precision = half_precision and dtype == torch.float32
        self.whole = dtype == source.shape.dtype and not self.half_precision
        self.shift: Tensor | None = None
        height, width, channels, _, device = source.shape
        size = (height + 2, width + 2, channels) if self.whole else (height, width, channels)
        dtype = torch.float16 if self.half_precision else dtype
        self._buffer: HugePageBuffer | None = None
        if HugePageBuffer.suits(source.shape.bytes, device):
            self._buffer = HugePageBuffer(math.prod(size) * dtype.itemsize)
            self.rows = self._buffer.view(size, dtype)
        else:
            self.rows = torch.empty(size, dtype=dtype, device=device)
        if self.whole:
            source.keep_all(self.rows)
        else:
            source.observers.append(self._convert)

    def _convert(self, start: int, rows: Tensor) -> None:
        if self.half_precision:
            # A large common offset would leave few of the eleven bits of precision to the deviations.
            self.shift = rows[0].mean(0) if self.shift is None else self.shift
            rows = torch.sub(rows, self.shift).clamp_(-FLOAT16_MAX, FLOAT16_MAX)
        self.rows[start : start + len(rows)] = rows

    def release(self, stop: int) -> None:
        """Free the rows before `stop`."""
        if self._buffer:
            self._buffer.release(max(0, stop) * self.rows[0].nbytes)


class StoredMap(FeatureMap):
    """A map whose rows were stored by an earlier pass.

    Args:
        store: The rows.
        last_use: Free the rows of the store as they are read, because no later pass needs them.
    """

    def __init__(self, store: FeatureStore, *, last_use: bool) -> None:
        super().__init__(store.shape)
        self.store, self.last_use = store, last_use

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        """Fetch rows and add the mean to deviations."""
        rows = self.store.rows[start:stop]
        if self.store.shift is not None:
            return torch.add(rows, self.store.shift, out=out)
        return rows if out is None else out.copy_(rows)

    def _extend(self, start: int, stop: int) -> Tensor:
        if self.last_use:
            self.store.release(min(start, *self.positions))
        if not self.store.whole:
            return super()._extend(start, stop)
        self.keep_all(self.store.rows)
        return self.store.rows[start + 1 : stop + 1, 1:-1]


class StatisticsAccumulator:
    """Mean and covariance of a streamed map, for every region; strips of any height give the same.

    Products are summed in float32 along a row and in float64 from row to row, for features from which the
    mean of the first row is subtracted. A large common offset costs no precision, no float64 copy of the
    features is made, and since a strip consists of whole rows, its height changes nothing above the
    precision of float64.

    Args:
        source: The map, before any of its rows is computed.
        weights: Weights of the pixels for every region; None for a single region in which all count alike.
        scale: Scale of the map.
    """

    def __init__(self, source: FeatureMap, weights: RegionWeights | None = None, scale: int = 0) -> None:
        channels, device = source.shape.channels, source.shape.device
        # Apple's GPU has no float64.
        self.device = torch.device("cpu") if device.type == "mps" else device
        regions = 1 if weights is None else weights.regions
        self.shift: Tensor | None = None  # [C], float32
        self.sums = torch.zeros(regions, channels, dtype=torch.float64, device=self.device)
        self.products = torch.zeros(regions, channels, channels, dtype=torch.float64, device=self.device)
        self.weights, self.scale = weights, scale
        pixels = source.shape.height * source.shape.width if weights is None else 0
        self.counts = torch.full((regions,), pixels, dtype=torch.float64, device=self.device)
        source.observers.append(self._add)

    def _add(self, start: int, rows: Tensor) -> None:
        """Add rows [h, W, C]."""
        if self.shift is None:
            self.shift = rows[0].float().mean(0)
        if self.weights is None:
            self._add_products(0, rows, None)
            return
        parts = self.weights.parts(self.scale, start, start + len(rows))
        for region, inside, columns, weights in parts:
            self.counts[region] += self._total(weights.sum(1))
            self._add_products(region, rows[inside, columns], weights)

    def _add_products(self, region: int, rows: Tensor, weights: Tensor | None) -> None:
        """Add rows [h, W, C] of a region with weights [h, W]; None if all are 1."""
        assert self.shift is not None
        if weights is not None and (weights == 1).all():
            weights = None
        step = max(1, BLOCK_VALUES // rows[0].numel())
        for top in range(0, len(rows), step):
            block = slice(top, top + step)
            shifted = torch.sub(rows[block], self.shift)  # [h, W, C], float32
            weighted = shifted if weights is None else shifted * weights[block].unsqueeze(2)
            with limit_threads(shifted, len(shifted)):
                products = torch.bmm(weighted.mT, shifted)
            self.products[region] += self._total(products)
            self.sums[region] += self._total(weighted.sum(1))

    def _total(self, rows: Tensor) -> Tensor:
        """Sum over rows in float64."""
        return rows.to(self.device).sum(0, dtype=torch.float64)

    def result(self) -> list[Statistics]:
        """Return the statistics of every region of the map, batch 1, float64 on the CPU.

        A region without any weight has zeros. The covariance of values that differ by rounding only is zero,
        because whitening would make a pattern of them.

        Raises:
            NumericalError: The map holds NaN or infinity.
        """
        assert self.shift is not None
        counts = self.counts.cpu()
        offsets = self.sums.cpu() / counts.clamp_min(1e-9)[:, None]
        products = self.products.cpu() / counts.clamp_min(1e-9)[:, None, None]
        if not torch.isfinite(products).all():
            raise NumericalError("the features hold NaN or infinity")
        covariances = products - offsets.unsqueeze(2) * offsets.unsqueeze(1)
        covariances = (covariances + covariances.mT) / 2
        means = self.shift.cpu().double() + offsets
        variances = covariances.diagonal(dim1=1, dim2=2).sum(1)
        covariances *= (variances > LEAST_VARIANCE * means.square().sum(1))[:, None, None]
        return [
            Statistics(mean[None], covariance[None], count[None])
            for mean, covariance, count in zip(means, covariances, counts, strict=True)
        ]
