"""Test that plans fit into their memory limit and need the least work that it allows."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from styletransfer.errors import MemoryLimitError, OptionError
from styletransfer.model import Architecture, Autoencoder, LoadedModel
from styletransfer.options import RuntimeOptions, parse_bytes
from styletransfer.pipeline import StylizationPipeline
from styletransfer.pipeline.device import PRECISIONS
from styletransfer.pipeline.feature_graph import OUTPUT, Node, list_passes
from styletransfer.pipeline.memory_plan import StreamingPlan, list_storage, measure_storage, plan_passes

ARCHITECTURE = Architecture()
FP32 = PRECISIONS["fp32"]
MIB = 2**20
EVERYTHING = {
    *(Node("encoded", scale) for scale in range(5)),
    *(Node("merged", scale) for scale in range(4)),
    OUTPUT,
}


def make_plan(
    height: int, width: int, *, tile: int | None = None, limit: int | None = None, precision: str = "fp32"
) -> StreamingPlan:
    """Plan the passes of the default network over a picture."""
    return plan_passes(ARCHITECTURE, PRECISIONS[precision], (height, width), tile=tile, limit=limit)


def test_stores_take_less_memory_where_work_grows() -> None:
    costs = list_storage(ARCHITECTURE, FP32)
    assert costs[0].full == 4 * 30.25  # 16 + 8 + 4 + 2 + 0.25 numbers per pixel, four bytes each
    assert costs[0].half == 4 * 18.25  # 8 + 4 + 4 + 2 + 0.25
    assert all(less.work <= more.work for less, more in pairwise(costs))
    assert all(more.full < less.full or more.half < less.half for less, more in pairwise(costs))
    assert all(cost.full / 2 <= cost.half <= cost.full for cost in costs)
    assert costs[-1].full == 0


def test_lower_strips_make_room_for_stores() -> None:
    plan = make_plan(10000, 10000)
    assert plan.tile == 32
    # Strips of 64 rows would leave half as much room.
    assert measure_storage(ARCHITECTURE, FP32, plan.store).work < 100_000


@pytest.mark.parametrize("widths", [(4,), (4, 6), (4, 6, 8)])
def test_every_map_of_a_small_picture_is_computed_once_by_any_network(widths: tuple[int, ...]) -> None:
    architecture = Architecture(widths, (1,) * len(widths))
    store = plan_passes(architecture, FP32, (64, 64)).store
    computed = [node for step in list_passes(architecture, store) for node in step.computed]
    assert len(computed) == len(set(computed))


@pytest.mark.parametrize("size", [(1, 1), (512, 512), (2048, 2048), (4096, 10240), (10000, 10000)])
@pytest.mark.parametrize("limit", [2**28, 2**30, 2**33])
def test_stored_maps_fit_into_the_limit(size: tuple[int, int], limit: int) -> None:
    plan = make_plan(*size, limit=limit)
    cost = measure_storage(ARCHITECTURE, FP32, plan.store)
    bytes_per_pixel = cost.half if plan.half_precision else cost.full
    assert bytes_per_pixel * size[0] * size[1] <= limit
    assert plan.tile % 16 == 0


def test_every_map_of_a_small_picture_is_stored() -> None:
    assert make_plan(512, 512).store == EVERYTHING


def test_maps_are_stored_in_half_precision_before_work_is_repeated() -> None:
    plans = [make_plan(512, 512, limit=mib * MIB) for mib in (60, 30, 15)]
    least_work = list_storage(ARCHITECTURE, FP32)[0].nodes
    assert [plan.store == least_work for plan in plans] == [True, True, False]
    assert [plan.half_precision for plan in plans] == [False, True, True]
    for precision in ("mixed", "bf16"):
        plans = [make_plan(512, 512, limit=mib * MIB, precision=precision) for mib in (60, 30, 10)]
        assert not any(plan.half_precision for plan in plans)


@pytest.mark.parametrize(("tile", "expected"), [(64, 64), (511, 496), (1, 16), (0, 304)])
def test_tiles_are_multiples_of_the_stride(tile: int, expected: int) -> None:
    assert make_plan(300, 40, tile=tile).tile == expected


@pytest.mark.parametrize(("size", "tile"), [((512, 512), 256), ((1024, 1024), 128), ((3000, 2000), 64)])
def test_strips_are_no_larger_than_the_processor_s_cache_allows(size: tuple[int, int], tile: int) -> None:
    assert make_plan(*size, limit=2**40).tile == tile
    # They are lower where memory is short.
    assert make_plan(*size, limit=2**24).tile < tile


def test_amounts_of_memory_are_parsed() -> None:
    amounts = [parse_bytes(text) for text in ("700M", "2G", "1.5gb", "1 GiB")]
    assert amounts == [700 * 2**20, 2 * 2**30, 3 * 2**29, 2**30]
    for text in ("", "2X", "-1G", "12"):
        with pytest.raises(OptionError, match="amount of memory"):
            RuntimeOptions(max_memory=text)


def test_the_error_for_a_limit_that_is_too_low_says_how_much_memory_is_needed() -> None:
    model = LoadedModel(Autoencoder(ARCHITECTURE), "x", {})
    pipeline = StylizationPipeline(model, RuntimeOptions(max_memory="20M"))
    samples = torch.empty(1, dtype=torch.uint8).expand(3, 64, 20000)
    message = r"^20000x64 pixels need \d+M beside the \d+M of the program itself, 20M is the limit; allow"
    with pytest.raises(MemoryLimitError, match=message):
        pipeline.measure(samples)
