"""Test what the process knows about its memory and what the tuned allocator returns to the system."""

from __future__ import annotations

import mmap
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from styletransfer.pipeline import process_memory
from styletransfer.pipeline.process_memory import HugePageBuffer

CPU = torch.device("cpu")
needs_resident_memory = pytest.mark.skipif(
    process_memory.resident_memory() == 0,
    reason="the system does not tell how much memory a process occupies",
)
needs_huge_pages = pytest.mark.skipif(
    not hasattr(mmap, "MADV_HUGEPAGE"), reason="the system has no huge pages"
)


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use what a tuned allocator allows without changing the settings of the test process."""
    monkeypatch.setattr(process_memory, "_tuned", True)


def test_the_memory_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_memory, "CGROUP", tmp_path)
    before = process_memory.available_memory()
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert before is None or process_memory.available_memory() is not None
    (tmp_path / "memory.max").write_text("5000\n")
    assert process_memory.available_memory() == 4000


@needs_resident_memory
@pytest.mark.usefixtures("tuned")
def test_resident_memory_grows_with_what_is_allocated() -> None:
    # Otherwise the tensor may fit into memory that earlier tests have freed.
    process_memory.return_freed_memory()
    before = process_memory.resident_memory()
    tensor = torch.ones(2**25)
    assert process_memory.resident_memory() - before > tensor.nbytes // 2


@needs_huge_pages
@needs_resident_memory
def test_a_huge_page_buffer_is_returned_from_the_front_and_keeps_the_rest() -> None:
    buffer = HugePageBuffer(2**28)
    values = buffer.view((128, 2**19), torch.float32)  # 256 MiB
    assert values.data_ptr() % process_memory.HUGE_PAGE == 0
    values += torch.arange(128).view(-1, 1)
    before = process_memory.resident_memory()
    released = 100 * values[0].nbytes + 1000
    buffer.release(released)
    assert process_memory.resident_memory() < before - 0.9 * released
    assert all((values[number] == number).all() for number in range(100, 128))


@needs_huge_pages
@pytest.mark.usefixtures("tuned")
def test_huge_page_buffers_suit_large_maps_on_the_processor() -> None:
    assert HugePageBuffer.suits(2**25, CPU)
    assert not HugePageBuffer.suits(2**25 - 1, CPU)
    assert not HugePageBuffer.suits(2**25, torch.device("cuda"))


def test_the_allocator_is_left_alone_unless_it_is_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise AssertionError("the C library was called")

    monkeypatch.setattr(process_memory, "_tuned", False)
    monkeypatch.setattr(process_memory, "_find_glibc", fail)
    process_memory.return_freed_memory()
    assert process_memory.limit_resident_memory(0) == 0
    assert not process_memory.is_tuned()
    assert not HugePageBuffer.suits(2**30, CPU)


# The settings of the allocator cannot be undone, so they are tested in a process of their own.
RETURN_FREED_MEMORY = """
import torch
from styletransfer.pipeline import process_memory

process_memory.tune_allocator()
if not process_memory.is_tuned():
    print("the C library is not glibc")
    raise SystemExit
pairs = [(torch.ones(2**20), torch.ones(2**10)) for _ in range(64)]  # 256 MiB, and what keeps the heap tall
large, small = ([pair[index] for pair in pairs] for index in range(2))
del pairs
before = process_memory.resident_memory()
del large
assert process_memory.resident_memory() > before - 2**26, "freed memory was not kept"
assert process_memory.limit_resident_memory(before - 2**27) == before - 2**27
assert process_memory.resident_memory() < before - 2**27, "freed memory was not returned"
# Memory in use cannot be returned, so the next ceiling lies above it.
ceiling = process_memory.limit_resident_memory(0)
assert ceiling > process_memory.resident_memory() + process_memory.GROWTH_BEFORE_TRIM // 2
assert len(small) == 64
print("done")
"""


@needs_resident_memory
def test_a_tuned_allocator_keeps_freed_memory_and_returns_it_above_a_ceiling() -> None:
    command = [sys.executable, "-c", RETURN_FREED_MEMORY]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    if finished.stdout.strip() != "done":
        pytest.skip(finished.stdout.strip())


KEEP_A_LIMIT = """
import sys, torch
from styletransfer import Stylizer
from styletransfer.media import Picture
from styletransfer.options import RuntimeOptions, StylizeOptions
from styletransfer.pipeline.process_memory import resident_memory, tune_allocator

def read_peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

torch.set_num_threads(2)  # every thread has buffers of its own
tune_allocator()
stylizer = Stylizer(runtime=RuntimeOptions(device="cpu", max_memory="240M"))
start = resident_memory()
content = torch.arange(3 * 1500 * 2100).remainder_(251).to(torch.uint8).view(3, 1500, 2100)
style = Picture(content[:, :256, :256].contiguous())
statistics = stylizer.measure_style(style, stroke_scale=2)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
stylizer.stylize_picture(Picture(content), statistics, StylizeOptions(stroke_scale=2))
print((read_peak() - start) / 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_memory_limit_is_kept_with_large_strokes() -> None:
    process = subprocess.run([sys.executable, "-c", KEEP_A_LIMIT], capture_output=True, text=True, check=True)
    assert float(process.stdout) <= 240
