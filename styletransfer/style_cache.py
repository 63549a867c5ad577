"""Caches for values that several threads need, in memory and, for style statistics, on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

from .errors import StyleTransferError
from .model import StyleStatistics

Key = TypeVar("Key")
Value = TypeVar("Value")


class StyleKey(NamedTuple):
    """A style file with its state on disk and what it is measured for; None for a file of statistics."""

    path: Path
    modified: int
    bytes: int
    style_size: int | None
    stroke_scale: int | None

    @classmethod
    def of(cls, path: Path, style_size: int | None = None, stroke_scale: int | None = None) -> StyleKey:
        """Return the key of a style file in its present state."""
        try:
            status = path.stat()
        except OSError:  # reading the file explains it better
            return cls(path, 0, 0, style_size, stroke_scale)
        return cls(path, status.st_mtime_ns, status.st_size, style_size, stroke_scale)


class KeyedCache(Generic[Key, Value]):
    """A function whose result is computed once per key, by one thread, and remembered.

    Args:
        compute: The function. A `StyleTransferError` that it raises is remembered as its result; other
            errors are not.
        size: Number of results that are remembered, the latest ones; None remembers all.
    """

    def __init__(self, compute: Callable[[Key], Value], size: int | None = None) -> None:
        self._compute = compute
        self._size = size
        self._entries: dict[Key, _Entry[Value]] = {}
        self._lock = Lock()

    def get(self, key: Key) -> Value:
        """Return the value of a key or raise its error; wait while another thread computes it."""
        with self._lock:
            if key not in self._entries:
                while self._size is not None and len(self._entries) >= self._size:
                    del self._entries[next(iter(self._entries))]  # before the next value takes memory
                self._entries[key] = _Entry()
            entry = self._entries[key]
        with entry.lock:
            if entry.value is None and entry.error is None:
                try:
                    entry.value = self._compute(key)
                except StyleTransferError as error:
                    entry.error = error
        if entry.error is not None:
            raise entry.error
        assert entry.value is not None
        return entry.value

    def discard(self, key: Key) -> None:
        """Forget the value of a key, if it is there."""
        with self._lock:
            self._entries.pop(key, None)


class _Entry(Generic[Value]):
    def __init__(self) -> None:
        self.lock = Lock()
        self.value: Value | None = None
        self.error: StyleTransferError | None = None


class StyleFolder:
    """A folder of style statistics that are found again by everything that decides their values.

    Each entry is a file as `style-stats` writes them. Its name is a hash of the bytes of the style, the
    weights, the sizes, the precision and the version of this program. A damaged entry is ignored, and where
    nothing can be written, nothing is kept.

    Args:
        folder: The folder; it is created when the first entry is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, style: Path, fingerprint: str, *settings: object) -> StyleStatistics | None:
        """Return the statistics of a style, or None if there is no intact entry.

        Args:
            style: The picture's file.
            fingerprint: SHA-256 of the model's weights.
            settings: Whatever else decides the values; must be JSON.
        """
        with contextlib.suppress(OSError, StyleTransferError):
            statistics = StyleStatistics.load(self._entry(style, fingerprint, *settings))
            if statistics.model == fingerprint:
                return statistics
        return None

    def save(self, statistics: StyleStatistics, style: Path, *settings: object) -> None:
        """Keep the statistics of a style; errors are ignored. Arguments as for `load`."""
        with contextlib.suppress(OSError, StyleTransferError):
            self.folder.mkdir(parents=True, exist_ok=True)
            statistics.save(self._entry(style, statistics.model, *settings))

    def _entry(self, style: Path, *settings: object) -> Path:
        from styletransfer import __version__

        with style.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        name = hashlib.sha256(json.dumps([__version__, content, *settings]).encode()).hexdigest()
        return self.folder / f"{name}.safetensors"
