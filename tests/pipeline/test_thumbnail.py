"""A small copy of a large picture."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from styletransfer.model import Architecture, Autoencoder
from styletransfer.options import RuntimeOptions, StylizeOptions
from styletransfer.pipeline import StylizationPipeline, thumbnail
from styletransfer.pipeline.thumbnail import make_thumbnail


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


def test_a_result_by_thumbnail_is_near_the_exact_one_and_equal_for_a_small_picture() -> None:
    torch.manual_seed(0)
    shape = Architecture((4, 6, 8), (1, 1, 1), negative_slope=0)
    pipeline = StylizationPipeline(Autoencoder(shape), "x", RuntimeOptions())
    style = pipeline.measure(picture(40, 40, seed=1))
    for size, low, high in (((32, 32), 0, 0), ((128, 96), 1e-6, 0.1)):
        content = picture(*size)
        exact, quick = (
            pipeline.stylize(content, style, StylizeOptions(statistics=way)) for way in ("exact", "thumbnail")
        )
        assert low <= (exact - quick).abs().mean() <= high
