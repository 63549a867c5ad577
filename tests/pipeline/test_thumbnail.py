"""A small copy of a large picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from styletransfer.media import read_picture, resize_picture
from styletransfer.model import load_model
from styletransfer.options import RuntimeOptions, StylizeOptions
from styletransfer.pipeline import StylizationPipeline, thumbnail
from styletransfer.pipeline.resampling import make_thumbnail

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def small_thumbnails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnail, "LONG_EDGE", 32)


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    smooth = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(smooth, (height, width), mode="bilinear")[0]


def test_the_long_edge_decides() -> None:
    assert make_thumbnail(picture(70, 90)).shape == (3, 24, 30)


def test_small_pictures_are_their_own_thumbnails() -> None:
    samples = picture(32, 9)
    assert make_thumbnail(samples) is samples


def test_a_result_by_thumbnail_is_near_the_exact_one_and_equal_for_a_small_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(thumbnail, "LONG_EDGE", 256)
    pipeline = StylizationPipeline(load_model().network, "x", RuntimeOptions())
    photo, artwork = (read_picture(EXAMPLES / name) for name in ("content/china.jpg", "style/knife.jpg"))
    style = pipeline.measure(resize_picture(artwork, 256).pixels)
    for size in (256, 512):
        content = resize_picture(photo, size).to_float()
        exact, quick = (
            pipeline.stylize(content, style, StylizeOptions(statistics=way)) for way in ("exact", "thumbnail")
        )
        assert exact.equal(quick) == (size == 256)
        assert (exact - quick).abs().mean() < 0.5 * (exact - content).abs().mean()
