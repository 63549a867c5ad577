"""Test regions: against a plain implementation, under all tiles and stores, with masks of any kind."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from styletransfer.linalg import Statistics, compute_statistics
from styletransfer.model import Architecture, Autoencoder, LoadedModel, StyleStatistics
from styletransfer.options import RuntimeOptions, StylizeOptions
from styletransfer.pipeline import StylizationPipeline
from styletransfer.pipeline.device import PRECISIONS
from styletransfer.pipeline.memory_plan import StreamingPlan, list_storage
from styletransfer.pipeline.network_runner import NetworkRunner
from styletransfer.pipeline.output_image import measure_colors
from styletransfer.pipeline.regions import (
    PixelWeights,
    RegionStyle,
    borrow_statistics,
    build_shares,
    complete_statistics,
)
from styletransfer.transfer import TransferTarget, transfer_features
from styletransfer.transfer.color_curves import measure_quantiles

from .test_matching_layers import ARCHITECTURE
from .test_network_runner import CPU, FP32, make_picture, to_float

PLAIN = Architecture((4, 6, 8), (1, 1, 1))


@pytest.fixture(scope="module")
def network() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(ARCHITECTURE).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def pipeline(network: Autoencoder) -> StylizationPipeline:
    return build_pipeline(network)


def build_pipeline(network: Autoencoder, **runtime: object) -> StylizationPipeline:
    options = RuntimeOptions(**{"device": "cpu", "precision": "fp32", **runtime})  # type: ignore[arg-type]
    return StylizationPipeline(LoadedModel(network, "fingerprint", {}), options)


def halves(height: int, width: int) -> Tensor:
    masks = torch.zeros(2, height, width, dtype=torch.uint8)
    masks[0, :, : width // 2], masks[1, :, width // 2 :] = 255, 255
    return masks


def blobs(count: int, height: int, width: int) -> Tensor:
    """Return soft masks [count, H, W]."""
    noise = torch.rand(
        1, count, height // 12 + 2, width // 12 + 2, generator=torch.Generator().manual_seed(5)
    )
    smooth = F.interpolate(noise, (height, width), mode="bicubic", align_corners=True)[0]
    return (255 * torch.softmax(12 * smooth, 0)).to(torch.uint8)


def stylize_plainly(
    network: Autoencoder, content: Tensor, targets: list[tuple[Statistics, ...]], shares: Tensor
) -> Tensor:
    """Transfer statistics by regions with whole maps, as the definition says.

    Args:
        network: A network without matching.
        content: [1, 3, H, W].
        targets: Statistics of every level, per region.
        shares: [R, H, W] in 0..1.
    """
    pyramid = [shares[None]]
    for _ in network.architecture.widths[1:]:
        pyramid.append(F.avg_pool2d(pyramid[-1], 2, ceil_mode=True, count_include_pad=False))

    def transfer(maps: Tensor, level: int) -> Tensor:
        scale = max(0, level - 1)
        weights = pyramid[scale][0]
        found = [compute_statistics(maps.flatten(2), each.flatten()[None]) for each in weights]
        parts = []
        for region, target in zip(borrow_statistics(found), targets, strict=True):
            matrix, offset = TransferTarget(target, "wct").find_map(region, level)
            mapped = torch.einsum("dc,bchw->bdhw", matrix.float(), maps) + offset.float().view(1, -1, 1, 1)
            parts.append(mapped)
        return sum((part * share for part, share in zip(parts, weights, strict=True)), torch.zeros_like(maps))

    features = network.encode(content)
    decoder, maps = network.decoder, features[-1]
    for level in range(len(decoder.scales), 0, -1):
        maps = decoder._merge(maps, features, level)
        maps = decoder.scales[level - 1](transfer(maps, level))
    return transfer(maps, 0)


@pytest.mark.parametrize("size", [(40, 52), (33, 17), (5, 70)])
def test_regions_are_what_the_definition_says(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = Autoencoder(PLAIN).eval().requires_grad_(False)
    runner, plan = NetworkRunner(network, FP32, CPU), StreamingPlan(1000)
    content, shares = make_picture(*size), build_shares(blobs(2, *size), outside=True)
    levels = [runner.measure(make_picture(40, 50, seed=seed), plan) for seed in (1, 2, 3)]
    expected = stylize_plainly(network, to_float(content), levels, shares / 255)[0] * 255
    styles = [RegionStyle(TransferTarget(each, "wct")) for each in levels]
    found = run_engine(runner, content, styles, shares, plan)
    assert (found - expected).abs().max() < 0.5


def run_engine(
    runner: NetworkRunner, content: Tensor, styles: list[RegionStyle], shares: Tensor, plan: StreamingPlan
) -> Tensor:
    fitted = runner.fit(content, styles, plan, weights=PixelWeights.of(shares, None, CPU))
    strips: list[Tensor] = []
    runner.apply(content, fitted, plan, lambda start, strip: strips.append(strip.clone()))
    return torch.cat(strips, 1)


@pytest.mark.parametrize("precision", list(PRECISIONS))
def test_regions_do_not_depend_on_stores_and_strips(network: Autoencoder, precision: str) -> None:
    runner = NetworkRunner(network, PRECISIONS[precision], CPU)
    content, shares = make_picture(77, 38), build_shares(blobs(2, 77, 38), outside=True)
    styles = []
    for seed in (1, 2):
        style = make_picture(40, 50, seed=seed)
        levels, bank = runner.measure_with_patches(style, StreamingPlan(64))
        styles.append(RegionStyle(TransferTarget(levels, "wct", measure_colors(style, None)), bank))
    styles.append(RegionStyle(lambda own, _: TransferTarget(own, "wct"), keeps_pixels=True))
    costs = list_storage(ARCHITECTURE, runner.precision)
    expected = run_engine(runner, content, styles, shares, StreamingPlan(128, costs[0].nodes))
    for cost in costs[::3]:
        for tile in (8, 24, 64):
            found = run_engine(runner, content, styles, shares, StreamingPlan(tile, cost.nodes))
            assert (found - expected).abs().max() < (0.1 if precision == "fp32" else 1), (cost, tile)


def test_every_region_has_color_curves_of_its_own(network: Autoencoder) -> None:
    runner, plan = NetworkRunner(network, PRECISIONS["fp32"], CPU), StreamingPlan(64)
    content, shares = make_picture(64, 48), torch.zeros(2, 64, 48, dtype=torch.uint8)
    shares[0, :32], shares[1, 32:] = 255, 255
    levels = [runner.measure(make_picture(40, 50, seed=seed), plan) for seed in (1, 2)]
    skewed = measure_quantiles(torch.rand(3, 500, generator=torch.Generator().manual_seed(0)) ** 8)

    def run(*colors: Tensor | None) -> Tensor:
        targets = [TransferTarget(*each) for each in zip(levels, ("wct", "wct"), colors, strict=True)]
        styles = [RegionStyle(target) for target in targets]
        return run_engine(runner, content, styles, shares, plan)

    plain, upper, both = run(None, None), run(skewed, None), run(skewed, skewed)
    assert (upper[:, :32] - plain[:, :32]).abs().mean() > 1
    assert torch.equal(upper[:, 32:], plain[:, 32:])
    assert (both[:, 32:] - plain[:, 32:]).abs().mean() > 1
    assert torch.equal(both[:, :32], upper[:, :32])


@pytest.mark.parametrize("runtime", [{"tile": 16}, {"tile": 48}, {"max_memory": "30M"}])
@pytest.mark.parametrize("stroke_scale", [1, 2])
def test_masks_give_the_same_under_tiles_and_limits(
    network: Autoencoder, pipeline: StylizationPipeline, runtime: dict[str, object], stroke_scale: int
) -> None:
    content, masks = make_picture(130, 97), blobs(2, 130, 97) // 2  # a part is outside of both
    styles = [measure(pipeline, seed, stroke_scale) for seed in (1, 2)]
    expected = pipeline.stylize(content, styles, StylizeOptions(), masks=masks)
    found = build_pipeline(network, **runtime).stylize(content, styles, StylizeOptions(), masks=masks)
    assert (found.int() - expected.int()).abs().max() <= 1


def measure(pipeline: StylizationPipeline, seed: int, stroke_scale: int = 1) -> StyleStatistics:
    picture = make_picture(48, 60, seed=seed)
    style = pipeline.measure(picture)
    if stroke_scale == 1:
        return style
    large = F.interpolate(picture[None].float(), scale_factor=stroke_scale)[0].to(torch.uint8)
    enlarged = pipeline.measure(large, patches=False)
    return style.enlarge(stroke_scale, enlarged, enlarged)


def test_a_mask_of_ones_is_no_mask(pipeline: StylizationPipeline) -> None:
    content, style = make_picture(50, 61), measure(pipeline, 1)
    expected = pipeline.stylize(content, style, StylizeOptions())
    ones = torch.full((1, 50, 61), 255, dtype=torch.uint8)
    assert torch.equal(pipeline.stylize(content, [style], StylizeOptions(), masks=ones), expected)
    both = torch.cat([ones, torch.zeros_like(ones)])
    styles = [style, measure(pipeline, 2)]
    assert torch.equal(pipeline.stylize(content, styles, StylizeOptions(), masks=both), expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_the_content_stays_where_a_mask_is_black(pipeline: StylizationPipeline, dtype: torch.dtype) -> None:
    content, style = make_picture(50, 61), measure(pipeline, 1)
    samples = content if dtype == torch.uint8 else (content.float() / 255)
    samples = (samples * 65535).round().to(dtype) if dtype == torch.uint16 else samples.to(dtype)
    zeros = torch.zeros(1, 50, 61, dtype=torch.uint8)
    assert torch.equal(pipeline.stylize(samples, [style], StylizeOptions(), masks=zeros), samples)
    zeros[:, 10:30, 20:50] = 255
    found = pipeline.stylize(samples, [style], StylizeOptions(), masks=zeros).float()
    outside = zeros.expand(3, -1, -1) == 0
    torch.testing.assert_close(found[outside], samples.float()[outside], rtol=1e-6, atol=1e-6)
    assert (found - samples.float())[~outside].abs().mean() > 0.02 * samples.float().max()


def test_each_half_gets_the_statistics_of_its_own_half(pipeline: StylizationPipeline) -> None:
    # Far from the border, two halves are what the content is with only that half counted.
    content, masks = make_picture(64, 640), halves(64, 640)
    styles = [measure(pipeline, 1), measure(pipeline, 2)]
    found = pipeline.stylize(content, styles, StylizeOptions(match=0), masks=masks).int()
    for index, far in ((0, slice(0, 160)), (1, slice(480, 640))):
        alone = pipeline.stylize(
            content, styles[index], StylizeOptions(match=0), alpha=masks[index : index + 1]
        ).int()
        assert (found - alone)[..., far].abs().float().mean() < 1.5
        other = pipeline.stylize(
            content, styles[1 - index], StylizeOptions(match=0), alpha=masks[index : index + 1]
        ).int()
        assert (found - other)[..., far].abs().float().mean() > 5


@pytest.mark.parametrize("alpha_scales", [None, (0, 0, 0, 0)])
def test_strengths_of_scales(pipeline: StylizationPipeline, alpha_scales: tuple[float, ...] | None) -> None:
    content, style = make_picture(50, 61), measure(pipeline, 1)
    full = pipeline.stylize(content, style, StylizeOptions()).float()
    partial = pipeline.stylize(content, style, StylizeOptions(alpha_scales=alpha_scales)).float()
    assert torch.equal(full, partial) == (alpha_scales is None)


@pytest.mark.parametrize("scale", range(4))
def test_the_strength_of_every_scale_is_monotone(pipeline: StylizationPipeline, scale: int) -> None:
    content, style = make_picture(50, 61), measure(pipeline, 1)
    results = []
    for strength in (0, 0.3, 0.6, 1):
        factors = [0.0] * 4
        factors[scale] = strength
        options = StylizeOptions(alpha_scales=tuple(factors))
        results.append(pipeline.stylize(content, style, options).float())
    distances = [float((result - results[0]).square().mean()) for result in results]
    assert all(before < after for before, after in pairwise(distances)), distances


def test_small_regions_borrow_from_the_whole() -> None:
    features = torch.randn(1, 6, 400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = compute_statistics(features)
    large = compute_statistics(features[..., :200])
    assert complete_statistics(large, whole) is large
    single = complete_statistics(compute_statistics(features[..., :1]), whole)
    assert (
        torch.linalg.eigvalsh(single.covariance).min() > 0.5 * torch.linalg.eigvalsh(whole.covariance).min()
    )
    nothing = Statistics(*(torch.zeros_like(each) for each in whole))
    torch.testing.assert_close(borrow_statistics([whole, nothing])[1].covariance, whole.covariance)
    transfer_features(features.view(1, 6, 20, 20), single)


@given(st.integers(1, 4), st.integers(1, 30), st.integers(1, 30), st.booleans(), st.integers(0, 99))
@settings(deadline=None, max_examples=50)
def test_shares_add_up_to_white(count: int, height: int, width: int, outside: bool, seed: int) -> None:
    masks = torch.randint(0, 256, (count, height, width), generator=torch.Generator().manual_seed(seed))
    shares = build_shares(masks.to(torch.uint8), outside=outside)
    assert len(shares) == count + outside
    assert (shares.sum(0, dtype=torch.int32) == 255).all()
    fits = masks.sum(0) <= 255
    assert torch.equal(shares[:count][1:].int()[:, fits], masks[1:].int()[:, fits])


def draw_mask(kind: str, height: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(height, width, dtype=torch.uint8)
    if kind == "pixel":
        mask[seed % height, seed % width] = 255
    elif kind == "stripes":
        mask[:: 1 + seed % 3] = 255
    elif kind == "noise":
        mask = torch.randint(0, 256, (height, width), generator=generator).to(torch.uint8)
    elif kind == "faint":
        mask[:] = 1
    elif kind == "full":
        mask[:] = 255
    return mask


@given(
    st.lists(
        st.sampled_from(["empty", "pixel", "stripes", "noise", "faint", "full"]), min_size=1, max_size=3
    ),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 999),
    st.sampled_from(["content", "first"]),
)
@settings(deadline=None, max_examples=200)
def test_any_mask_gives_a_picture(
    pipeline: StylizationPipeline, kinds: list[str], height: int, width: int, seed: int, outside: str
) -> None:
    content = make_picture(height, width, seed=seed)
    masks = torch.stack([draw_mask(kind, height, width, seed + index) for index, kind in enumerate(kinds)])
    styles = [measure_once(pipeline, index) for index in range(len(kinds))]
    options = StylizeOptions(outside=outside)  # type: ignore[arg-type]
    found = pipeline.stylize(content, styles, options, torch.float32, masks=masks)
    assert found.shape == content.shape
    assert torch.isfinite(found).all()
    assert 0 <= found.min() <= found.max() <= 1


STYLES: dict[int, StyleStatistics] = {}


def measure_once(pipeline: StylizationPipeline, seed: int) -> StyleStatistics:
    if seed not in STYLES:
        STYLES[seed] = measure(pipeline, seed)
    return STYLES[seed]
