"""The pipeline: alpha, colour, sizes, determinism, devices."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from styletransfer.errors import OptionError
from styletransfer.media import read_picture, resize_picture
from styletransfer.model import Architecture, Autoencoder, load_model
from styletransfer.options import Precision, PreserveColor, RuntimeOptions, StylizeOptions
from styletransfer.pipeline import StylizationPipeline
from styletransfer.pipeline.color import compute_luma, keep_chroma
from styletransfer.pipeline.device import resolve_device, resolve_precision

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def network() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(Architecture((4, 6, 8), (1, 1, 1))).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def pipeline(network: Autoencoder) -> StylizationPipeline:
    return StylizationPipeline(network, "fingerprint", RuntimeOptions(device="cpu", precision="fp32"))


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_result_is_a_picture(pipeline: StylizationPipeline) -> None:
    stylized = pipeline.stylize(picture(21, 34), pipeline.measure(picture(16, 16, 1)), StylizeOptions())
    assert stylized.shape == (1, 3, 21, 34)
    assert stylized.dtype == torch.float32
    assert 0 <= stylized.min() <= stylized.max() <= 1


def test_same_input_same_pixels(pipeline: StylizationPipeline) -> None:
    style = pipeline.measure(picture(16, 16, 1))
    first, second = (pipeline.stylize(picture(21, 34), style, StylizeOptions()) for _ in range(2))
    assert torch.equal(first, second)


def test_alpha_zero_ignores_the_style(pipeline: StylizationPipeline) -> None:
    options = StylizeOptions(alpha=0)
    content = picture(24, 24)
    one, two = (pipeline.stylize(content, pipeline.measure(picture(16, 16, s)), options) for s in (1, 2))
    assert torch.equal(one, two)
    itself = pipeline.stylize(content, pipeline.measure(content), StylizeOptions())
    torch.testing.assert_close(one, itself, atol=1e-4, rtol=0)


def test_alpha_leads_from_reconstruction_to_style(pipeline: StylizationPipeline) -> None:
    content, style = picture(24, 24), pipeline.measure(picture(16, 16, 1) ** 3)
    results = [pipeline.stylize(content, style, StylizeOptions(alpha=a)) for a in (0.0, 0.3, 0.6, 1.0)]
    from_start = [(result - results[0]).norm().item() for result in results]
    assert from_start == sorted(from_start)


def test_statistics_of_another_model_are_refused(network: Autoencoder, pipeline: StylizationPipeline) -> None:
    other = StylizationPipeline(network, "another", RuntimeOptions(device="cpu"))
    with pytest.raises(OptionError, match="another model"):
        pipeline.stylize(picture(8, 8), other.measure(picture(8, 8)), StylizeOptions())


def test_luma_is_the_style_s_and_chroma_the_content_s(pipeline: StylizationPipeline) -> None:
    content, stylized = picture(9, 9), picture(9, 9, 1)
    kept = keep_chroma(stylized, content)
    torch.testing.assert_close(compute_luma(kept), compute_luma(stylized), atol=1e-5, rtol=0)
    grey = torch.full((1, 3, 4, 4), 0.5)
    assert torch.equal(keep_chroma(grey, grey), grey)
    chroma = content - compute_luma(content)
    softened = kept - compute_luma(kept)
    share = (softened * chroma).sum(1) / chroma.square().sum(1)
    torch.testing.assert_close(softened, share.unsqueeze(1) * chroma, atol=1e-5, rtol=0)  # no hue shifts
    option = StylizeOptions(preserve_color="luma")
    result = pipeline.stylize(grey, pipeline.measure(picture(16, 16, 1)), option)
    torch.testing.assert_close(result.amax(1), result.amin(1))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("color", ["none", "luma"])
def test_integers_are_the_rounded_floats(
    pipeline: StylizationPipeline, dtype: torch.dtype, color: PreserveColor
) -> None:
    white = 255 if dtype == torch.uint8 else 65535
    samples = (picture(37, 30) * white).round().to(dtype)
    style = pipeline.measure(picture(16, 16, 1))
    options = StylizeOptions(preserve_color=color)
    integers = pipeline.stylize(samples, style, options)
    floats = pipeline.stylize(samples.float() / white, style, options)
    assert integers.dtype == dtype
    assert floats.dtype == torch.float32
    assert (integers.float() - floats * white).abs().max() < 0.5 + white / 5e4
    assert pipeline.stylize(samples, style, options, torch.uint8).dtype == torch.uint8


def test_bfloat16_stays_close(network: Autoencoder, pipeline: StylizationPipeline) -> None:
    low = StylizationPipeline(network, "fingerprint", RuntimeOptions(device="cpu", precision="bf16"))
    style = pipeline.measure(picture(16, 16, 1))
    exact = pipeline.stylize(picture(24, 24), style, StylizeOptions())
    rough = low.stylize(picture(24, 24), style, StylizeOptions())
    assert 0 < (exact - rough).abs().mean() < 0.05


def read_examples() -> tuple[Tensor, Tensor]:
    photo, artwork = (
        resize_picture(read_picture(EXAMPLES / name), 320).pixels
        for name in ("content/chelsea.jpg", "style/watercolor.jpg")
    )
    return photo, artwork


@pytest.mark.parametrize("precision", ["fp32", "mixed"])
def test_tiles_and_limits_move_no_pixel_by_more_than_a_level(precision: Precision) -> None:
    photo, artwork = read_examples()
    runtimes = [{}, {"tile": 64}, {"tile": 511}, {"max_memory": "16M"}, {"max_memory": "8M"}]
    results = []
    for runtime in runtimes:
        options = RuntimeOptions(device="cpu", precision=precision, **runtime)  # type: ignore[arg-type]
        pipeline = StylizationPipeline(load_model().network, "x", options)
        results.append(pipeline.stylize(photo, pipeline.measure(artwork), StylizeOptions(alpha=0.9)).int())
    assert all((result - results[0]).abs().max() <= 1 for result in results[1:])


def test_mixed_precision_is_within_two_levels() -> None:
    photo, artwork = read_examples()
    exact, mixed = (
        pipeline.stylize(photo, pipeline.measure(artwork), StylizeOptions()).int()
        for name in ("fp32", "mixed")
        for pipeline in [StylizationPipeline(load_model().network, "x", RuntimeOptions(device="cpu", precision=name))]
    )
    differences = (mixed - exact).abs().flatten().float()
    assert 0 < differences.mean() < 1
    assert differences.kthvalue(round(0.99 * len(differences))).values <= 2


def test_mixed_precision_is_for_results_of_eight_bits(network: Autoencoder) -> None:
    exact, mixed = (
        StylizationPipeline(network, "x", RuntimeOptions(device="cpu", precision=name))
        for name in ("fp32", "mixed")
    )
    style, content = exact.measure(picture(40, 40, 1)), picture(40, 50).mul(255).to(torch.uint8)
    for dtype, same in ((torch.uint16, True), (torch.float32, True), (torch.uint8, False)):
        results = [each.stylize(content, style, StylizeOptions(), dtype).float() for each in (exact, mixed)]
        assert torch.equal(*results) is same


def test_precision_is_chosen_by_what_the_processor_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for has, name in ((True, "mixed"), (False, "fp32")):
        monkeypatch.setattr(
            torch.cpu, "get_capabilities", lambda has=has: {"avx512_bf16": has}, raising=False
        )
        assert resolve_precision("auto", torch.device("cpu")).name == name
        assert resolve_precision("bf16", torch.device("cpu")).name == "bf16"
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert resolve_precision("auto", torch.device("cpu")).name == "fp32"
    with pytest.raises(OptionError, match="mixed is not available on mps"):
        resolve_precision("mixed", torch.device("mps"))


def test_missing_devices_are_named() -> None:
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(OptionError, match="cuda:99"):
        resolve_device("cuda:99")
    with pytest.raises(OptionError, match="cpu:oops"):
        resolve_device("cpu:oops")
