"""Test pictures that are painted several times, with the shipped model."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from styletransfer.errors import OptionError
from styletransfer.media import read_picture, resize_picture
from styletransfer.model import StyleStatistics, load_model
from styletransfer.options import PreserveColor, RuntimeOptions, StylizeOptions
from styletransfer.pipeline import StylizationPipeline
from styletransfer.pipeline.output_image import compute_luma
from styletransfer.transfer.content_moments import MomentsRecord

EXAMPLES = Path(__file__).parents[2] / "examples"


def read_samples(path: str, edge: int) -> Tensor:
    return resize_picture(read_picture(EXAMPLES / path), edge).pixels


@pytest.fixture(scope="module")
def pipeline() -> StylizationPipeline:
    return StylizationPipeline(load_model("default"), RuntimeOptions(device="cpu", precision="fp32"))


@pytest.fixture(scope="module")
def style(pipeline: StylizationPipeline) -> StyleStatistics:
    return pipeline.measure(read_samples("style/facets.jpg", 192))


@pytest.fixture(scope="module")
def content() -> Tensor:
    return read_samples("content/china.jpg", 128)


def difference(one: Tensor, other: Tensor) -> float:
    return (one.float() - other.float()).abs().mean().item()


def test_a_pass_paints_the_result_of_the_one_before(
    pipeline: StylizationPipeline, style: StyleStatistics, content: Tensor
) -> None:
    once = pipeline.stylize(content, style, StylizeOptions(), torch.uint16)
    twice = pipeline.stylize(content, style, StylizeOptions(passes=2))
    assert torch.equal(twice, pipeline.stylize(once, style, StylizeOptions(), torch.uint8))
    assert difference(twice, once / 257) > 4


def test_strips_do_not_show(pipeline: StylizationPipeline, style: StyleStatistics, content: Tensor) -> None:
    options = StylizeOptions(passes=3)
    strips = StylizationPipeline(
        load_model("default"), RuntimeOptions(device="cpu", precision="fp32", tile=16)
    )
    found = strips.stylize(content, style, options).int()
    assert (found - pipeline.stylize(content, style, options).int()).abs().max() <= 1


def test_the_change_grows_with_alpha_and_with_passes(
    pipeline: StylizationPipeline, style: StyleStatistics, content: Tensor
) -> None:
    def change(alpha: float, passes: int) -> float:
        result = pipeline.stylize(content, style, StylizeOptions(alpha=alpha, passes=passes))
        return difference(result, content)

    assert change(0, 3) == change(0, 1)
    by_alpha = [change(alpha, 2) for alpha in (0, 0.25, 0.5, 0.75, 1)]
    assert all(low < high for low, high in pairwise(by_alpha))
    assert change(0.5, 1) < change(0.5, 2) < change(0.5, 3)


def test_large_strokes_repeat_the_copy_alone(
    pipeline: StylizationPipeline, style: StyleStatistics, content: Tensor
) -> None:
    large = style.enlarge(2, pipeline.measure(read_samples("style/facets.jpg", 384)), style)
    for passes in (1, 3):
        record, shares = MomentsRecord(), list[float]()
        options = StylizeOptions(passes=passes)
        pipeline.stylize(content, large, options, progress=shares.append, moments=record)
        assert len(record.measured) == passes + 1
        assert shares == sorted(shares)
        assert shares[-1] == 1


@pytest.mark.parametrize("preserve_color", ["none", "luma"])
def test_masks_and_colors_are_those_of_the_content(
    pipeline: StylizationPipeline, style: StyleStatistics, content: Tensor, preserve_color: PreserveColor
) -> None:
    mask = torch.zeros(1, *content.shape[1:], dtype=torch.uint8)
    mask[:, :, 40:] = 255
    options = StylizeOptions(passes=2, preserve_color=preserve_color)
    result = pipeline.stylize(content, [style], options, masks=mask)
    assert torch.equal(result[:, :, :40], content[:, :, :40])
    if preserve_color == "luma":
        chroma = [each.float() - compute_luma(each[None].float())[0] for each in (result, content)]
        assert difference(*chroma) < 3


def test_given_moments_are_used_in_every_pass(
    pipeline: StylizationPipeline, style: StyleStatistics, content: Tensor
) -> None:
    options, record = StylizeOptions(passes=2), MomentsRecord()
    expected = pipeline.stylize(content, style, options, moments=record)
    again = pipeline.stylize(content, style, options, moments=MomentsRecord(record.measured))
    assert (again.int() - expected.int()).abs().max() <= 1


def test_what_excludes_passes_is_named() -> None:
    with pytest.raises(OptionError, match="refine and passes"):
        StylizeOptions(passes=2, refine=10)
    for passes in (0, 1.5, True):
        with pytest.raises(OptionError, match="passes"):
            StylizeOptions(passes=passes)  # type: ignore[arg-type]
