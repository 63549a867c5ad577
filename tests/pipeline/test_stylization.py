"""Test the pipeline: strength, colors, types, precisions, devices, progress, a stop and several threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Barrier, Event
from typing import Any
from weakref import WeakKeyDictionary

import pytest
import torch
from torch import Tensor

from styletransfer.errors import CancelledError, OptionError
from styletransfer.media import read_picture, resize_picture
from styletransfer.model import Architecture, Autoencoder, LoadedModel, StyleStatistics, load_model
from styletransfer.options import (
    ContentStatistics,
    Precision,
    PreserveColor,
    RuntimeOptions,
    StylizeOptions,
    Transform,
)
from styletransfer.pipeline import StylizationPipeline, resampling, streaming_layers
from styletransfer.pipeline.device import resolve_device, resolve_precision
from styletransfer.pipeline.output_image import compute_luma, keep_chroma
from styletransfer.pipeline.streaming_layers import PictureMap

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    torch.manual_seed(0)
    network = Autoencoder(Architecture((4, 6, 8), (1, 1, 1))).eval().requires_grad_(False)
    return LoadedModel(network, "fingerprint", {})


@pytest.fixture(scope="module")
def pipeline(model: LoadedModel) -> StylizationPipeline:
    return build_pipeline(model, "fp32")


def build_pipeline(model: LoadedModel, precision: Precision) -> StylizationPipeline:
    return StylizationPipeline(model, RuntimeOptions(device="cpu", precision=precision))


def random_picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Return random pixels [1, 3, H, W] in 0..1."""
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_the_result_is_a_picture_of_the_content_s_size(pipeline: StylizationPipeline) -> None:
    style = pipeline.measure(random_picture(16, 16, 1))
    stylized = pipeline.stylize(random_picture(21, 34), style, StylizeOptions())
    assert stylized.shape == (1, 3, 21, 34)
    assert stylized.dtype == torch.float32
    assert 0 <= stylized.min() <= stylized.max() <= 1


def test_the_same_input_gives_the_same_pixels(pipeline: StylizationPipeline) -> None:
    style = pipeline.measure(random_picture(16, 16, 1))
    first, second = (pipeline.stylize(random_picture(21, 34), style, StylizeOptions()) for _ in range(2))
    assert torch.equal(first, second)


def test_alpha_zero_reconstructs_the_content_whatever_the_style(pipeline: StylizationPipeline) -> None:
    options = StylizeOptions(alpha=0)
    content = random_picture(24, 24)
    styles = [pipeline.measure(random_picture(16, 16, seed)) for seed in (1, 2)]
    first, second = (pipeline.stylize(content, style, options) for style in styles)
    assert torch.equal(first, second)
    in_own_style = pipeline.stylize(content, pipeline.measure(content), StylizeOptions())
    torch.testing.assert_close(first, in_own_style, atol=1e-4, rtol=0)


def test_the_change_grows_with_alpha(pipeline: StylizationPipeline) -> None:
    content, style = random_picture(24, 24), pipeline.measure(random_picture(16, 16, 1) ** 3)
    results = [pipeline.stylize(content, style, StylizeOptions(alpha=alpha)) for alpha in (0, 0.3, 0.6, 1)]
    changes = [(result - results[0]).norm().item() for result in results]
    assert changes == sorted(changes)


def test_statistics_of_another_model_raise_an_error(
    model: LoadedModel, pipeline: StylizationPipeline
) -> None:
    other = build_pipeline(model._replace(fingerprint="another"), "fp32")
    with pytest.raises(OptionError, match="another model"):
        pipeline.stylize(random_picture(8, 8), other.measure(random_picture(8, 8)), StylizeOptions())


def test_preserve_color_takes_luma_from_the_style_and_chroma_from_the_content(
    pipeline: StylizationPipeline,
) -> None:
    content, stylized = random_picture(9, 9), random_picture(9, 9, 1)
    kept = keep_chroma(stylized, content)
    torch.testing.assert_close(compute_luma(kept), compute_luma(stylized), atol=1e-5, rtol=0)
    gray = torch.full((1, 3, 4, 4), 0.5)
    assert torch.equal(keep_chroma(gray, gray), gray)
    chroma = content - compute_luma(content)
    reduced = kept - compute_luma(kept)
    share = (reduced * chroma).sum(1) / chroma.square().sum(1)
    torch.testing.assert_close(reduced, share.unsqueeze(1) * chroma, atol=1e-5, rtol=0)  # the hue stays
    options = StylizeOptions(preserve_color="luma")
    result = pipeline.stylize(gray, pipeline.measure(random_picture(16, 16, 1)), options)
    torch.testing.assert_close(result.amax(1), result.amin(1))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("color", ["none", "luma"])
def test_integer_results_are_rounded_float_results(
    pipeline: StylizationPipeline, dtype: torch.dtype, color: PreserveColor
) -> None:
    white = 255 if dtype == torch.uint8 else 65535
    samples = (random_picture(37, 30) * white).round().to(dtype)
    style = pipeline.measure(random_picture(16, 16, 1))
    options = StylizeOptions(preserve_color=color)
    integers = pipeline.stylize(samples, style, options)
    floats = pipeline.stylize(samples.float() / white, style, options)
    assert integers.dtype == dtype
    assert floats.dtype == torch.float32
    assert (integers.float() - floats * white).abs().max() < 0.5 + white / 5e4
    assert pipeline.stylize(samples, style, options, torch.uint8).dtype == torch.uint8


def test_bfloat16_changes_the_result_a_little(model: LoadedModel, pipeline: StylizationPipeline) -> None:
    low = build_pipeline(model, "bf16")
    style = pipeline.measure(random_picture(16, 16, 1))
    exact, rounded = (
        each.stylize(random_picture(24, 24), style, StylizeOptions()) for each in (pipeline, low)
    )
    assert 0 < (exact - rounded).abs().mean() < 0.05


def read_examples() -> tuple[Tensor, Tensor]:
    """Return a content and a style of 320 pixels along the long edge, uint8."""
    photo, artwork = (
        resize_picture(read_picture(EXAMPLES / name), 320).pixels
        for name in ("content/chelsea.jpg", "style/watercolor.jpg")
    )
    return photo, artwork


@pytest.mark.parametrize("precision", ["fp32", "mixed"])
def test_tiles_and_memory_limits_change_no_value_by_more_than_one(precision: Precision) -> None:
    photo, artwork = read_examples()
    results = []
    for runtime in (
        RuntimeOptions(device="cpu", precision=precision),
        RuntimeOptions(device="cpu", precision=precision, tile=64),
        RuntimeOptions(device="cpu", precision=precision, tile=511),
        RuntimeOptions(device="cpu", precision=precision, max_memory="32M"),
        RuntimeOptions(device="cpu", precision=precision, max_memory="32M"),
    ):
        pipeline = StylizationPipeline(load_model(), runtime)
        results.append(pipeline.stylize(photo, pipeline.measure(artwork), StylizeOptions(alpha=0.9)).int())
    assert all((result - results[0]).abs().max() <= 1 for result in results[1:])


def test_mixed_precision_changes_few_values_by_more_than_two() -> None:
    photo, artwork = read_examples()
    pipelines = [build_pipeline(load_model(), "fp32"), build_pipeline(load_model(), "mixed")]
    exact, mixed = (each.stylize(photo, each.measure(artwork), StylizeOptions()).int() for each in pipelines)
    differences = (mixed - exact).abs().flatten().float()
    assert 0 < differences.mean() < 1
    assert differences.kthvalue(round(0.99 * len(differences))).values <= 2


def test_mixed_precision_is_used_for_8_bit_results_only(model: LoadedModel) -> None:
    exact, mixed = build_pipeline(model, "fp32"), build_pipeline(model, "mixed")
    style = exact.measure(random_picture(40, 40, 1))
    content = random_picture(40, 50).mul(255).to(torch.uint8)
    for dtype, equal in ((torch.uint16, True), (torch.float32, True), (torch.uint8, False)):
        results = [each.stylize(content, style, StylizeOptions(), dtype).float() for each in (exact, mixed)]
        assert torch.equal(*results) is equal


def test_precision_auto_depends_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for has_bfloat16, name in ((True, "mixed"), (False, "fp32")):
        capabilities = {"avx512_bf16": has_bfloat16}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found, raising=False)
        assert resolve_precision("auto", torch.device("cpu")).name == name
        assert resolve_precision("bf16", torch.device("cpu")).name == "bf16"
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert resolve_precision("auto", torch.device("cpu")).name == "fp32"
    with pytest.raises(OptionError, match="mixed is not available on mps"):
        resolve_precision("mixed", torch.device("mps"))


def test_errors_name_the_missing_device() -> None:
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(OptionError, match="cuda:99"):
        resolve_device("cuda:99")
    with pytest.raises(OptionError, match="cpu:oops"):
        resolve_device("cpu:oops")


# Progress, a stop and threads. The pictures below are higher than a strip of 16 rows with its halo.
TALL = random_picture(200, 24)
# How often each thread stylizes the same pictures.
REPETITIONS = 5


@pytest.fixture
def low_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute strips of 16 rows; small pictures would otherwise be computed in one piece."""
    monkeypatch.setattr(streaming_layers, "SMALL_INPUT", 0)


@pytest.fixture
def small_thumbnails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the thumbnail of a tall picture smaller than the picture."""
    monkeypatch.setattr(resampling, "THUMBNAIL_EDGE", 100)


def build_stoppable(model: LoadedModel) -> tuple[StylizationPipeline, Event]:
    """Return a pipeline with strips of 16 rows and the event that stops it."""
    stop = Event()
    return StylizationPipeline(model, RuntimeOptions(device="cpu", precision="fp32", tile=16), stop), stop


def measure_at_scale(pipeline: StylizationPipeline, scale: int) -> StyleStatistics:
    """Measure a style for a stroke scale."""
    style = random_picture(32, 32, 1)
    measured = pipeline.measure(style)
    if scale == 1:
        return measured
    enlarged, sharp = (
        pipeline.measure(torch.nn.functional.interpolate(style, scale_factor=factor))
        for factor in (scale, scale**0.5)
    )
    return measured.enlarge(scale, enlarged, sharp)


WAYS = [
    pytest.param(1, "exact", id="one-pass"),
    pytest.param(1, "thumbnail", id="thumbnail"),
    pytest.param(2, "exact", id="larger-strokes"),
    pytest.param(2, "thumbnail", id="larger-strokes-and-thumbnail"),
]


@pytest.mark.usefixtures("low_strips", "small_thumbnails")
@pytest.mark.parametrize(("scale", "statistics"), WAYS)
@pytest.mark.parametrize("alpha", [1, 0.5])
def test_progress_rises_to_one(
    model: LoadedModel, scale: int, statistics: ContentStatistics, alpha: float
) -> None:
    pipeline, _ = build_stoppable(model)
    shares: list[float] = []
    options = StylizeOptions(alpha=alpha, content_statistics=statistics)
    pipeline.stylize(TALL, measure_at_scale(pipeline, scale), options, progress=shares.append)
    assert len(shares) >= 13  # 200 rows in strips of 16 rows, in one pass at least
    assert 0 < shares[0] < 0.3
    assert all(before <= after for before, after in pairwise(shares))
    assert len(set(shares)) >= 13
    assert shares[-1] == 1


def test_progress_rises_to_one_for_every_plan(model: LoadedModel) -> None:
    samples = (random_picture(96, 2000) * 255).to(torch.uint8)
    for limit in (None, "64M", "16M", "10M"):
        runtime = RuntimeOptions(device="cpu", precision="fp32", max_memory=limit)
        pipeline = StylizationPipeline(model, runtime)
        shares: list[float] = []
        style = pipeline.measure(random_picture(32, 32, 1))
        pipeline.stylize(samples, style, StylizeOptions(), progress=shares.append)
        assert all(before <= after for before, after in pairwise(shares))
        assert shares[-1] == 1


class StopHereError(Exception):
    """An error that a caller raises to cancel."""


@pytest.mark.usefixtures("low_strips", "small_thumbnails")
@pytest.mark.parametrize(("scale", "statistics"), WAYS)
def test_an_exception_of_the_callback_cancels_the_work(
    model: LoadedModel, scale: int, statistics: ContentStatistics
) -> None:
    pipeline, _ = build_stoppable(model)
    style = measure_at_scale(pipeline, scale)
    options = StylizeOptions(content_statistics=statistics)
    expected = pipeline.stylize(TALL, style, options)
    shares: list[float] = []

    def cancel(share: float) -> None:
        shares.append(share)
        if len(shares) == 5:
            raise StopHereError

    with pytest.raises(StopHereError):
        pipeline.stylize(TALL, style, options, progress=cancel)
    assert len(shares) == 5
    assert torch.equal(pipeline.stylize(TALL, style, options), expected)  # the pipeline can still be used


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record how many rows of a picture are read at a time."""
    counts: list[int] = []
    compute = PictureMap.compute

    def record(self: PictureMap, start: int, stop: int, out: Tensor | None) -> Tensor:
        counts.append(stop - start)
        return compute(self, start, stop, out)

    monkeypatch.setattr(PictureMap, "compute", record)
    return counts


@pytest.mark.usefixtures("low_strips", "small_thumbnails")
@pytest.mark.parametrize(("scale", "statistics"), WAYS)
def test_work_ends_within_a_strip_after_the_stop_event_is_set(
    model: LoadedModel, scale: int, statistics: ContentStatistics, rows_read: list[int]
) -> None:
    pipeline, stop = build_stoppable(model)
    style = measure_at_scale(pipeline, scale)
    options = StylizeOptions(content_statistics=statistics)
    expected = pipeline.stylize(TALL, style, options)
    stop.set()
    calls: list[Callable[[], object]] = [
        lambda: pipeline.measure(TALL),
        lambda: pipeline.stylize(TALL, style, options),
        lambda: pipeline.stylize(TALL, style, StylizeOptions(alpha=0.5, content_statistics=statistics)),
    ]
    for call in calls:
        rows_read.clear()
        with pytest.raises(CancelledError):
            call()
        assert 0 < sum(rows_read) < 80  # a strip of 16 rows with its halo
    stop.clear()
    assert torch.equal(pipeline.stylize(TALL, style, options), expected)  # the pipeline can be used again


@pytest.mark.usefixtures("low_strips", "small_thumbnails")
@pytest.mark.parametrize(("scale", "statistics"), WAYS)
@pytest.mark.parametrize("strip", [1, 7, 20])
def test_no_strip_is_reported_after_the_stop_event_is_set(
    model: LoadedModel, scale: int, statistics: ContentStatistics, strip: int
) -> None:
    pipeline, stop = build_stoppable(model)
    style = measure_at_scale(pipeline, scale)
    shares: list[float] = []

    def set_stop(share: float) -> None:
        shares.append(share)
        if len(shares) == min(strip, 12):
            stop.set()

    with pytest.raises(CancelledError):
        pipeline.stylize(TALL, style, StylizeOptions(content_statistics=statistics), progress=set_stop)
    assert len(shares) == min(strip, 12)


class SlowDictionary(WeakKeyDictionary[StyleStatistics, Any]):
    """A dictionary that gives other threads time to replace a value that was just set."""

    def __setitem__(self, key: StyleStatistics, value: Any) -> None:
        super().__setitem__(key, value)
        time.sleep(0.01)


@pytest.mark.parametrize("precision", ["fp32", "mixed"])
def test_threads_that_share_a_pipeline_get_the_pixels_that_each_gets_alone(
    model: LoadedModel, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = build_pipeline(model, precision)
    monkeypatch.setattr(pipeline, "_targets", SlowDictionary())
    style = pipeline.measure(random_picture(32, 32, 1))
    contents = [(random_picture(30, 20, seed) * 255).to(torch.uint8) for seed in range(4)]
    transforms: tuple[Transform, ...] = ("wct", "adain")
    expected = {
        transform: [
            build_pipeline(model, precision).stylize(content, style, StylizeOptions(transform=transform))
            for content in contents
        ]
        for transform in transforms
    }
    start = Barrier(len(transforms))

    def stylize_all(transform: Transform) -> list[Tensor]:
        start.wait(60)
        options = StylizeOptions(transform=transform)
        return [pipeline.stylize(content, style, options) for _ in range(REPETITIONS) for content in contents]

    with ThreadPoolExecutor(len(transforms)) as threads:
        results = list(threads.map(stylize_all, transforms))
    for transform, found in zip(transforms, results, strict=True):
        pairs = zip(found, REPETITIONS * expected[transform], strict=True)
        assert all(torch.equal(*pair) for pair in pairs), transform
    assert not torch.equal(expected["wct"][0], expected["adain"][0])
