"""Small copies, and changes brought back from them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from styletransfer.pipeline import reduction
from styletransfer.pipeline.resampling import add_upsampled, average_blocks, white_level

TYPES = [torch.uint8, torch.uint16, torch.float32]


@pytest.fixture(params=[2**22, 1])
def strip_values(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduction, "STRIP_VALUES", request.param)


def picture(height: int, width: int, dtype: torch.dtype = torch.uint8) -> Tensor:
    smooth = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    values = torch.nn.functional.interpolate(smooth, (height, width), mode="bilinear")[0]
    return values if dtype.is_floating_point else (values * torch.iinfo(dtype).max).round().to(dtype)


@pytest.mark.usefixtures("strip_values")
def test_blocks_are_averaged() -> None:
    samples = picture(70, 90)
    reduced = average_blocks(samples, 3)
    assert reduced.shape == (3, 24, 30)
    torch.testing.assert_close(reduced[:, 4, 5], samples[:, 12:15, 15:18].float().mean((1, 2)) / 255)
    torch.testing.assert_close(reduced[:, -1, 0], samples[:, 69:, :3].float().mean((1, 2)) / 255)


@pytest.mark.parametrize("dtype", TYPES)
def test_white_is_one(dtype: torch.dtype) -> None:
    white = 1 if dtype.is_floating_point else torch.iinfo(dtype).max
    assert average_blocks(torch.full((3, 64, 1), white).to(dtype), 4).eq(1).all()


@pytest.mark.usefixtures("strip_values")
@pytest.mark.parametrize("factor", [1, 2, 5])
def test_a_change_is_enlarged_as_one_picture(factor: int) -> None:
    samples = picture(31, 23, torch.float32) * 0.5 + 0.25
    change = 0.2 * (picture(-(-31 // factor), -(-23 // factor), torch.float32) - 0.5)
    enlarged = torch.nn.functional.interpolate(change[None], scale_factor=factor, mode="bilinear")[0]
    torch.testing.assert_close(
        add_upsampled(samples, change, factor), samples + enlarged[:, :31, :23], atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("dtype", TYPES)
def test_changes_stay_in_the_range_of_the_type(dtype: torch.dtype) -> None:
    samples = picture(9, 14, dtype)
    change = torch.zeros(3, 5, 7)
    torch.testing.assert_close(add_upsampled(samples, change, 2), samples)
    for sign, end in ((1, white_level(samples)), (-1, 0)):
        changed = add_upsampled(samples, change + sign * 2, 2)
        assert changed.dtype == dtype
        assert changed.int().eq(end).all()
