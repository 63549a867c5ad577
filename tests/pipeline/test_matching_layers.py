"""Test that the runner matches as the network does, whatever is stored and however high strips are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from styletransfer.model import Architecture, Autoencoder, measure_levels
from styletransfer.pipeline.device import PRECISIONS
from styletransfer.pipeline.matching_layers import PatchSampler, find_visible_positions
from styletransfer.pipeline.memory_plan import StreamingPlan, list_storage
from styletransfer.pipeline.network_runner import NetworkRunner
from styletransfer.pipeline.regions import RegionStyle, spread_positions
from styletransfer.pipeline.streamed_maps import run
from styletransfer.pipeline.streaming_layers import PictureMap
from styletransfer.transfer import TransferTarget
from styletransfer.transfer.patch_matching import PatchBank

from .test_network_runner import CPU, FP32, make_picture, to_float

ARCHITECTURE = Architecture(
    (4, 6, 8, 6), (2, 1, 2, 1), key_widths=(0, 0, 12, 10), match_strengths=(0.0, 0.5, 1.0, 0.75)
)


@pytest.fixture(scope="module")
def network() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(ARCHITECTURE).eval().requires_grad_(False)


def stylize(
    runner: NetworkRunner, content: Tensor, style: Tensor, plan: StreamingPlan, match: float = 1.0
) -> Tensor:
    """Measure a style, stylize a content, and return the result [3, H, W], near 0..255."""
    levels, bank = runner.measure_with_patches(style, plan)
    fitted = runner.fit(content, [RegionStyle(TransferTarget(levels, "wct"), bank, [match] * 4)], plan)
    strips: list[Tensor] = []
    runner.apply(content, fitted, plan, lambda start, strip: strips.append(strip.clone()))
    return torch.cat(strips, 1)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (23, 2), (31, 40), (64, 57)])
def test_the_engine_matches_as_the_network_does(network: Autoencoder, size: tuple[int, int]) -> None:
    content, style = make_picture(*size), make_picture(40, 50, seed=1)
    features = network.encode(to_float(style))
    levels = measure_levels(features)
    banks = network.decoder.collect_patches(features, levels)
    expected = network.decode(network.encode(to_float(content)), levels, banks=banks)[0] * 255
    plain = network.decode(network.encode(to_float(content)), levels)[0] * 255
    found = stylize(NetworkRunner(network, FP32, CPU), content, style, StreamingPlan(16))
    # The runner keeps patches in half precision.
    assert (found - expected).abs().max() < 1
    if min(size) > 8:
        assert (plain - expected).abs().mean() > 1


@pytest.mark.parametrize("precision", list(PRECISIONS))
def test_the_result_does_not_depend_on_stores_and_strips(network: Autoencoder, precision: str) -> None:
    content, style = make_picture(77, 38), make_picture(40, 50, seed=1)
    runner = NetworkRunner(network, PRECISIONS[precision], CPU)
    costs = list_storage(ARCHITECTURE, runner.precision)
    expected = stylize(runner, content, style, StreamingPlan(128, costs[0].nodes))
    for cost in costs:
        for tile in (8, 16, 24, 64):
            found = stylize(runner, content, style, StreamingPlan(tile, cost.nodes))
            assert (found - expected).abs().max() < (0.1 if precision == "fp32" else 1), (cost, tile)


def test_without_strength_only_statistics_are_transferred(network: Autoencoder) -> None:
    content, style = make_picture(45, 38), make_picture(40, 50, seed=1)
    runner = NetworkRunner(network, FP32, CPU)
    plain = stylize(runner, content, style, StreamingPlan(64), match=0)
    faint = stylize(runner, content, style, StreamingPlan(64), match=1e-4)
    full = stylize(runner, content, style, StreamingPlan(64))
    assert (plain - faint).abs().max() < 1
    assert (plain - full).abs().mean() > 1


def test_a_blend_of_a_style_with_itself_is_that_style(network: Autoencoder) -> None:
    content, style = make_picture(45, 38), make_picture(40, 50, seed=1)
    runner, plan = NetworkRunner(network, FP32, CPU), StreamingPlan(64)
    levels, bank = runner.measure_with_patches(style, plan)
    assert bank is not None
    results: list[Tensor] = []
    for each in (bank, PatchBank.blend([bank, bank], [2, 1])):
        fitted = runner.fit(content, [RegionStyle(TransferTarget(levels, "wct"), each)], plan)
        runner.apply(content, fitted, plan, lambda start, strip: results.append(strip.clone()))
    assert torch.equal(*results)


def test_sampled_pieces_are_those_of_the_map() -> None:
    samples = make_picture(33, 50)
    source = PictureMap(samples, torch.float32, CPU)
    sampler = PatchSampler(source, 2, 10_000)
    run(source, 0, 7)
    pieces = sampler.result()
    rows, columns = spread_positions(17, 25, 10_000)
    assert (len(rows), len(columns)) == (17, 25)
    padded = samples.permute(1, 2, 0).float()
    for index in (0, 24, 100, len(pieces) - 1):
        y, x = 2 * int(rows[index // 25]), 2 * int(columns[index % 25])
        inner = padded[y : y + 2, x : x + 2]
        assert torch.equal(pieces[index][1:-1, 1:-1][: inner.shape[0], : inner.shape[1]], inner)


@pytest.mark.parametrize("size", [(64, 64), (1, 100_000), (100_000, 1), (3, 5), (1000, 20)])
def test_positions_are_few_and_inside(size: tuple[int, int]) -> None:
    rows, columns = spread_positions(*size, 2048)
    assert 1 <= len(rows) * len(columns) <= 2048
    assert len(rows) * len(columns) >= min(1000, size[0] * size[1])
    assert 0 <= rows.min() <= rows.max() < size[0]
    assert 0 <= columns.min() <= columns.max() < size[1]


def test_patches_of_invisible_parts_are_not_used() -> None:
    alpha = torch.zeros(1, 64, 64, dtype=torch.uint8)
    alpha[:, :, 40:] = 255
    visible = find_visible_positions(3, alpha)
    assert len(visible) == 8 * 3
    assert (visible % 8 >= 5).all()
    assert len(find_visible_positions(3, torch.zeros(1, 64, 64, dtype=torch.uint8))) == 64


def test_hidden_colors_of_a_style_change_nothing(network: Autoencoder) -> None:
    runner, plan = NetworkRunner(network, FP32, CPU), StreamingPlan(64)
    style = make_picture(64, 64, seed=1)
    alpha = torch.zeros(1, 64, 64, dtype=torch.uint8)
    alpha[:, :, :48] = 255
    _, bank = runner.measure_with_patches(style, plan, alpha=alpha)
    assert bank is not None
    assert {scale: len(each) for scale, each in bank.pieces.items()} == {1: 12 * 16, 2: 12 * 16, 3: 6 * 8}
