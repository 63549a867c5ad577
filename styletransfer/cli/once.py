"""Work that several threads need and one of them does."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from ..errors import StyleTransferError

Key = TypeVar("Key")
Value = TypeVar("Value")


class Once(Generic[Key, Value]):
    """A function that is called once for each argument; what it returns or fails with is remembered.

    Args:
        make: The function; a `StyleTransferError` counts as its answer, other errors do not.
        keep: How many answers are remembered, the latest ones; None for all.
    """

    def __init__(self, make: Callable[[Key], Value], keep: int | None = None) -> None:
        self._make = make
        self._keep = keep
        self._answers: dict[Key, _Answer[Value]] = {}
        self._lock = Lock()

    def get(self, key: Key) -> Value:
        """Return the value of a key, or raise its error; waits if another thread is making it."""
        with self._lock:
            if key not in self._answers:
                while self._keep is not None and len(self._answers) >= self._keep:
                    del self._answers[next(iter(self._answers))]  # before the next one takes memory, too
                self._answers[key] = _Answer()
            answer = self._answers[key]
        with answer.lock:
            if answer.value is None and answer.error is None:
                try:
                    answer.value = self._make(key)
                except StyleTransferError as error:
                    answer.error = error
        if answer.error is not None:
            raise answer.error
        assert answer.value is not None
        return answer.value

    def forget(self, key: Key) -> None:
        """Let go of a value; whoever asks again has it made again."""
        with self._lock:
            self._answers.pop(key, None)


class _Answer(Generic[Value]):
    def __init__(self) -> None:
        self.lock = Lock()
        self.value: Value | None = None
        self.error: StyleTransferError | None = None
