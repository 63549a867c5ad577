"""Test that rows are computed once, that margins repeat the border, and that stores keep the rows."""

from __future__ import annotations

import mmap

import pytest
import torch
from torch import Tensor

from styletransfer.linalg import compute_statistics
from styletransfer.pipeline import process_memory
from styletransfer.pipeline.streamed_maps import (
    FeatureMap,
    FeatureStore,
    MapShape,
    Reader,
    StatisticsAccumulator,
    StoredMap,
)

from .fixed_map import FixedMap

CPU = torch.device("cpu")


class NumberedMap(FeatureMap):
    """A map with (100 r + c, 0.5) in row r and column c, which records the rows that were computed."""

    def __init__(self, height: int, width: int, step: int = 1) -> None:
        super().__init__(MapShape(height, width, 2, torch.float32, CPU))
        self.step = step
        self.computed: list[tuple[int, int]] = []

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        self.computed.append((start, stop))
        rows = number_pixels(stop, self.shape.width, first=start)
        return rows if out is None else out.copy_(rows)


def number_pixels(height: int, width: int, first: int = 0) -> Tensor:
    """Return a numbered map from row `first` on."""
    numbers = 100.0 * torch.arange(first, height).view(-1, 1) + torch.arange(width)
    return torch.stack((numbers, torch.full_like(numbers, 0.5)), -1)


def pad_numbers(height: int, width: int) -> Tensor:
    """Return the whole of a numbered map with a margin of one pixel."""
    rows = torch.arange(-1, height + 1).clamp(0, height - 1)
    columns = torch.arange(-1, width + 1).clamp(0, width - 1)
    return number_pixels(height, width)[rows][:, columns]


def read_strips(reader: Reader, height: int, strip: int) -> Tensor:
    """Read a map strip by strip and return all rows, without the margin above and below."""
    strips = [reader.read(row, min(row + strip, height)).clone() for row in range(0, height, strip)]
    return torch.cat(strips) if not reader.margin else torch.cat([each[1:-1] for each in strips])


@pytest.mark.parametrize("strip", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (12, 5)])
def test_rows_are_computed_once_and_in_order(size: tuple[int, int], step: int, strip: int) -> None:
    numbered = NumberedMap(*size, step=step)
    plain, wide = numbered.reader(), numbered.reader(margin=1)
    for start in range(0, size[0], strip):
        stop = min(start + strip, size[0])
        with_margin = wide.read(start, stop)
        assert torch.equal(with_margin, pad_numbers(*size)[start : stop + 2])
        assert torch.equal(plain.read(start, stop), number_pixels(*size)[start:stop])
    ends = [stop for _, stop in numbered.computed]
    assert [start for start, _ in numbered.computed] == [0, *ends[:-1]]
    assert ends[-1] == size[0]
    assert all(end % step == 0 for end in ends[:-1])


def test_one_reader_may_be_far_behind_another() -> None:
    numbered = NumberedMap(40, 3)
    ahead, behind = numbered.reader(margin=1), numbered.reader()
    for start in range(0, 40, 4):
        ahead.read(start, start + 4)
        if start >= 20:
            expected = number_pixels(40, 3)[start - 20 : start - 16]
            assert torch.equal(behind.read(start - 20, start - 16), expected)


def test_rows_are_freed_after_they_have_been_read() -> None:
    numbered = NumberedMap(400, 3)
    reader = numbered.reader(margin=1)
    for start in range(0, 400, 4):
        reader.read(start, start + 4)
        assert numbered._buffer is not None
        assert len(numbered._buffer) <= 8


def test_observers_receive_every_row_without_the_margin() -> None:
    numbered = NumberedMap(11, 4)
    received: list[Tensor] = []
    numbered.observers.append(lambda start, rows: received.append(rows.clone()))
    read_strips(numbered.reader(margin=1), 11, 3)
    assert torch.equal(torch.cat(received), number_pixels(11, 4))


@pytest.mark.parametrize("written", [1, 3, 11])
@pytest.mark.parametrize("read", [1, 2, 11])
@pytest.mark.parametrize("margin", [0, 1])
def test_a_store_returns_the_rows_that_were_computed(written: int, read: int, margin: int) -> None:
    numbered = NumberedMap(11, 4)
    store = FeatureStore(numbered, torch.float32)
    read_strips(numbered.reader(margin=margin), 11, written)
    for last_use in (False, True):
        found = read_strips(StoredMap(store, last_use=last_use).reader(margin=margin), 11, read)
        assert torch.equal(found, pad_numbers(11, 4)[1:-1] if margin else number_pixels(11, 4))


class OffsetMap(NumberedMap):
    """A numbered map with small deviations from a large offset."""

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        rows = 1000 + super().compute(start, stop, None) / 1000
        return rows if out is None else out.copy_(rows)


@pytest.mark.parametrize("strip", [1, 3, 11])
def test_a_store_in_half_precision_keeps_small_deviations_from_a_large_offset(strip: int) -> None:
    source = OffsetMap(11, 4)
    store = FeatureStore(source, torch.float32, half_precision=True)
    read_strips(source.reader(), 11, 4)
    found = read_strips(StoredMap(store, last_use=False).reader(), 11, strip)
    assert found.dtype == torch.float32
    assert store.rows.dtype == torch.float16
    torch.testing.assert_close(found, 1000 + number_pixels(11, 4) / 1000, atol=1e-3, rtol=0)


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="the system has no huge pages")
@pytest.mark.parametrize("half_precision", [False, True])
@pytest.mark.parametrize("margin", [0, 1])
def test_a_store_shrinks_while_it_is_read_for_the_last_time(
    margin: int, half_precision: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_memory, "_tuned", True)
    height, width = 448, 32768  # float16 can hold all numbers
    source = NumberedMap(height, width)
    store = FeatureStore(source, torch.float32, half_precision=half_precision)
    reader = source.reader()
    for start in range(0, height, 16):
        reader.read(start, start + 16)
    del source, reader
    reader = StoredMap(store, last_use=True).reader(margin=margin)
    tolerance = 20 if half_precision else 0
    process_memory.return_freed_memory()
    before = process_memory.resident_memory()
    for start in range(0, height, 16):
        rows = reader.read(start, start + 16)[margin:, margin:]
        expected = number_pixels(start + 16, width, first=start)
        torch.testing.assert_close(rows[:16, :width], expected, rtol=0, atol=tolerance)
    del rows, expected
    process_memory.return_freed_memory()
    released = before - process_memory.resident_memory()
    assert released > 0.7 * store.rows.nbytes


def test_accumulated_statistics_are_those_of_the_whole_map() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(37, 50, 12, generator=generator) + 100  # a large common offset
    features[..., 3] = features[..., 2]  # the covariance is rank-deficient
    exact = compute_statistics(features.view(-1, 12).T[None].double())
    source = FixedMap(features)
    accumulator = StatisticsAccumulator(source)
    source.reader().read(0, 37)
    (found,) = accumulator.result()
    torch.testing.assert_close(found.mean, exact.mean, rtol=1e-7, atol=0)
    scale = exact.covariance.diagonal(dim1=1, dim2=2).mean()
    assert (found.covariance - exact.covariance).abs().max() < 1e-6 * scale
    assert found.count == 37 * 50


def test_values_that_differ_by_rounding_have_no_covariance() -> None:
    features = torch.full((37, 50, 12), 0.3)
    for change, varies in [(2e-7, False), (1e-3, True)]:
        features[:, -1] = 0.3 * (1 + change)
        accumulator = StatisticsAccumulator(source := FixedMap(features.clone()))
        source.reader().read(0, 37)
        (found,) = accumulator.result()
        assert bool(found.covariance.any()) == varies
