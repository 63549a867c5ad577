"""Resizing: size, aspect ratio, antialiasing and hidden colors of transparent pixels."""

from __future__ import annotations

import pytest
import torch
from image_files import image_of, random_samples
from PIL import Image

from styletransfer.errors import ImageError
from styletransfer.media import Picture, picture_from_pil, resize_picture


@pytest.mark.parametrize(
    ("size", "long_edge", "expected"),
    [
        ((40, 30), 20, (20, 15)),
        ((30, 40), 80, (60, 80)),
        ((1000, 1), 10, (10, 1)),
        ((7, 7), 1, (1, 1)),
        ((3, 200), 2, (1, 2)),
    ],
)
@pytest.mark.parametrize("depth", [8, 16])
def test_the_long_edge_is_reached_and_the_aspect_kept(
    size: tuple[int, int], long_edge: int, expected: tuple[int, int], depth: int
) -> None:
    width, height = size
    picture = Picture(random_samples(3, height, width, depth), random_samples(1, height, width, depth))
    result = resize_picture(picture, long_edge)
    assert (result.width, result.height) == expected
    assert result.bit_depth == depth
    assert result.alpha is not None


def test_the_same_size_is_the_same_picture() -> None:
    picture = Picture(random_samples(3, 5, 9))
    assert resize_picture(picture, 9) is picture


@pytest.mark.parametrize("depth", [8, 16])
def test_shrinking_antialiases(depth: int) -> None:
    white = 2**depth - 1
    stripes = torch.zeros(3, 64, 64, dtype=torch.int32)
    stripes[:, :, ::2] = white
    result = resize_picture(Picture(stripes.to(torch.uint8 if depth == 8 else torch.uint16)), 16)
    inside = result.pixels[:, :, 2:-2]  # the last stripe has no counterpart beyond the edge
    assert (inside.double() / white - 0.5).abs().max() < 0.01


def test_resizing_agrees_with_pillows_bicubic() -> None:
    samples = random_samples(3, 60, 80)
    expected = image_of(samples, "RGB").resize((20, 15), Image.Resampling.BICUBIC)
    difference = resize_picture(Picture(samples), 20).pixels.int() - picture_from_pil(expected).pixels.int()
    assert difference.abs().max() <= 1


def test_hidden_colors_do_not_bleed() -> None:
    pixels = torch.zeros(3, 8, 8, dtype=torch.uint8)
    pixels[0, :, :4], pixels[1, :, 4:] = 200, 255  # visible red and hidden green
    alpha = torch.zeros(1, 8, 8, dtype=torch.uint8)
    alpha[:, :, :4] = 255
    result = resize_picture(Picture(pixels, alpha), 3)
    assert result.alpha is not None
    visible = result.alpha[0] > 0
    assert visible.any()
    assert result.pixels[1][visible].max() <= 1
    assert (result.pixels[0][visible].int() - 200).abs().max() <= 2


def test_flat_stays_flat() -> None:
    picture = Picture(torch.full((3, 31, 17), 1000, dtype=torch.int32).to(torch.uint16))
    for long_edge in (1, 9, 100):
        assert (resize_picture(picture, long_edge).pixels.int() == 1000).all()


def test_below_one_pixel_is_refused() -> None:
    with pytest.raises(ImageError, match="at least 1"):
        resize_picture(Picture(random_samples(3, 5, 9)), 0)
