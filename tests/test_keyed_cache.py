"""A value is computed once, however many threads ask for it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from styletransfer.errors import ImageError
from styletransfer.style_measurer import KeyedCache


def test_threads_that_ask_together_get_the_same_object() -> None:
    calls: list[str] = []

    def compute(key: str) -> object:
        calls.append(key)
        time.sleep(0.01)
        return object()

    cache = KeyedCache(compute)
    with ThreadPoolExecutor(4) as executor:
        values = list(executor.map(cache.get, "aaaabbbb"))
    assert sorted(calls) == ["a", "b"]
    assert len(set(values)) == 2
    assert values[0] is values[3]


def test_errors_of_this_program_are_remembered_and_others_are_not() -> None:
    errors = [ImageError("damaged"), KeyboardInterrupt()]
    calls: list[str] = []

    def compute(key: str) -> str:
        calls.append(key)
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]
        return key

    cache = KeyedCache(compute)
    for _ in range(2):
        with pytest.raises(ImageError):
            cache.get("a")
    with pytest.raises(KeyboardInterrupt):
        cache.get("b")
    assert cache.get("b") == "b"
    assert calls == ["a", "b", "b"]


def count_calls(size: int | None) -> tuple[KeyedCache[int, int], list[int]]:
    calls: list[int] = []

    def compute(key: int) -> int:
        calls.append(key)
        return key

    return KeyedCache(compute, size), calls


def test_only_the_latest_are_remembered() -> None:
    cache, calls = count_calls(size=1)
    assert [cache.get(key) for key in (1, 1, 2, 2, 1)] == [1, 1, 2, 2, 1]
    assert calls == [1, 2, 1]


def test_a_discarded_value_is_computed_again() -> None:
    cache, calls = count_calls(size=None)
    for _ in range(2):
        assert cache.get(1) == 1
        cache.discard(1)
    cache.discard(2)
    assert calls == [1, 1]
