"""Jobs on several threads: done in any order, told in theirs, interrupted together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Barrier, Event, get_ident
from typing import NoReturn

import pytest
from styletransfer.cli.crew import employ_crew


def wait_for_ever() -> NoReturn:
    while True:
        time.sleep(0.001)


def test_results_come_in_order_though_the_first_is_done_last() -> None:
    second_is_done = Event()

    def do(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(10)
        if item == 1:
            second_is_done.set()
        return item

    with employ_crew(do, range(20), workers=2) as outcomes:
        assert [take() for take in outcomes] == list(range(20))


def test_workers_work_at_once() -> None:
    barrier = Barrier(3, timeout=10)
    with employ_crew(lambda _: barrier.wait(), range(3), workers=3) as outcomes:
        assert sorted(take() for take in outcomes) == [0, 1, 2]


def test_one_worker_is_the_caller_when_he_asks() -> None:
    done: list[int] = []

    def do(item: int) -> int:
        done.append(item)
        return get_ident()

    with employ_crew(do, range(3), workers=1) as outcomes:
        first = next(outcomes)
        assert done == []
        assert first() == get_ident()
        assert done == [0]


def test_no_more_are_begun_than_there_are_workers() -> None:
    begun: list[int] = []
    with employ_crew(begun.append, range(100), workers=2) as outcomes:
        next(outcomes)()
        time.sleep(0.02)
    assert len(begun) <= 3


def test_an_error_is_raised_where_its_item_stands() -> None:
    def do(item: int) -> float:
        return 1 / (item - 1)

    def take_all(workers: int) -> Iterator[float | None]:
        with employ_crew(do, range(3), workers) as outcomes:
            for take in outcomes:
                try:
                    yield take()
                except ZeroDivisionError:
                    yield None

    assert list(take_all(2)) == list(take_all(1)) == [-1, None, 1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError])
def test_whatever_ends_the_caller_interrupts_the_workers(error: type[BaseException]) -> None:
    interrupted: list[int] = []
    working = Barrier(3, timeout=10)

    def do(item: int) -> None:
        try:
            working.wait()
            wait_for_ever()
        except KeyboardInterrupt:
            interrupted.append(item)
            raise

    def stop() -> None:
        with employ_crew(do, range(10), workers=2) as outcomes:
            next(outcomes)
            working.wait()
            raise error

    with pytest.raises(error):
        stop()
    assert sorted(interrupted) == [0, 1]


def test_a_caller_who_stops_asking_interrupts_the_workers() -> None:
    def do(item: int) -> int:
        if item:
            wait_for_ever()
        return item

    with employ_crew(do, range(10), workers=2) as outcomes:
        assert next(outcomes)() == 0
