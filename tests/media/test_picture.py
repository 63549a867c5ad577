"""Pictures in memory: depths, floats, and what is refused."""

from __future__ import annotations

import pytest
import torch
from image_files import random_samples

from styletransfer.errors import ImageError
from styletransfer.media import Picture


@pytest.mark.parametrize("depth", [8, 16])
def test_floats_and_back_are_exact(depth: int) -> None:
    picture = Picture(random_samples(3, 40, 31, depth))
    floats = picture.to_float()
    assert floats.shape == (1, 3, 40, 31)
    assert floats.dtype == torch.float32
    assert 0 <= floats.min() <= floats.max() <= 1
    assert torch.equal(Picture.from_float(floats, bit_depth=depth).pixels, picture.pixels)


@pytest.mark.parametrize(("depth", "white"), [(8, 255), (16, 65535)])
def test_floats_are_clamped_and_rounded(depth: int, white: int) -> None:
    values = torch.tensor([-0.5, 0.0, 0.4 / white, 0.6 / white, 1.0, 1.5]).repeat(3, 1, 1)
    picture = Picture.from_float(values, bit_depth=depth)
    assert picture.pixels[0, 0].tolist() == [0, 0, 0, 1, white, white]
    assert (picture.width, picture.height, picture.bit_depth) == (6, 1, depth)


def test_a_result_of_the_network_needs_no_detach() -> None:
    values = torch.rand(1, 3, 2, 2, dtype=torch.bfloat16, requires_grad=True)
    assert not Picture.from_float(values).pixels.requires_grad


def test_depths_widen_exactly_and_narrow_to_the_nearest() -> None:
    narrow = torch.arange(256, dtype=torch.int32).to(torch.uint8).view(1, 1, 256)
    picture = Picture(narrow.repeat(3, 1, 1), narrow)
    wide = picture.with_bit_depth(16)
    assert wide.alpha is not None
    assert wide.alpha[0, 0, [0, 1, 255]].tolist() == [0, 257, 65535]
    back = wide.with_bit_depth(8)
    assert torch.equal(back.pixels, picture.pixels)
    every = torch.arange(65536, dtype=torch.int32)
    nearest = (every.double() / 257).round().to(torch.uint8)
    narrowed = Picture(every.to(torch.uint16).repeat(3, 1, 1)).with_bit_depth(8)
    assert torch.equal(narrowed.pixels[0, 0], nearest)


def test_alpha_takes_the_depth_of_the_result() -> None:
    alpha = random_samples(1, 4, 5)
    picture = Picture.from_float(torch.rand(3, 4, 5), alpha, 16)
    assert picture.alpha is not None
    assert torch.equal(picture.alpha.to(torch.int32), alpha.to(torch.int32) * 257)


@pytest.mark.parametrize(
    ("pixels", "alpha"),
    [
        (torch.zeros(1, 2, 2, dtype=torch.uint8), None),
        (torch.zeros(3, 0, 2, dtype=torch.uint8), None),
        (torch.zeros(3, 2, 2), None),
        (torch.zeros(3, 2, 2, dtype=torch.uint8), torch.zeros(1, 2, 3, dtype=torch.uint8)),
        (torch.zeros(3, 2, 2, dtype=torch.uint8), torch.zeros(1, 2, 2, dtype=torch.uint16)),
    ],
)
def test_wrong_tensors_are_refused(pixels: torch.Tensor, alpha: torch.Tensor | None) -> None:
    with pytest.raises(ImageError):
        Picture(pixels, alpha)


def test_a_batch_is_refused() -> None:
    with pytest.raises(ImageError, match="pixels"):
        Picture.from_float(torch.rand(2, 3, 4, 4))


@pytest.mark.parametrize("depth", [1, 10, 32])
def test_other_bit_depths_are_refused(depth: int) -> None:
    with pytest.raises(ImageError, match="8 or 16"):
        Picture.from_float(torch.rand(3, 2, 2), bit_depth=depth)
    with pytest.raises(ImageError, match="8 or 16"):
        Picture(random_samples(3, 2, 2)).with_bit_depth(depth)
