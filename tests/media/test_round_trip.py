"""Writing and reading again keeps size, bit depth and alpha, for every format."""

from __future__ import annotations

import io

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import UPRIGHT, encoded, image_of, orientation_exif, random_samples
from PIL import Image

from styletransfer.media import (
    Picture,
    picture_from_pil,
    picture_to_pil,
    read_picture,
    writable_extensions,
    write_picture,
)

EDGES = st.integers(1, 70)
LOSSLESS = {8: {"png", "tiff", "bmp"}, 16: {"png", "tiff"}}
OTHERS = ["PNG", "TIFF"]
OPAQUE = {"bmp", "jpeg"}
FORMATS = sorted({"png", "tiff", "bmp", "jpeg", "webp", "avif"} & {end[1:] for end in writable_extensions()})


@given(EDGES, EDGES, st.sampled_from([8, 16]), st.booleans(), st.sampled_from(FORMATS), st.integers(0, 99))
@settings(max_examples=150)
def test_through_a_file(
    height: int, width: int, depth: int, translucent: bool, format: str, seed: int
) -> None:
    alpha = random_samples(1, height, width, depth, seed + 1) if translucent else None
    picture = Picture(random_samples(3, height, width, depth, seed), alpha)
    buffer = io.BytesIO()
    write_picture(picture, buffer, format=format)
    buffer.seek(0)
    result = read_picture(buffer)
    assert result.pixels.shape == picture.pixels.shape
    assert result.bit_depth == (depth if format in LOSSLESS[16] else 8)
    assert (result.alpha is not None) == (translucent and format not in OPAQUE)
    if format in LOSSLESS[depth] and not (translucent and format in OPAQUE):
        assert torch.equal(result.pixels, picture.pixels)
        if alpha is not None:
            assert result.alpha is not None
            assert torch.equal(result.alpha, alpha)


@given(EDGES, EDGES, st.sampled_from(["L", "LA", "RGB", "RGBA"]), st.integers(1, 8), st.sampled_from(OTHERS))
@settings(max_examples=100)
def test_of_a_file_by_pillow(height: int, width: int, mode: str, orientation: int, format: str) -> None:
    samples = random_samples(len(mode), height, width)
    file = encoded(image_of(samples, mode), format, exif=orientation_exif(orientation))
    result = read_picture(io.BytesIO(file))
    expected = UPRIGHT[orientation](samples)
    assert torch.equal(result.pixels, expected[:3] if "RGB" in mode else expected[:1].repeat(3, 1, 1))
    if mode.endswith("A"):
        assert result.alpha is not None
        assert torch.equal(result.alpha, expected[-1:])
    else:
        assert result.alpha is None


@given(EDGES, EDGES, st.sampled_from(["RGB", "RGBA"]))
@settings(max_examples=30)
def test_through_pillow(height: int, width: int, mode: str) -> None:
    image: Image.Image = image_of(random_samples(len(mode), height, width), mode)
    again = picture_to_pil(picture_from_pil(image))
    assert (again.mode, again.size, again.tobytes()) == (mode, image.size, image.tobytes())
