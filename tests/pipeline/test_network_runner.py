"""Test that the runner computes what the trained network computes, for any size, tile, plan and precision."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from weakref import ref

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from styletransfer.linalg import NumericalError, compute_statistics
from styletransfer.model import Architecture, Autoencoder, measure_levels
from styletransfer.model.autoencoder import Pooling
from styletransfer.pipeline import streaming_layers
from styletransfer.pipeline.device import PRECISIONS
from styletransfer.pipeline.feature_graph import OUTPUT, FittedNetwork, Kind, Node
from styletransfer.pipeline.memory_plan import StreamingPlan, list_storage
from styletransfer.pipeline.network_runner import NetworkRunner
from styletransfer.pipeline.output_image import measure_colors
from styletransfer.pipeline.regions import Levels, PixelWeights, RegionStyle
from styletransfer.pipeline.streamed_maps import FeatureMap, MapShape, Reader
from styletransfer.pipeline.streaming_layers import PictureMap
from styletransfer.transfer import TransferTarget, blend_statistics
from styletransfer.transfer.color_curves import blend_quantiles

CPU = torch.device("cpu")
FP32 = PRECISIONS["fp32"]
WIDTHS = 4, 6, 8, 6
DEPTH = 3
EVERYTHING = frozenset(
    {OUTPUT}
    | {Node("encoded", scale) for scale in range(DEPTH + 1)}
    | {Node("merged", scale) for scale in range(DEPTH)}
)


def build_network(pooling: Pooling = "average") -> Autoencoder:
    """Return a small network with random weights."""
    torch.manual_seed(0)
    slope = 0.1 if pooling == "average" else 0  # networks around VGG-19 pool maxima and have plain ReLUs
    network = Autoencoder(Architecture(WIDTHS, (2, 1, 2, 1), pooling, (1, 2, 1, 1), slope))
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["average", "max"])
def network(request: pytest.FixtureRequest) -> Autoencoder:
    return build_network(request.param)


def make_picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Return smooth samples with a little noise, [3, H, W], uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 4 + 2, width // 4 + 2, generator=generator)
    smooth = interpolate(coarse, (height, width), mode="bicubic")[0].clamp(0, 1)
    noise = 0.1 * torch.rand(3, height, width, generator=generator)
    return (smooth * 0.9 + noise).mul(255).round().to(torch.uint8)


def to_float(samples: Tensor) -> Tensor:
    """Convert samples [3, H, W], uint8, to a batch [1, 3, H, W] in 0..1."""
    return samples[None].float() / 255


def stylize(
    runner: NetworkRunner,
    samples: Tensor,
    target: TransferTarget | Callable[[Levels, Tensor | None], TransferTarget],
    plan: StreamingPlan,
) -> Tensor:
    """Fit and apply; return the result [3, H, W], near 0..255."""
    fitted = runner.fit(samples, [RegionStyle(target)], plan)
    strips: list[Tensor] = []
    runner.apply(samples, fitted, plan, lambda start, strip: strips.append(strip.clone()))
    return torch.cat(strips, 1)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (23, 2), (31, 40), (64, 57)])
@pytest.mark.parametrize("transform", ["wct", "adain", "monge"])
def test_the_engine_computes_what_the_network_computes(
    network: Autoencoder, size: tuple[int, int], transform: str
) -> None:
    content, style = make_picture(*size), make_picture(40, 50, seed=1)
    levels = measure_levels(network.encode(to_float(style)))
    expected = network.decode(network.encode(to_float(content)), levels, transform)[0] * 255
    runner = NetworkRunner(network, FP32, CPU)
    for found, wanted in zip(runner.measure(style, StreamingPlan(16)), levels, strict=True):
        torch.testing.assert_close(found.mean, wanted.mean, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.covariance, wanted.covariance, atol=1e-5, rtol=1e-5)
    result = stylize(runner, content, TransferTarget(levels, transform), StreamingPlan(16, EVERYTHING))
    assert (result - expected).abs().max() < 0.2


@pytest.mark.parametrize("widths", [(4,), (4, 6)])
def test_the_engine_runs_networks_of_any_depth(widths: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    architecture = Architecture(widths, (1,) * len(widths))
    network = Autoencoder(architecture).eval().requires_grad_(False)
    content, style = make_picture(21, 30), make_picture(24, 20, seed=1)
    levels = measure_levels(network.encode(to_float(style)))
    expected = network.decode(network.encode(to_float(content)), levels)[0] * 255
    runner = NetworkRunner(network, FP32, CPU)
    for cost in list_storage(architecture, FP32):
        found = stylize(runner, content, TransferTarget(levels, "wct"), StreamingPlan(16, cost.nodes))
        assert (found - expected).abs().max() < 0.2


@pytest.mark.parametrize("size", [(20, 31), (33, 77), (150, 231)])
@pytest.mark.parametrize("widths", [(4, 6, 8), (16, 8, 5)])
def test_a_content_of_one_color_becomes_a_picture_of_one_color(
    widths: tuple[int, ...], size: tuple[int, int]
) -> None:
    # Some processors convolve the last columns in another order, so that features differ by rounding.
    torch.manual_seed(0)
    network = Autoencoder(Architecture(widths, (1, 1, 1))).eval().requires_grad_(False)
    runner, plan = NetworkRunner(network, FP32, CPU), StreamingPlan(64)
    content = torch.full((3, *size), 77, dtype=torch.uint8)
    result = stylize(runner, content, TransferTarget(runner.measure(make_picture(40, 50), plan), "wct"), plan)
    assert result.flatten(1).std(1).max() < 0.02


def list_uniform_stores() -> list[frozenset[Node]]:
    """List all ways to store the same kinds of maps at every scale, each with and without the output."""
    kinds: tuple[Kind, ...] = ("encoded", "pooled", "decoded", "merged")
    choices = [set(chosen) for count in range(5) for chosen in itertools.combinations(kinds, count)]
    stores = [{Node(kind, scale) for kind in chosen for scale in range(DEPTH + 1)} for chosen in choices]
    return [frozenset(store | output) for store in stores for output in (set[Node](), {OUTPUT})]


@pytest.mark.parametrize("precision", list(PRECISIONS))
def test_the_result_does_not_depend_on_what_is_stored(network: Autoencoder, precision: str) -> None:
    content, style = make_picture(45, 38), make_picture(40, 50, seed=1)
    runner = NetworkRunner(network, PRECISIONS[precision], CPU)
    target = TransferTarget(runner.measure(style, StreamingPlan(64)), "wct")
    expected = stylize(runner, content, target, StreamingPlan(64, EVERYTHING))
    planned = [cost.nodes for cost in list_storage(network.architecture, runner.precision)]
    for store in [*list_uniform_stores(), *planned]:
        found = stylize(runner, content, target, StreamingPlan(16, store))
        assert (found - expected).abs().max() < 0.1, sorted(store)


def test_half_precision_changes_pixels_by_less_than_one_level_of_255(network: Autoencoder) -> None:
    content, style = make_picture(45, 38), make_picture(40, 50, seed=1)
    runner = NetworkRunner(network, FP32, CPU)
    target = TransferTarget(runner.measure(style, StreamingPlan(64)), "wct")
    full, half = (
        stylize(runner, content, target, StreamingPlan(16, EVERYTHING, half)) for half in (False, True)
    )
    assert 0 < (half - full).abs().max() < 1


@pytest.mark.parametrize("store", [frozenset(), EVERYTHING])
def test_strips_have_the_planned_height(
    network: Autoencoder, store: frozenset[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming_layers, "SMALL_INPUT", 0)
    content = make_picture(70, 20)
    runner = NetworkRunner(network, FP32, CPU)
    plan = StreamingPlan(16, store)
    fitted = runner.fit(content, [RegionStyle(TransferTarget(runner.measure(content, plan), "wct"))], plan)
    heights: list[int] = []
    runner.apply(content, fitted, plan, lambda start, strip: heights.append(strip.shape[1]))
    assert heights == [16, 16, 16, 16, 6]


@pytest.mark.parametrize("alpha", [1.0, 0.4])
@pytest.mark.parametrize("style_seed", [1, 2])
@pytest.mark.parametrize("precision", list(PRECISIONS))
def test_the_result_does_not_depend_on_the_tile(
    network: Autoencoder, precision: str, style_seed: int, alpha: float
) -> None:
    content, style = make_picture(301, 245), make_picture(70, 90, seed=style_seed)
    runner = NetworkRunner(network, PRECISIONS[precision], CPU)
    levels, colors = runner.measure(style, StreamingPlan(1000)), measure_colors(style, None)

    def blend(own: Levels, quantiles: Tensor | None) -> TransferTarget:
        blended = blend_quantiles([quantiles, colors], [1 - alpha, alpha])
        return TransferTarget(blend_statistics([own, levels], [1 - alpha, alpha]), "wct", blended)

    target = TransferTarget(levels, "wct", colors) if alpha == 1 else blend
    expected = stylize(runner, content, target, StreamingPlan(1000, EVERYTHING))
    for tile in (64, 96, 128, 256, 511):
        found = stylize(runner, content, target, StreamingPlan(tile, frozenset({Node("decoded", 0)})))
        assert (found - expected).abs().max() < 0.1, tile
        covariance = runner.measure(style, StreamingPlan(tile))[-1].covariance
        assert covariance.allclose(levels[-1].covariance, rtol=1e-6)


def make_alpha(height: int, width: int) -> Tensor:
    """Return an alpha channel [1, H, W] with hidden, faint and opaque parts."""
    return (
        (make_picture(height // 12 + 1, width // 12 + 1, seed=3)[:1].repeat_interleave(12, 1))
        .repeat_interleave(12, 2)[:, :height, :width]
        .int()
        .sub(100)
        .mul(4)
        .clamp(0, 255)
        .to(torch.uint8)
    )


def test_statistics_are_weighted_by_alpha(network: Autoencoder) -> None:
    samples, alpha = make_picture(45, 38), make_alpha(45, 38)
    runner = NetworkRunner(network, FP32, CPU)
    found = runner.measure(samples, StreamingPlan(16), alpha=alpha)
    features = network.encoder(to_float(samples))
    weights = alpha[None].double() / 255
    for level, (statistics, each) in enumerate(zip(found, features, strict=True)):
        if level > 1:
            weights = avg_pool2d(weights, 2, ceil_mode=True, count_include_pad=False)
        expected = compute_statistics(each.flatten(2).double(), weights.flatten(1))
        torch.testing.assert_close(statistics.mean, expected.mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(statistics.covariance, expected.covariance, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(statistics.count, expected.count)


def test_opaque_alpha_changes_nothing_but_rounding(network: Autoencoder) -> None:
    samples, runner = make_picture(45, 38), NetworkRunner(network, FP32, CPU)
    plain = runner.measure(samples, StreamingPlan(16))
    opaque = runner.measure(samples, StreamingPlan(16), alpha=torch.full((1, 45, 38), 255, dtype=torch.uint8))
    for first, second in zip(plain, opaque, strict=True):
        torch.testing.assert_close(first.covariance, second.covariance, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("precision", list(PRECISIONS))
def test_weighted_results_do_not_depend_on_the_tile(network: Autoencoder, precision: str) -> None:
    content, alpha = make_picture(301, 245), make_alpha(301, 245)
    runner = NetworkRunner(network, PRECISIONS[precision], CPU)
    levels = runner.measure(make_picture(70, 90, seed=1), StreamingPlan(1000), alpha=make_alpha(70, 90))
    target = TransferTarget(levels, "wct")

    def compute(plan: StreamingPlan) -> Tensor:
        strips: list[Tensor] = []
        fitted = runner.fit(content, [RegionStyle(target)], plan, weights=PixelWeights.of(None, alpha, CPU))
        runner.apply(content, fitted, plan, lambda _, strip: strips.append(strip.clone()))
        return torch.cat(strips, 1)

    expected = compute(StreamingPlan(1000, EVERYTHING))
    for tile in (64, 128, 511):
        found = compute(StreamingPlan(tile, frozenset({Node("decoded", 0)})))
        assert (found - expected).abs().max() < 0.1, tile


def test_a_strip_reads_only_the_rows_in_its_receptive_field(
    network: Autoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare the halo that follows from requests with the one that changing single rows shows."""
    monkeypatch.setattr(streaming_layers, "SMALL_INPUT", 0)
    content = make_picture(160, 9)
    runner = NetworkRunner(network, FP32, CPU)
    levels = runner.measure(make_picture(30, 30, seed=1), StreamingPlan(64))
    fitted = runner.fit(content, [RegionStyle(TransferTarget(levels, "wct"))], StreamingPlan(64))

    def compute_first_rows(samples: Tensor) -> tuple[Tensor, int]:
        graph = runner._graph(
            samples, FittedNetwork(fitted.parameters, fitted.architecture), StreamingPlan(64)
        )
        rows = graph.find(OUTPUT).reader().read(0, 8).clone()
        return rows, graph.picture._done

    expected, read = compute_first_rows(content)
    effective = []
    for row in range(read):
        changed = content.clone()
        changed[:, row] = 255 - changed[:, row]
        if not torch.equal(compute_first_rows(changed)[0], expected):
            effective.append(row)
    assert read < 160
    assert max(effective) >= read - 2 ** (DEPTH + 1)  # rows are read in multiples of the stride
    blackened = content.clone()
    blackened[:, read:] = 0
    assert torch.equal(compute_first_rows(blackened)[0], expected)


def test_every_row_of_the_picture_is_converted_once_per_pass(
    network: Autoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []
    compute = PictureMap.compute

    def record(self: PictureMap, start: int, stop: int, out: Tensor | None) -> Tensor:
        calls.append((start, stop))
        return compute(self, start, stop, out)

    monkeypatch.setattr(PictureMap, "compute", record)
    NetworkRunner(network, FP32, CPU).measure(make_picture(90, 20), StreamingPlan(8))
    assert sum(stop - start for start, stop in calls) == 90


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collection")
def test_the_maps_of_a_pass_are_freed_without_garbage_collection(
    network: Autoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps: list[ref[FeatureMap]] = []
    initialize = FeatureMap.__init__

    def record(self: FeatureMap, shape: MapShape, sources: Sequence[Reader] = ()) -> None:
        initialize(self, shape, sources)
        maps.append(ref(self))

    monkeypatch.setattr(FeatureMap, "__init__", record)
    runner = NetworkRunner(network, FP32, CPU)
    content = make_picture(40, 30)
    target = TransferTarget(runner.measure(content, StreamingPlan(16)), "wct")
    stylize(runner, content, target, StreamingPlan(16, EVERYTHING))
    assert maps
    assert not [each for each in maps if each() is not None]


@pytest.mark.parametrize("dtype", [torch.uint16, torch.float32])
def test_samples_of_all_types_give_the_same_statistics(network: Autoencoder, dtype: torch.dtype) -> None:
    content = make_picture(20, 30)
    wide = content.to(torch.int32).mul(257).to(torch.uint16)
    converted = wide if dtype == torch.uint16 else to_float(content)[0]
    runner = NetworkRunner(network, FP32, CPU)
    expected, found = (runner.measure(samples, StreamingPlan(64)) for samples in (content, converted))
    torch.testing.assert_close(found[-1].covariance, expected[-1].covariance, rtol=1e-4, atol=1e-6)


def test_nan_in_the_features_raises_an_error() -> None:
    broken = build_network()
    broken.encoder.scales[1][0].weight.data[0, 0, 0, 0] = torch.nan  # type: ignore[index]
    with pytest.raises(NumericalError, match="NaN"):
        NetworkRunner(broken, FP32, CPU).measure(make_picture(20, 20), StreamingPlan(64))
