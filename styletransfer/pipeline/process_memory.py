"""Memory: how much there is, how much this process occupies, and how the C library's allocator behaves.

The allocator is left alone unless a program calls `tune_allocator`, because its settings hold for the whole
process. The command line does; a library should not.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import mmap
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from ..errors import MemoryLimitError

# Parameters of glibc's mallopt.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
HUGE_PAGE = 2**21
# Buffers of at least this many bytes get pages of their own; smaller ones leave small holes in the heap.
HUGE_PAGE_BUFFER = 2**25
# The process has to grow by this many bytes before free memory is returned again.
GROWTH_BEFORE_TRIM = 2**26
BYTES_PER_PIXEL = 6  # of a content and its result, 8 bits per channel
CGROUP = Path("/sys/fs/cgroup")

_tuned = False


def tune_allocator() -> None:
    """Let this process keep freed memory while it computes and return it between pictures.

    Strips are freed and allocated all the time. By default glibc returns them to the system, and they come
    back as zeroed pages with one fault each, which takes a quarter of the time at 1024 x 1024 pixels. Kept
    memory is returned by `return_freed_memory`, and large stored maps live outside the heap. This has no
    effect where the C library is not glibc.
    """
    global _tuned
    if (library := _find_glibc()) is not None:
        library.mallopt(M_TRIM_THRESHOLD, 2**29)
        # Whole pictures get pages of their own and leave no holes. Older versions accept no larger value.
        library.mallopt(M_MMAP_THRESHOLD, 2**25)
        # With one arena per thread, every thread keeps its own free memory, in pieces too small to be useful.
        library.mallopt(M_ARENA_MAX, 1)
        _tuned = True


def is_tuned() -> bool:
    """Tell whether `tune_allocator` has taken effect in this process."""
    return _tuned


def return_freed_memory() -> None:
    """Return memory that is free but kept to the system, if the allocator is tuned."""
    if _tuned and (library := _find_glibc()) is not None:
        library.malloc_trim(0)


def limit_resident_memory(ceiling: int, *, strict: bool = False) -> int:
    """Return freed memory to the system if the process occupies more than a ceiling.

    Between the long-lived strips of a stored map, freed ones leave holes that not everything fits into. They
    can add up to twice the memory in use.

    Args:
        ceiling: Bytes.
        strict: Whether the ceiling stays where it is, whatever time that takes.

    Returns:
        The ceiling for the next call. Unless it is strict, it is higher where the memory in use leaves no
        room below the present one, so that the same strips are not returned and zeroed again after each.
    """
    if not _tuned or resident_memory() <= ceiling:
        return ceiling
    return_freed_memory()
    return ceiling if strict else max(ceiling, resident_memory() + GROWTH_BEFORE_TRIM)


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


def check_available_memory(width: int, height: int) -> None:
    """Raise MemoryLimitError if the pixels of a content and its result alone exceed the memory that is left.

    Where memory is promised before it exists, the system would end the program instead.
    """
    needed, available = BYTES_PER_PIXEL * width * height, available_memory()
    if available is not None and needed > available:
        needed_text, available_text = (f"{size / 2**30:.0f}G" for size in (needed, available))
        raise MemoryLimitError(
            f"{width}x{height} pixels take {needed_text} of memory, and {available_text} are left",
            hint="make the result smaller, for example --size 1024",
        )


def resident_memory() -> int:
    """Return the bytes of memory that this process occupies; 0 where the system does not tell."""
    for line in _read(Path("/proc/self/status")).splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class HugePageBuffer:
    """A buffer outside the heap that can be returned to the system from the front.

    When long-lived blocks between short-lived ones are freed, they leave holes in the heap. Pages of their
    own go back to the system at once, and huge pages are cheap to get.

    Args:
        size: Bytes.
    """

    def __init__(self, size: int) -> None:
        self._map = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # kernels without huge pages
            self._map.madvise(mmap.MADV_HUGEPAGE)
        # What lies before the first huge page is never touched and takes no memory.
        self._start = -torch.frombuffer(self._map, dtype=torch.uint8).data_ptr() % HUGE_PAGE
        self._released = self._start

    @staticmethod
    def suits(size: int, device: torch.device) -> bool:
        """Tell whether a buffer of some bytes on a device should be one of these."""
        return _tuned and size >= HUGE_PAGE_BUFFER and device.type == "cpu" and hasattr(mmap, "MADV_HUGEPAGE")

    def view(self, size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return the buffer as a tensor. It holds zeros and takes memory where it is written."""
        values = torch.frombuffer(self._map, dtype=dtype, count=math.prod(size), offset=self._start)
        return values.view(size)

    def release(self, size: int) -> None:
        """Return the first bytes to the system, in whole huge pages; they must not be read again."""
        end = self._start + size // HUGE_PAGE * HUGE_PAGE
        if end > self._released:
            self._map.madvise(mmap.MADV_DONTNEED, self._released, end - self._released)
            self._released = end


@cache
def _find_glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        library.mallopt, library.malloc_trim  # noqa: B018  raises if one is missing
    except (AttributeError, OSError, TypeError):
        return None
    return library


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
