"""What memory there is, what this process has of it, and how the allocator holds on to it."""

from __future__ import annotations

import contextlib
import ctypes
import math
import mmap
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

# Options of glibc's mallopt.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
HUGE_PAGE = 2**21
# Bytes by which a process grows before it is worth returning what is free once more.
SLACK = 2**26
CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Return the bytes that this process may still take, by the system and its container; None if unknown."""
    lines = _read(Path("/proc/meminfo")).splitlines()
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    for limit, usage in (
        ("memory.max", "memory.current"),  # version 2
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),  # version 1
    ):
        allowed, used = _read(CGROUP / limit).strip(), _read(CGROUP / usage).strip()
        if allowed.isdigit() and used.isdigit():
            found.append(int(allowed) - int(used))
    return max(0, min(found)) if found else None


def resident_memory() -> int:
    """Return the bytes of memory that this process occupies; 0 where the system does not tell."""
    for line in _read(Path("/proc/self/status")).splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def hold_freed_memory() -> None:
    """Have the C library keep what is freed instead of returning it to the system, where it can be told to.

    Strips are freed and allocated again all the time; memory that went back comes again as zeroed pages, one
    fault each: a quarter of the time at 1024 x 1024. For programs: it is a setting of the whole process.
    """
    if (library := _find_glibc()) is not None:
        library.mallopt(TRIM_THRESHOLD, 2**29)
        # Whole pictures have pages of their own and leave no holes; older versions take no higher number.
        library.mallopt(MMAP_THRESHOLD, 2**25)
        # Else every thread holds its own, and in pieces that no large tensor fits into.
        library.mallopt(ARENA_MAX, 1)


class Pages:
    """Memory beside the heap for values that stay long and go from the first to the last.

    Between short-lived blocks, long-lived ones leave holes in the heap when they go, as large as themselves.
    Pages of their own go back to the system at once, and huge ones come from it almost for nothing.

    Args:
        size: Bytes of the values.
    """

    def __init__(self, size: int) -> None:
        self._map = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # a kernel without them
            self._map.madvise(mmap.MADV_HUGEPAGE)
        # What lies before the first huge page is never touched and takes no memory.
        self._start = -torch.frombuffer(self._map, dtype=torch.uint8).data_ptr() % HUGE_PAGE
        self._released = self._start

    @staticmethod
    def exist(device: torch.device) -> bool:
        """Tell whether the system has such memory for values of a device."""
        return device.type == "cpu" and hasattr(mmap, "MADV_HUGEPAGE")

    def view(self, size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return the values as a tensor: zeros at first, taking memory where they are written."""
        values = torch.frombuffer(self._map, dtype=dtype, count=math.prod(size), offset=self._start)
        return values.view(size)

    def release(self, size: int) -> None:
        """Give the first bytes back to the system, by whole huge pages: nobody reads them again."""
        end = self._start + size // HUGE_PAGE * HUGE_PAGE
        if end > self._released:
            self._map.madvise(mmap.MADV_DONTNEED, self._released, end - self._released)
            self._released = end


def keep_resident_below(ceiling: int) -> int:
    """Return what is freed but held to the system if the process occupies more than some bytes.

    Between long-lived strips of a stored map, freed ones leave holes that not everything fits into: at times
    twice the memory in use.

    Returns:
        The ceiling for the next time: higher where what is in use leaves no room below it, so that the same
        strips do not go and come again, zeroed, each time.
    """
    if resident_memory() <= ceiling or (library := _find_glibc()) is None:
        return ceiling
    library.malloc_trim(0)
    return max(ceiling, resident_memory() + SLACK)


@cache
def _find_glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        library.mallopt, library.malloc_trim  # noqa: B018  an attribute that is missing raises
    except (AttributeError, OSError, TypeError):
        return None
    return library


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
