"""Worker threads: items finish in any order, results are reported in order, a stop ends them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from threading import Barrier, Event, get_ident

import pytest

from styletransfer.cli.thread_pool import map_ordered


def map_items(
    function: Callable[[int], object], count: int, workers: int
) -> AbstractContextManager[Iterator[Callable[[], object]]]:
    return map_ordered(function, range(count), workers, Event())


def test_results_come_in_order_even_if_the_first_is_done_last() -> None:
    second_is_done = Event()

    def function(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(10)
        if item == 1:
            second_is_done.set()
        return item

    with map_items(function, 20, workers=2) as results:
        assert [take() for take in results] == list(range(20))


def test_workers_run_at_the_same_time() -> None:
    barrier = Barrier(3, timeout=10)
    with map_ordered(lambda _: barrier.wait(), range(3), 3, Event()) as results:
        assert sorted(take() for take in results) == [0, 1, 2]


def test_one_worker_is_the_calling_thread() -> None:
    done: list[int] = []

    def function(item: int) -> int:
        done.append(item)
        return get_ident()

    with map_items(function, 3, workers=1) as results:
        first = next(results)
        assert done == []
        assert first() == get_ident()
        assert done == [0]


def test_each_worker_starts_at_most_one_item_ahead() -> None:
    begun: list[int] = []
    with map_items(begun.append, 100, workers=2) as results:
        next(results)()
        time.sleep(0.02)
    assert len(begun) <= 3


def test_an_error_is_raised_in_its_turn() -> None:
    def function(item: int) -> float:
        return 1 / (item - 1)

    def take_all(workers: int) -> Iterator[object]:
        with map_items(function, 3, workers) as results:
            for take in results:
                try:
                    yield take()
                except ZeroDivisionError:
                    yield None

    assert list(take_all(2)) == list(take_all(1)) == [-1, None, 1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError])
def test_an_error_of_the_caller_stops_the_workers(error: type[BaseException]) -> None:
    stop = Event()
    stopped: list[int] = []
    working = Barrier(3, timeout=10)

    def function(item: int) -> None:
        working.wait()
        assert stop.wait(10)
        stopped.append(item)

    def call() -> None:
        with map_ordered(function, range(10), 2, stop) as results:
            next(results)
            working.wait()
            raise error

    with pytest.raises(error):
        call()
    assert sorted(stopped) == [0, 1]


def test_a_caller_that_takes_no_more_results_stops_the_workers() -> None:
    stop = Event()

    def function(item: int) -> int:
        if item:
            assert stop.wait(10)
        return item

    with map_ordered(function, range(10), 2, stop) as results:
        assert next(results)() == 0
