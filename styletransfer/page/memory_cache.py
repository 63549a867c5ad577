"""What the server remembers: pictures in memory, the least recently used ones forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Any


class MemoryCache:
    """Values with their sizes, up to a number of bytes; threads may share it.

    Args:
        limit: Most bytes that all values take together. A larger value is not kept.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, key: Hashable) -> Any:
        """Return the value of a key, which then counts as used; None if it is not there."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, key: Hashable, value: Any, size: int) -> bool:
        """Keep a value of some bytes in place of the least recently used ones; tell whether it is kept."""
        with self._lock:
            if key in self._entries:
                self._bytes -= self._entries.pop(key)[1]
            if size > self.limit:
                return False
            while self._bytes + size > self.limit:
                self._bytes -= self._entries.popitem(last=False)[1][1]
            self._entries[key] = value, size
            self._bytes += size
            return True
