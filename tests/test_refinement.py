"""Refinement by optimization: nearer to the style, repeatable, and through every option."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from styletransfer import Stylizer
from styletransfer.errors import MemoryLimitError, OptionError
from styletransfer.linalg import compute_statistics
from styletransfer.media import read_picture, resize_picture
from styletransfer.model.vgg import VGG19, load_vgg19
from styletransfer.options import RuntimeOptions
from styletransfer.refinement import (
    REFINE_LAYERS,
    build_bank,
    build_laplacian,
    collapse_laplacian,
    count_iterations,
    list_edges,
    schedule_rate,
)
from styletransfer.transfer.losses import moments_distance

EXAMPLES = Path(__file__).parents[1] / "examples"


def read_example(name: str, edge: int) -> Tensor:
    return resize_picture(read_picture(EXAMPLES / name), edge).to_float()


@pytest.fixture(scope="module")
def network() -> VGG19:
    return load_vgg19(None, REFINE_LAYERS)


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(runtime=RuntimeOptions(device="cpu", precision="fp32"))


@pytest.fixture(scope="module")
def content() -> Tensor:
    return read_example("content/chelsea.jpg", 64)


@pytest.fixture(scope="module")
def style() -> Tensor:
    return read_example("style/knife.jpg", 64)


@pytest.mark.parametrize("size", [(64, 48), (37, 50), (5, 3), (1, 1)])
def test_a_laplacian_pyramid_collapses_to_its_picture(size: tuple[int, int]) -> None:
    picture = torch.rand(1, 3, *size)
    pyramid = build_laplacian(picture, 5)
    assert len(pyramid) <= 5
    torch.testing.assert_close(collapse_laplacian(pyramid), picture, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("edge", "edges"),
    [(64, [64]), (128, [128]), (200, [128, 200]), (512, [128, 256, 512]), (3000, [128, 256, 512, 768])],
)
def test_sizes_lead_from_coarse_to_fine(edge: int, edges: list[int]) -> None:
    assert list_edges(edge) == edges


def test_iterations_and_rates() -> None:
    assert [count_iterations(edge, 40) for edge in (64, 256, 512)] == [40, 40, 12]
    rates = [schedule_rate(iteration, 40) for iteration in range(40)]
    assert rates.index(max(rates)) == 3
    assert rates[-1] < 0.05


def test_the_style_is_its_own_match(network: VGG19, style: Tensor) -> None:
    with torch.no_grad():
        features = network(style)
    bank = build_bank([features], [1.0], REFINE_LAYERS)
    assert bank.distance(features, bank.match(features)) < 1e-5
    both = build_bank([features, features], [0.75, 0.25], REFINE_LAYERS)
    assert both.columns.shape == (2 * 16 * 16, 64 + 128 + 256 + 256)


def test_a_refined_picture_is_nearer_to_the_style(
    network: VGG19, stylizer: Stylizer, content: Tensor, style: Tensor
) -> None:
    def distance(picture: Tensor) -> float:
        with torch.no_grad():
            target = compute_statistics(network(style)["relu3_1"].flatten(2))
            return float(moments_distance(network(picture)["relu3_1"].flatten(2), target))

    plain = stylizer.stylize(content, style)
    refined, again = (stylizer.stylize(content, style, refine=8) for _ in range(2))
    assert refined.equal(again)
    assert refined.shape == content.shape
    assert 0 <= refined.min() <= refined.max() <= 1
    assert distance(refined) < 0.8 * distance(plain)


def test_a_gray_style_gives_a_gray_result(stylizer: Stylizer, content: Tensor, style: Tensor) -> None:
    gray = style.mean(1, keepdim=True).expand_as(style)
    result = stylizer.stylize(content, gray, refine=4)
    assert (result.amax(1) - result.amin(1)).max() < 0.1 / 255
    assert result.std() > 0.1


def test_alpha_leads_from_the_content_to_the_refined_result(
    stylizer: Stylizer, content: Tensor, style: Tensor
) -> None:
    none, half, full = (stylizer.stylize(content, style, refine=3, alpha=alpha) for alpha in (0, 0.5, 1))
    torch.testing.assert_close(none, stylizer.stylize(content, style, alpha=0))
    assert (half - none).norm() < (full - none).norm()


def test_refinement_works_with_the_other_options(stylizer: Stylizer, content: Tensor, style: Tensor) -> None:
    gray = content.mean(1, keepdim=True).expand_as(content)
    kept = stylizer.stylize(gray, style, refine=2, preserve_color="luma")
    torch.testing.assert_close(kept, kept.mean(1, keepdim=True).expand_as(kept), atol=1e-3, rtol=0)
    large = stylizer.stylize(content, style, refine=2, stroke_scale=2)
    assert not large.equal(stylizer.stylize(content, style, stroke_scale=2))
    blend = stylizer.stylize(content, [style, content], refine=2, style_weights=(1, 0))
    torch.testing.assert_close(blend, stylizer.stylize(content, style, refine=2), atol=0.02, rtol=0)
    picture = read_picture(EXAMPLES / "content/chelsea.jpg")
    assert stylizer.stylize(resize_picture(picture, 40), style, refine=1).bit_depth == 8


def test_progress_rises_to_one_and_can_cancel(stylizer: Stylizer, content: Tensor, style: Tensor) -> None:
    shares: list[float] = []
    stylizer.stylize(content, style, refine=3, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)

    def cancel(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylizer.stylize(content, style, refine=3, progress=cancel)


def test_what_refinement_cannot_do_is_named(stylizer: Stylizer, content: Tensor, style: Tensor) -> None:
    with pytest.raises(OptionError, match="needs the picture of the style, not its statistics"):
        stylizer.stylize(content, stylizer.measure_style(style), refine=2)
    small = Stylizer(runtime=RuntimeOptions(device="cpu", max_memory="40M"))
    with pytest.raises(MemoryLimitError, match=r"^refining 64x\d+ pixels needs \d+M, 40M is"):
        small.stylize(content, style, refine=2)
    with pytest.raises(OptionError, match="refine is -1"):
        stylizer.stylize(content, style, refine=-1)
