from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from styletransfer.evaluation import Candidate, Evaluator, Pair, list_candidates, write_contact_sheet
from styletransfer.media import Picture, read_picture, write_picture
from styletransfer.model.vgg import VGG19
from styletransfer.options import StylizeOptions

from .conftest import make_picture


class FakeStylizer:
    """Stylizer that mixes the content with gray and records its calls."""

    def __init__(self) -> None:
        self.styles: list[Path | Tensor] = []
        self.calls: list[tuple[tuple[int, ...], StylizeOptions]] = []

    def resolve_options(self, options: StylizeOptions, content: Tensor) -> StylizeOptions:
        return replace(options, stroke_scale=content.shape[3] // 32, style_size=content.shape[3])

    def stylize(self, content: Tensor, style: Path | Tensor, options: StylizeOptions) -> Tensor:
        self.styles.append(style)
        self.calls.append((tuple(content.shape), options))
        return content.lerp(torch.full_like(content, 0.5), 0.5 * options.alpha)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Write a content of 64 x 48 pixels, which gets stroke scale 2 above, and a style."""
    write_picture(Picture.from_float(make_picture(1)), tmp_path / "a.png")
    write_picture(Picture.from_float(make_picture(2, 56, 40)), tmp_path / "c.png")
    return Pair("a_c", tmp_path / "a.png", tmp_path / "c.png")


def test_frames_of_the_pan_get_the_options_of_the_content(network: VGG19, pair: Pair) -> None:
    stylizer = FakeStylizer()
    result = Evaluator(network, stylizer, StylizeOptions()).evaluate(Candidate(pair, "ours", alpha=0.25))
    assert {options.stroke_scale for _, options in stylizer.calls} == {2}
    assert {options.style_size for _, options in stylizer.calls} == {64}
    frames = [shape for shape, _ in stylizer.calls if shape[3] < 64]
    assert len(frames) == 3
    assert sorted({options.alpha for _, options in stylizer.calls}) == [0, 0.25, 1]
    assert result.scores.reconstruction == 100
    assert result.picture.dtype == torch.uint8


def test_the_style_is_given_as_a_file_whose_statistics_the_stylizer_remembers(
    network: VGG19, pair: Pair
) -> None:
    stylizer = FakeStylizer()
    Evaluator(network, stylizer, StylizeOptions()).evaluate(Candidate(pair, "ours"))
    assert [style for style in stylizer.styles if isinstance(style, Path)] == [pair.style] * 5
    (itself,) = [style for style in stylizer.styles if isinstance(style, Tensor)]
    assert itself.shape == (1, 3, 48, 64)


def test_a_candidate_with_a_file_needs_no_stylizer(network: VGG19, pair: Pair) -> None:
    result = Evaluator(network, None, StylizeOptions()).evaluate(Candidate(pair, "peer", pair.style))
    assert result.scores.style_gram == 0
    assert result.scores.identity is None


def test_contact_sheet_has_a_row_per_pair_without_the_content_itself(
    network: VGG19, pair: Pair, tmp_path: Path
) -> None:
    evaluator = Evaluator(network, FakeStylizer(), StylizeOptions())
    candidates = list_candidates([pair], None, "ours", (1, 0.5))
    write_contact_sheet(tmp_path / "sheet.png", [evaluator.evaluate(each) for each in candidates])
    sheet = read_picture(tmp_path / "sheet.png")
    assert 3 * 64 + 40 < sheet.width < 4 * 64 + 40  # the content, the style and two results
    assert sheet.height < 2 * 56
