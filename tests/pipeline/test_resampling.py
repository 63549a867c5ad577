"""Test the small copies of pictures, the changes that are upsampled from them, and thumbnail statistics."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from styletransfer.media import read_picture, resize_picture
from styletransfer.model import load_model
from styletransfer.options import ContentStatistics, StylizeOptions
from styletransfer.pipeline import StylizationPipeline, resampling
from styletransfer.pipeline.resampling import add_upsampled, average_blocks, make_thumbnail, white_level

EXAMPLES = Path(__file__).parents[2] / "examples"
TYPES = [torch.uint8, torch.uint16, torch.float32]


@pytest.fixture(params=[2**22, 1])
def strip_values(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Process pictures in one strip or in strips of the smallest height."""
    monkeypatch.setattr(resampling, "STRIP_VALUES", request.param)


def smooth_picture(height: int, width: int, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Return smooth samples [3, H, W]; floats are in 0..1."""
    coarse = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    values = interpolate(coarse, (height, width), mode="bilinear")[0]
    return values if dtype.is_floating_point else (values * torch.iinfo(dtype).max).round().to(dtype)


@pytest.mark.usefixtures("strip_values")
def test_blocks_are_averaged() -> None:
    samples = smooth_picture(70, 90)
    reduced = average_blocks(samples, 3)
    assert reduced.shape == (3, 24, 30)
    torch.testing.assert_close(reduced[:, 4, 5], samples[:, 12:15, 15:18].float().mean((1, 2)) / 255)
    torch.testing.assert_close(reduced[:, -1, 0], samples[:, 69:, :3].float().mean((1, 2)) / 255)


@pytest.mark.parametrize("dtype", TYPES)
def test_white_is_averaged_to_one(dtype: torch.dtype) -> None:
    white = 1 if dtype.is_floating_point else torch.iinfo(dtype).max
    assert average_blocks(torch.full((3, 64, 1), white).to(dtype), 4).eq(1).all()


@pytest.mark.usefixtures("strip_values")
@pytest.mark.parametrize("factor", [1, 2, 5])
def test_a_change_is_upsampled_as_if_in_one_piece(factor: int) -> None:
    samples = smooth_picture(31, 23, torch.float32) * 0.5 + 0.25
    change = 0.2 * (smooth_picture(-(-31 // factor), -(-23 // factor), torch.float32) - 0.5)
    upsampled = interpolate(change[None], scale_factor=factor, mode="bilinear")[0]
    torch.testing.assert_close(
        add_upsampled(samples, change, factor), samples + upsampled[:, :31, :23], atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("dtype", TYPES)
def test_changes_are_clamped_to_the_range_of_the_type(dtype: torch.dtype) -> None:
    samples = smooth_picture(9, 14, dtype)
    change = torch.zeros(3, 5, 7)
    torch.testing.assert_close(add_upsampled(samples, change, 2), samples)
    for sign, end in ((1, white_level(samples)), (-1, 0)):
        changed = add_upsampled(samples, change + sign * 2, 2)
        assert changed.dtype == dtype
        assert changed.int().eq(end).all()


def test_the_long_edge_of_a_thumbnail_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "THUMBNAIL_EDGE", 32)
    assert make_thumbnail(smooth_picture(70, 90, torch.float32))[0].shape == (3, 24, 30)


def test_a_small_picture_is_its_own_thumbnail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "THUMBNAIL_EDGE", 32)
    samples = smooth_picture(32, 9, torch.float32)
    assert make_thumbnail(samples)[0] is samples


def test_thumbnail_statistics_give_a_similar_result_and_the_same_one_for_a_small_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resampling, "THUMBNAIL_EDGE", 256)
    pipeline = StylizationPipeline(load_model())
    photo, artwork = (read_picture(EXAMPLES / name) for name in ("content/china.jpg", "style/knife.jpg"))
    style = pipeline.measure(resize_picture(artwork, 256).pixels)
    choices: tuple[ContentStatistics, ...] = ("exact", "thumbnail")
    for size in (256, 512):
        content = resize_picture(photo, size).to_float()
        exact, thumbnail = (
            pipeline.stylize(content, style, StylizeOptions(content_statistics=choice)) for choice in choices
        )
        assert exact.equal(thumbnail) == (size == 256)
        assert (exact - thumbnail).abs().mean() < 0.5 * (exact - content).abs().mean()
