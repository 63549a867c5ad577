from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from styletransfer.evaluation import PairScorer, Scores, average_scores, format_scores, psnr, read_pairs
from styletransfer.media import read_picture
from styletransfer.model.vgg import VGG16, VGG19, load_vgg16, load_vgg19

from .conftest import make_picture


def fade(content: Tensor, style: Tensor, alpha: float) -> Tensor:
    """Fade the content to the mean color of the style; alpha 0 returns the content."""
    return content.lerp(style.mean((2, 3), keepdim=True), alpha)


def test_scores_of_the_content_and_of_the_style(network: VGG19, content: Tensor) -> None:
    style = make_picture(2)
    scorer = PairScorer(network, content, style)
    as_content, as_style = scorer.score(content), scorer.score(style)
    assert (as_content.content_in, as_content.ssim) == pytest.approx((0, 1), abs=1e-6)
    assert (as_style.style_gram, as_style.style_pyr, as_style.swd_rgb) == (0, 0, 0)
    assert as_content.style_gram > 0 < as_content.swd_rgb
    assert as_content.pan_rmse is None


def test_outputs_of_another_size_are_compared_with_the_resized_content(
    network: VGG19, content: Tensor, style: Tensor
) -> None:
    smaller = interpolate(content, (40, 56), mode="bicubic", antialias=True).clamp(0, 1)
    scores = PairScorer(network, content, style).score(smaller)
    assert scores.content_in < 1e-6
    assert scores.ssim == pytest.approx(1, abs=1e-4)


def test_a_model_gets_all_scores(network: VGG19, content: Tensor, style: Tensor) -> None:
    scorer = PairScorer(network, content, style)
    output, scores = scorer.score_model(fade, alpha=0.25)
    torch.testing.assert_close(output, fade(content, style, 0.25))
    assert scores.style_gram == scorer.score(output).style_gram
    assert scores.reconstruction == 100
    assert scores.identity == pytest.approx(psnr(fade(content, content, 1), content))
    assert scores.pan_rmse == pytest.approx(0.75 * 2**0.5 * 2 / 255, rel=0.1)


def test_results_of_another_size_are_resized_to_the_content(
    network: VGG19, content: Tensor, style: Tensor
) -> None:
    def enlarge(content: Tensor, style: Tensor, alpha: float) -> Tensor:
        return interpolate(fade(content, style, alpha), scale_factor=2, mode="nearest")

    output, scores = PairScorer(network, content, style).score_model(enlarge, alpha=0.0)
    assert output.shape == content.shape
    assert scores.reconstruction is not None
    assert scores.reconstruction > 20


def test_fidelity_is_measured_once_for_several_alphas(network: VGG19, content: Tensor, style: Tensor) -> None:
    alphas: list[float] = []

    def record(content: Tensor, style: Tensor, alpha: float) -> Tensor:
        alphas.append(alpha)
        return content

    scorer = PairScorer(network, content, style)
    for alpha in (0.3, 0.6):
        scorer.score_model(record, alpha)
    assert alphas.count(0.3) == alphas.count(0.6) == 4  # the picture and three frames of the pan
    assert alphas.count(0) == alphas.count(1) == 1


LOW = Scores(
    style_gram=0.04,
    style_pyr=0.1,
    style_patch=0.3,
    style_cover=0.35,
    content_in=1,
    ssim=0.2,
    swd_rgb=0.02,
    clipped=0.1,
)
HIGH = Scores(
    style_gram=0.08,
    style_pyr=0.3,
    style_patch=0.5,
    style_cover=0.45,
    content_in=2,
    ssim=0.4,
    swd_rgb=0.06,
    clipped=0.2,
)


def test_average_of_scores() -> None:
    mean = average_scores([LOW, HIGH])
    assert (mean.style_gram, mean.content_in, mean.ssim) == pytest.approx((0.06, 1.5, 0.3))
    assert mean.reconstruction is mean.identity is mean.pan_rmse is None


def test_pan_rmse_is_averaged_as_a_root_mean_square() -> None:
    models = [
        replace(LOW, reconstruction=20.0, pan_rmse=0.03),
        replace(HIGH, reconstruction=30.0, pan_rmse=0.04),
    ]
    mean = average_scores(models)
    assert mean.reconstruction == 25
    assert mean.pan_rmse == pytest.approx((0.0009 / 2 + 0.0016 / 2) ** 0.5)
    assert average_scores([*models, LOW]).pan_rmse is None


def test_table_leaves_out_empty_columns() -> None:
    table = format_scores({"ours": replace(LOW, identity=26.04), "a peer": HIGH})
    header, rule, ours, peer = table.splitlines()
    names = "style_gram style_pyr style_patch style_cover content_in ssim swd_rgb clipped identity"
    assert header.strip("| ").split(" | ")[0] == "method"
    assert header.split()[3::2] == [*names.split()]
    assert set(rule) == {"|", "-", " "}
    assert ours == "| ours   | 0.040      | 0.100     | 0.300       | 0.350       | 1.000      " + (
        "| 0.200 | 0.020   | 0.100   | 26.0     |"
    )
    assert peer.endswith("| 0.200   | -        |")
    assert len({len(line) for line in table.splitlines()}) == 1


def test_style_deep_is_scored_with_vgg16_only(
    network: VGG19, deep_network: VGG16, content: Tensor, style: Tensor
) -> None:
    assert PairScorer(network, content, style).score(content).style_deep is None
    scorer = PairScorer(network, content, style, deep_network)
    scores = scorer.score(content)
    assert scores.style_deep is not None
    assert scores.style_deep > 0.01
    assert scorer.score(style).style_deep == 0


# Means over the ten development pairs, measured by independent programs from the same definitions. `clipped`
# was measured on the JPEG files.
COLUMNS = ("style_gram", "style_pyr", "content_in", "ssim", "swd_rgb", "clipped")
PEERS = {
    "content": (0.965, 2.1, 0, 1, 0.225, 0.008),
    "collab": (0.060, 0.101, 1.47, 0.28, 0.020, 0.103),
    "microast": (0.098, 0.155, 0.93, 0.46, 0.040, 0.077),
    "pca": (0.433, 0.358, 0.33, 0.75, 0.045, 0.124),
}
PATCH_COLUMNS = ("style_patch", "style_cover", "style_deep")
PATCH_PEERS = {
    "content": (0.521, 0.574, 2.14),
    "collab": (0.489, 0.452, 0.934),
    "microast": (0.489, 0.471, 0.632),
}


@pytest.mark.slow
def test_published_scores_of_other_methods(shared_data: Path) -> None:
    """The shipped VGG-19 is rounded to float16, which must not show in the published digits."""
    vgg = load_vgg19()
    deep = load_vgg16(shared_data / "networks" / "vgg16_conv1_1-conv5_3_fp16.safetensors")
    pairs = read_pairs(shared_data / "pairs", {".jpg"})
    assert len(pairs) == 10
    scores: dict[str, list[Scores]] = {peer: [] for peer in PEERS}
    for pair in pairs:
        content, style = (read_picture(path).to_float() for path in (pair.content, pair.style))
        scorer = PairScorer(vgg, content, style, deep)
        for peer in PEERS:
            output = read_picture(pair.content.with_name(f"{pair.name}.{peer}.jpg")).to_float()
            scores[peer].append(scorer.score(output))
    means = {peer: average_scores(each) for peer, each in scores.items()}
    for peer, published in PEERS.items():
        measured = [getattr(means[peer], column) for column in COLUMNS]
        assert measured == pytest.approx(published, rel=0.05, abs=1e-6), peer
    for peer, published_patches in PATCH_PEERS.items():
        measured = [getattr(means[peer], column) for column in PATCH_COLUMNS]
        assert measured == pytest.approx(published_patches, rel=0.005), peer


@pytest.mark.slow
def test_rounding_of_the_shipped_network_hardly_changes_scores(shared_data: Path) -> None:
    exact = load_vgg19(shared_data / "networks" / "vgg19_conv1_1-conv3_4.safetensors")
    for pair in read_pairs(shared_data / "pairs", {".jpg"})[:2]:
        content, style = (read_picture(path).to_float() for path in (pair.content, pair.style))
        output = read_picture(pair.content.with_name(f"{pair.name}.collab.jpg")).to_float()
        scores = [asdict(PairScorer(vgg, content, style).score(output)) for vgg in (load_vgg19(), exact)]
        ours, theirs = ([value for value in each.values() if value is not None] for each in scores)
        assert ours == pytest.approx(theirs, rel=0.002), pair.name
