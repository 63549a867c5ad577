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


@pytest.mark.parametrize("strip", [2**22, 1])
def test_blocks_are_averaged(strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnail, "STRIP_VALUES", strip)
    samples = (picture(70, 90) * 255).round().to(torch.uint8)
    reduced = make_thumbnail(samples)
    assert reduced.shape == (3, 24, 30)
    torch.testing.assert_close(reduced[:, 4, 5], samples[:, 12:15, 15:18].float().mean((1, 2)) / 255)
    torch.testing.assert_close(reduced[:, -1, 0], samples[:, 69:, :3].float().mean((1, 2)) / 255)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_white_is_one(dtype: torch.dtype) -> None:
    white = 1 if dtype.is_floating_point else torch.iinfo(dtype).max
    assert make_thumbnail(torch.full((3, 64, 1), white).to(dtype)).eq(1).all()


def test_small_pictures_are_their_own_thumbnails() -> None:
    samples = picture(32, 9)
    assert make_thumbnail(samples) is samples


def test_a_result_by_thumbnail_is_near_the_exact_one_and_equal_for_a_small_picture() -> None:
    torch.manual_seed(0)
    pipeline = StylizationPipeline(Autoencoder(Architecture((4, 6, 8), (1, 1, 1))), "x", RuntimeOptions())
    style = pipeline.measure(picture(40, 40, seed=1))
    for size, low, high in (((32, 32), 0, 0), ((128, 96), 1e-6, 0.1)):
        content = picture(*size)
        exact, quick = (
            pipeline.stylize(content, style, StylizeOptions(statistics=way)) for way in ("exact", "thumbnail")
        )
        assert low <= (exact - quick).abs().mean() <= high
