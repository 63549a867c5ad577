"""Plans fit their limit and spend as little work as it allows; amounts of memory as users write them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from styletransfer.errors import MemoryLimitError, OptionError
from styletransfer.model import Architecture, Autoencoder
from styletransfer.options import RuntimeOptions, parse_bytes
from styletransfer.pipeline import StylizationPipeline, memory
from styletransfer.pipeline.device import PRECISIONS
from styletransfer.pipeline.engine import Engine
from styletransfer.pipeline.feature_graph import OUTPUT, Node, list_passes
from styletransfer.pipeline.memory_plan import list_storage, measure_storage, plan_passes

EVERYTHING = {
    *(Node("encoded", scale) for scale in range(5)),
    *(Node("merged", scale) for scale in range(4)),
    OUTPUT,
}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return build_engine("fp32")


def build_engine(precision: str, architecture: Architecture | None = None) -> Engine:
    return Engine(Autoencoder(architecture), PRECISIONS[precision], torch.device("cpu"))


def samples(height: int, width: int) -> torch.Tensor:
    return torch.empty(1, dtype=torch.uint8).expand(3, height, width)


def test_stores_shrink_as_work_grows(engine: Engine) -> None:
    ways = list_storage(engine.architecture, engine.precision)
    assert ways[0].full == 4 * 30.25  # of 16 + 8 + 4 + 2 + 0.25 numbers per pixel
    assert ways[0].half == 4 * 18.25  # of 8 + 4 + 4 + 2 + 0.25
    assert all(less.work <= more.work for less, more in pairwise(ways))
    assert all(more.full < less.full or more.half < less.half for less, more in pairwise(ways))
    assert all(way.full / 2 <= way.half <= way.full for way in ways)
    assert ways[-1].full == 0


def test_lower_strips_make_room_for_stores(engine: Engine) -> None:
    plan = plan_passes(engine, samples(10000, 10000))
    assert plan.tile == 32
    # Strips of 64 rows would leave room for half of that.
    assert measure_storage(engine.architecture, engine.precision, plan.store).work < 100_000


@pytest.mark.parametrize("widths", [(4,), (4, 6), (4, 6, 8)])
def test_small_pictures_of_any_network_are_computed_once(widths: tuple[int, ...]) -> None:
    shape = Architecture(widths, (1,) * len(widths))
    store = plan_passes(build_engine("fp32", shape), samples(64, 64)).store
    passes = list_passes(len(widths) - 1, store)
    computed = [node for step in passes for node in step.computed]
    assert len(computed) == len(set(computed))


@pytest.mark.parametrize("size", [(1, 1), (512, 512), (2048, 2048), (4096, 10240), (10000, 10000)])
@pytest.mark.parametrize("limit", [2**28, 2**30, 2**33])
def test_plans_fit_or_are_the_smallest(engine: Engine, size: tuple[int, int], limit: int) -> None:
    plan = plan_passes(engine, samples(*size), limit=limit)
    stored = measure_storage(engine.architecture, engine.precision, plan.store)
    bytes_per_pixel = stored.half if plan.halve else stored.full
    assert bytes_per_pixel * size[0] * size[1] <= limit
    assert plan.tile % 16 == 0


def test_small_pictures_store_everything(engine: Engine) -> None:
    assert plan_passes(engine, samples(512, 512)).store == EVERYTHING


def test_maps_are_halved_before_work_is_done_twice(engine: Engine) -> None:
    plans = [plan_passes(engine, samples(512, 512), limit=mib * 2**20) for mib in (60, 30, 15)]
    best = list_storage(engine.architecture, engine.precision)[0].nodes
    assert [plan.store == best for plan in plans] == [True, True, False]
    assert [plan.halve for plan in plans] == [False, True, True]
    for precision in ("mixed", "bf16"):
        low = build_engine(precision)
        assert not any(plan_passes(low, samples(512, 512), limit=mib * 2**20).halve for mib in (60, 30, 10))


@pytest.mark.parametrize(("asked", "given"), [(64, 64), (511, 496), (1, 16), (0, 304)])
def test_tiles_are_aligned_to_the_stride(engine: Engine, asked: int, given: int) -> None:
    assert plan_passes(engine, samples(300, 40), tile=asked).tile == given


def test_amounts_of_memory() -> None:
    assert [parse_bytes(text) for text in ("700M", "2G", "1.5gb", "1 GiB")] == [
        700 * 2**20,
        2 * 2**30,
        3 * 2**29,
        2**30,
    ]
    for text in ("", "2X", "-1G", "12"):
        with pytest.raises(OptionError, match="amount of memory"):
            RuntimeOptions(max_memory=text)


def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    before = memory.available_memory()
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert before is None or memory.available_memory() is not None
    (tmp_path / "memory.max").write_text("5000\n")
    assert memory.available_memory() == 4000


def test_memory_of_this_process() -> None:
    memory.return_freed_memory()  # else the heap may have room left by the tests before
    before = memory.resident_memory()
    if before == 0:
        pytest.skip("the system does not tell")
    held = torch.ones(2**25)
    assert memory.resident_memory() - before > held.nbytes // 2


def test_a_limit_that_nothing_fits_into_is_an_error_that_says_how_much_it_takes() -> None:
    pipeline = StylizationPipeline(Autoencoder(Architecture()), "x", RuntimeOptions(max_memory="20M"))
    with pytest.raises(MemoryLimitError, match=r"^20000x64 pixels need \d+M, 20M is the limit; allow more"):
        pipeline.measure(samples(64, 20000))


PAGES = pytest.mark.skipif(not memory.Pages.exist(torch.device("cpu")), reason="the system has none")


@PAGES
def test_pages_go_back_from_the_beginning_and_spare_what_is_read_still() -> None:
    pages = memory.Pages(2**28)
    values = pages.view((128, 2**19), torch.float32)  # 256 MiB
    assert values.data_ptr() % memory.HUGE_PAGE == 0
    values += torch.arange(128).view(-1, 1)
    before = memory.resident_memory()
    released = 100 * values[0].nbytes + 1000
    pages.release(released)
    assert memory.resident_memory() < before - 0.9 * released
    assert all((values[number] == number).all() for number in range(100, 128))


@pytest.mark.skipif(memory.resident_memory() == 0, reason="the system does not tell")
def test_memory_that_is_freed_but_held_goes_back() -> None:
    memory.hold_freed_memory()
    held = [(torch.ones(2**20), torch.ones(2**10)) for _ in range(64)]  # 256 MiB, and what pins them
    pieces, pins = ([pair[index] for pair in held] for index in range(2))
    del held
    before = memory.resident_memory()
    del pieces
    assert memory.keep_resident_below(before - 2**27) == before - 2**27
    assert memory.resident_memory() < before - 2**27
    # What is in use does not go, however often one tries: the next time is when there is more.
    assert memory.return_freed_memory() > memory.resident_memory() + memory.SLACK // 2
    assert len(pins) == 64


@pytest.mark.parametrize(("size", "tile"), [((512, 512), 256), ((1024, 1024), 128), ((3000, 2000), 64)])
def test_strips_are_no_larger_than_is_quick(engine: Engine, size: tuple[int, int], tile: int) -> None:
    assert plan_passes(engine, samples(*size), limit=2**40).tile == tile
    # Where memory is short, they are lower still.
    assert plan_passes(engine, samples(*size), limit=2**24).tile < tile
