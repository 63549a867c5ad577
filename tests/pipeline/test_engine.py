"""The engine against the network as it was trained: any size, tile, plan and precision."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from styletransfer.linalg import NumericalError, compute_statistics
from styletransfer.model import Architecture, Autoencoder, measure_levels
from styletransfer.model.autoencoder import Pooling
from styletransfer.pipeline import streaming_layers
from styletransfer.pipeline.device import PRECISIONS
from styletransfer.pipeline.engine import Engine, FittedNetwork, Levels
from styletransfer.pipeline.feature_graph import OUTPUT, Kind, Node
from styletransfer.pipeline.memory_plan import StreamingPlan, list_storage
from styletransfer.pipeline.streaming import StatisticsAccumulator
from styletransfer.pipeline.streaming_layers import ConvolvedMap, ConvParameters, PictureMap
from styletransfer.transfer import TransferTarget, blend_statistics

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
    torch.manual_seed(0)
    slope = 0.1 if pooling == "average" else 0  # networks around VGG-19 have maxima and plain ReLUs
    shape = Architecture(WIDTHS, (2, 1, 2, 1), pooling, (1, 2, 1, 1), slope)
    network = Autoencoder(shape)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["average", "max"])
def network(request: pytest.FixtureRequest) -> Autoencoder:
    return build_network(request.param)


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Draw smooth samples [3, H, W], uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 4 + 2, width // 4 + 2, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0].clamp(0, 1)
    noise = 0.1 * torch.rand(3, height, width, generator=generator)
    return (smooth * 0.9 + noise).mul(255).round().to(torch.uint8)


def floats(samples: Tensor) -> Tensor:
    return samples[None].float() / 255


def run(
    engine: Engine, samples: Tensor, coloring: TransferTarget | Callable[[Levels], TransferTarget], plan: StreamingPlan
) -> Tensor:
    fit = engine.fit(samples, coloring, plan)
    strips: list[Tensor] = []
    engine.apply(samples, fit, plan, lambda start, strip: strips.append(strip.clone()))
    return torch.cat(strips, 1)  # [3, H, W], near 0..255


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (23, 2), (31, 40), (64, 57)])
@pytest.mark.parametrize("transform", ["wct", "adain", "monge"])
def test_engine_is_the_network(network: Autoencoder, size: tuple[int, int], transform: str) -> None:
    content, style = picture(*size), picture(40, 50, seed=1)
    levels = measure_levels(network.encode(floats(style)))
    expected = network.decode(network.encode(floats(content)), levels, transform)[0] * 255
    engine = Engine(network, FP32, CPU)
    for found, wanted in zip(engine.measure(style, StreamingPlan(16)), levels, strict=True):
        torch.testing.assert_close(found.mean, wanted.mean, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.covariance, wanted.covariance, atol=1e-5, rtol=1e-5)
    result = run(engine, content, TransferTarget(levels, transform), StreamingPlan(16, EVERYTHING))
    assert (result - expected).abs().max() < 0.2


@pytest.mark.parametrize("widths", [(4,), (4, 6)])
def test_engine_is_any_network(widths: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    shape = Architecture(widths, (1,) * len(widths))
    network = Autoencoder(shape).eval().requires_grad_(False)
    content, style = picture(21, 30), picture(24, 20, seed=1)
    levels = measure_levels(network.encode(floats(style)))
    expected = network.decode(network.encode(floats(content)), levels)[0] * 255
    engine = Engine(network, FP32, CPU)
    for way in list_storage(shape, FP32):
        found = run(engine, content, TransferTarget(levels, "wct"), StreamingPlan(16, way.nodes))
        assert (found - expected).abs().max() < 0.2


def every_plan() -> list[frozenset[Node]]:
    """List all ways to store what one scale can leave, the same at every scale; painted maps or not."""
    kinds: tuple[Kind, ...] = ("encoded", "pooled", "decoded", "merged")
    choices = [set(chosen) for count in range(5) for chosen in itertools.combinations(kinds, count)]
    plans = [{Node(kind, scale) for kind in chosen for scale in range(DEPTH + 1)} for chosen in choices]
    return [frozenset(plan | painted) for plan in plans for painted in (set[Node](), {OUTPUT})]


@pytest.mark.parametrize("precision", list(PRECISIONS))
def test_what_is_stored_changes_nothing(network: Autoencoder, precision: str) -> None:
    content, style = picture(45, 38), picture(40, 50, seed=1)
    engine = Engine(network, PRECISIONS[precision], CPU)
    levels = engine.measure(style, StreamingPlan(64))
    expected = run(engine, content, TransferTarget(levels, "wct"), StreamingPlan(64, EVERYTHING))
    for store in [
        *every_plan(),
        *(way.nodes for way in list_storage(network.architecture, engine.precision)),
    ]:
        found = run(engine, content, TransferTarget(levels, "wct"), StreamingPlan(16, store))
        assert (found - expected).abs().max() < 0.1, sorted(store)


def test_half_precision_moves_no_pixel_by_a_level(network: Autoencoder) -> None:
    content, style = picture(45, 38), picture(40, 50, seed=1)
    engine = Engine(network, FP32, CPU)
    targets = TransferTarget(engine.measure(style, StreamingPlan(64)), "wct")
    exact, halved = (run(engine, content, targets, StreamingPlan(16, EVERYTHING, way)) for way in (False, True))
    assert 0 < (halved - exact).abs().max() < 1


@pytest.mark.parametrize("store", [frozenset(), EVERYTHING])
def test_strips_are_no_taller_than_planned(
    network: Autoencoder, store: frozenset[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming_layers, "SMALL_INPUT", 0)
    content = picture(70, 20)
    engine = Engine(network, FP32, CPU)
    plan = StreamingPlan(16, store)
    fit = engine.fit(content, TransferTarget(engine.measure(content, plan), "wct"), plan)
    heights: list[int] = []
    engine.apply(content, fit, plan, lambda start, strip: heights.append(strip.shape[1]))
    assert heights == [16, 16, 16, 16, 6]


@pytest.mark.parametrize("alpha", [1.0, 0.4])
@pytest.mark.parametrize("style_seed", [1, 2])
@pytest.mark.parametrize("precision", list(PRECISIONS))
def test_tiles_change_nothing(network: Autoencoder, precision: str, style_seed: int, alpha: float) -> None:
    content, style = picture(301, 245), picture(70, 90, seed=style_seed)
    engine = Engine(network, PRECISIONS[precision], CPU)
    levels = engine.measure(style, StreamingPlan(1000))

    def blend(own: Levels) -> TransferTarget:
        return TransferTarget(blend_statistics([own, levels], [1 - alpha, alpha]), "wct")

    targets = TransferTarget(levels, "wct") if alpha == 1 else blend
    expected = run(engine, content, targets, StreamingPlan(1000, EVERYTHING))
    for tile in (64, 96, 128, 256, 511):
        found = run(engine, content, targets, StreamingPlan(tile, frozenset({Node("decoded", 0)})))
        assert (found - expected).abs().max() < 0.1, tile
        assert engine.measure(style, StreamingPlan(tile))[-1].covariance.allclose(levels[-1].covariance, rtol=1e-6)


def test_a_strip_reads_no_more_of_the_picture_than_it_sees(
    network: Autoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The halo that comes of asking is the receptive field that perturbing rows one by one finds."""
    monkeypatch.setattr(streaming_layers, "SMALL_INPUT", 0)
    content = picture(160, 9)
    engine = Engine(network, FP32, CPU)
    levels = engine.measure(picture(30, 30, seed=1), StreamingPlan(64))
    fit = engine.fit(content, TransferTarget(levels, "wct"), StreamingPlan(64))

    def first_rows(samples: Tensor) -> tuple[Tensor, int]:
        graph = engine._graph(samples, FittedNetwork(fit.kernels), StreamingPlan(64))
        rows = graph.find(OUTPUT).reader().read(0, 8).clone()
        return rows, graph.picture._done

    expected, read = first_rows(content)
    moved = []
    for row in range(read):
        changed = content.clone()
        changed[:, row] = 255 - changed[:, row]
        if not torch.equal(first_rows(changed)[0], expected):
            moved.append(row)
    assert read < 160
    assert max(moved) >= read - 2 ** (DEPTH + 1)  # up to the stride of the pooling nothing is read in vain
    beyond = content.clone()
    beyond[:, read:] = 0
    assert torch.equal(first_rows(beyond)[0], expected)


def test_every_row_is_converted_once_per_pass(network: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    produce = PictureMap.compute

    def record(self: PictureMap, start: int, stop: int, out: Tensor | None) -> Tensor:
        calls.append((start, stop))
        return produce(self, start, stop, out)

    monkeypatch.setattr(PictureMap, "produce", record)
    Engine(network, FP32, CPU).measure(picture(90, 20), StreamingPlan(8))
    assert sum(stop - start for start, stop in calls) == 90


@pytest.mark.parametrize("kind", [torch.uint16, torch.float32])
def test_samples_of_any_type_are_the_same_picture(network: Autoencoder, kind: torch.dtype) -> None:
    content = picture(20, 30)
    other = content.to(torch.int32).mul(257).to(kind) if kind == torch.uint16 else floats(content)[0]
    engine = Engine(network, FP32, CPU)
    one, two = (engine.measure(samples, StreamingPlan(64)) for samples in (content, other))
    torch.testing.assert_close(one[-1].covariance, two[-1].covariance, rtol=1e-4, atol=1e-6)


def test_statistics_of_strips_are_those_of_the_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(37, 50, 12, generator=generator) + 100  # a large common offset
    features[..., 3] = features[..., 2]  # of deficient rank
    exact = compute_statistics(features.view(-1, 12).T[None].double())
    samples = Strips(features)
    accumulator = StatisticsAccumulator(samples)
    samples.reader().read(0, 37)
    found = accumulator.result()
    torch.testing.assert_close(found.mean, exact.mean, rtol=1e-7, atol=0)
    scale = exact.covariance.diagonal(dim1=1, dim2=2).mean()
    assert (found.covariance - exact.covariance).abs().max() < 1e-6 * scale
    assert found.count == 37 * 50


class Strips(PictureMap):
    """A map of given features [H, W, C]."""

    def __init__(self, features: Tensor) -> None:
        super().__init__(features.permute(2, 0, 1), torch.float32, CPU)
        self.shape = self.shape._replace(channels=features.shape[2])

    def compute(self, start: int, stop: int, out: Tensor | None) -> Tensor:
        rows = self.samples.permute(1, 2, 0)[start:stop]
        return rows if out is None else out.copy_(rows)


def test_wrong_numbers_are_noticed(network: Autoencoder) -> None:
    broken = build_network()
    broken.encoder.scales[1][0].weight.data[0, 0, 0, 0] = torch.nan  # type: ignore[index]
    with pytest.raises(NumericalError, match="NaN"):
        Engine(broken, FP32, CPU).measure(picture(20, 20), StreamingPlan(64))


def test_a_folded_map_is_the_map_before_the_convolution() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, matrix, features = (
        torch.randn(*size, generator=generator, dtype=torch.float64)
        for size in ((5, 4, 3, 3), (4, 4), (1, 4, 6, 7))
    )
    bias, offset = torch.arange(5.0).double(), torch.arange(4.0).double()
    folded = fold_map(ConvParameters(weight, bias), matrix, offset)
    mapped = torch.einsum("dc,bchw->bdhw", matrix, features) + offset.view(4, 1, 1)
    pad = torch.nn.functional.pad
    expected, found = (
        torch.nn.functional.conv2d(pad(values, (1, 1, 1, 1), mode="replicate"), *kernel)
        for values, kernel in ((mapped, ConvParameters(weight, bias)), (features, folded))
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("width", "channels", "count"), [(8, 3, 4), (9, 3, 3), (10, 3, 2), (11, 3, 1), (8, 16, 1)]
)
def test_pixels_computed_together_are_those_computed_apart(
    monkeypatch: pytest.MonkeyPatch, width: int, channels: int, count: int
) -> None:
    monkeypatch.setattr(streaming_layers, "SIMD_WIDTH", 16)
    generator = torch.Generator().manual_seed(0)
    source = Strips(torch.rand(5, width, 6, generator=generator))
    weight, bias = (
        torch.randn(channels, 6, 3, 3, generator=generator),
        torch.rand(channels, generator=generator),
    )
    convolved = ConvolvedMap(source, ConvParameters(weight, bias), negative_slope=1)
    padded = torch.nn.functional.pad(source.samples[None], (1, 1, 1, 1), mode="replicate")
    expected = torch.nn.functional.conv2d(padded, weight, bias)[0].permute(1, 2, 0)
    assert convolved.together == count
    torch.testing.assert_close(convolved.reader().read(0, 5), expected)
