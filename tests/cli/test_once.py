"""Work that is done once, whoever asks."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from styletransfer.cli.once import Once

from styletransfer.errors import ImageError


def test_threads_that_ask_together_get_the_same_object() -> None:
    calls: list[str] = []

    def make(key: str) -> object:
        calls.append(key)
        time.sleep(0.01)
        return object()

    once = Once(make)
    with ThreadPoolExecutor(4) as executor:
        values = list(executor.map(once.get, "aaaabbbb"))
    assert sorted(calls) == ["a", "b"]
    assert len(set(values)) == 2
    assert values[0] is values[3]


def test_a_failure_is_an_answer_and_an_accident_is_none() -> None:
    errors = [ImageError("damaged"), KeyboardInterrupt()]
    calls: list[str] = []

    def make(key: str) -> str:
        calls.append(key)
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]
        return key

    once = Once(make)
    for _ in range(2):
        with pytest.raises(ImageError):
            once.get("a")
    with pytest.raises(KeyboardInterrupt):
        once.get("b")
    assert once.get("b") == "b"
    assert calls == ["a", "b", "b"]


def test_only_the_latest_are_kept() -> None:
    calls: list[int] = []

    def make(key: int) -> int:
        calls.append(key)
        return key

    once = Once(make, keep=1)
    assert [once.get(key) for key in (1, 1, 2, 2, 1)] == [1, 1, 2, 2, 1]
    assert calls == [1, 2, 1]


def test_what_is_forgotten_is_made_again() -> None:
    calls: list[int] = []

    def make(key: int) -> int:
        calls.append(key)
        return key

    once = Once(make)
    for _ in range(2):
        assert once.get(1) == 1
        once.forget(1)
    once.forget(2)
    assert calls == [1, 1]
