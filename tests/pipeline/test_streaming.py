"""Maps on demand: rows are computed once, margins are the border, stores return what went in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from styletransfer.pipeline import memory
from styletransfer.pipeline.streaming import FeatureMap, FeatureStore, MapShape, Reader, StoredMap

CPU = torch.device("cpu")


class Numbers(FeatureMap):
    """Row r, column c holds (100 r + c, 0.5); remembers what was asked for."""

    def __init__(self, height: int, width: int, step: int = 1) -> None:
        super().__init__(MapShape(height, width, 2, torch.float32, CPU))
        self.step = step
        self.calls: list[tuple[int, int]] = []

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        self.calls.append((start, stop))
        rows = whole(self.shape.height, self.shape.width)[start:stop].clone()
        return rows if out is None else out.copy_(rows)


def whole(height: int, width: int) -> Tensor:
    numbers = 100.0 * torch.arange(height).view(-1, 1) + torch.arange(width)
    return torch.stack((numbers, torch.full_like(numbers, 0.5)), -1)


def padded(height: int, width: int) -> Tensor:
    rows = torch.arange(-1, height + 1).clamp(0, height - 1)
    columns = torch.arange(-1, width + 1).clamp(0, width - 1)
    return whole(height, width)[rows][:, columns]


def drain(reader: Reader, height: int, strip: int) -> Tensor:
    strips = [reader.read(row, min(row + strip, height)).clone() for row in range(0, height, strip)]
    return torch.cat(strips) if not reader.margin else torch.cat([each[1:-1] for each in strips])


@pytest.mark.parametrize("strip", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (12, 5)])
def test_rows_are_computed_once_and_in_order(size: tuple[int, int], step: int, strip: int) -> None:
    numbers = Numbers(*size, step=step)
    plain, wide = numbers.reader(), numbers.reader(margin=1)
    for start in range(0, size[0], strip):
        stop = min(start + strip, size[0])
        around = wide.read(start, stop)
        assert torch.equal(around, padded(*size)[start : stop + 2])
        assert torch.equal(plain.read(start, stop), whole(*size)[start:stop])
    bottoms = [stop for _, stop in numbers.calls]
    assert [start for start, _ in numbers.calls] == [0, *bottoms[:-1]]
    assert bottoms[-1] == size[0]
    assert all(bottom % step == 0 for bottom in bottoms[:-1])


def test_readers_may_be_far_apart() -> None:
    numbers = Numbers(40, 3)
    ahead, behind = numbers.reader(margin=1), numbers.reader()
    for start in range(0, 40, 4):
        ahead.read(start, start + 4)
        if start >= 20:
            assert torch.equal(behind.read(start - 20, start - 16), whole(40, 3)[start - 20 : start - 16])


def test_rows_that_were_read_are_let_go() -> None:
    numbers = Numbers(400, 3)
    reader = numbers.reader(margin=1)
    for start in range(0, 400, 4):
        reader.read(start, start + 4)
        assert numbers._buffer is not None
        assert len(numbers._buffer) <= 8


def test_observers_see_every_row_without_the_margin() -> None:
    numbers = Numbers(11, 4)
    seen: list[Tensor] = []
    numbers.observers.append(lambda start, rows: seen.append(rows.clone()))
    drain(numbers.reader(margin=1), 11, 3)
    assert torch.equal(torch.cat(seen), whole(11, 4))


@pytest.mark.parametrize("written", [1, 3, 11])
@pytest.mark.parametrize("read", [1, 2, 11])
@pytest.mark.parametrize("margin", [0, 1])
def test_stores_return_what_went_in(written: int, read: int, margin: int) -> None:
    numbers = Numbers(11, 4)
    store = FeatureStore(numbers, torch.float32)
    drain(numbers.reader(margin=margin), 11, written)
    for last in (False, True):
        found = drain(StoredMap(store, last_use=last).reader(margin=margin), 11, read)
        assert torch.equal(found, padded(11, 4)[1:-1] if margin else whole(11, 4))


class Offset(Numbers):
    """Small numbers on a large one."""

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        rows = 1000 + super().compute(start, stop, None) / 1000
        return rows if out is None else out.copy_(rows)


@pytest.mark.parametrize("rows", [1, 3, 11])
def test_halved_stores_keep_what_varies(rows: int) -> None:
    numbers = Offset(11, 4)
    store = FeatureStore(numbers, torch.float32, half_precision=True)
    drain(numbers.reader(), 11, 4)
    found = drain(StoredMap(store, last_use=False).reader(), 11, rows)
    assert found.dtype == torch.float32
    assert store.rows.dtype == torch.float16
    torch.testing.assert_close(found, 1000 + whole(11, 4) / 1000, atol=1e-3, rtol=0)


@pytest.mark.skipif(not hasattr(mmap, 'MADV_HUGEPAGE'), reason="the system has no pages to give back")
@pytest.mark.parametrize("halve", [False, True])
@pytest.mark.parametrize("margin", [0, 1])
def test_a_store_that_is_read_for_the_last_time_shrinks(margin: int, halve: bool) -> None:
    height, width = 448, 32768  # all numbers within float16
    numbers = Numbers(height, width)
    store = FeatureStore(numbers, torch.float32, half_precision=halve)
    reader = numbers.reader()
    for start in range(0, height, 16):
        reader.read(start, start + 16)
    del numbers, reader
    reader = StoredMap(store, last_use=True).reader(margin=margin)
    expected = whole(height, width)
    memory.return_freed_memory()
    before = memory.resident_memory()
    for start in range(0, height, 16):
        rows = reader.read(start, start + 16)[margin:, margin:]
        torch.testing.assert_close(rows[:16, :width], expected[start : start + 16], rtol=0, atol=20 * halve)
    del rows
    memory.return_freed_memory()
    gone = before - memory.resident_memory()
    assert gone > 0.7 * store.rows.nbytes
