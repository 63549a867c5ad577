"""Hidden colors of transparent pixels: they are filled from visible ones and never show."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from image_files import encoded, image_of, random_samples
from PIL import Image

from styletransfer.media import Picture, read_picture, readable_extensions


def disc(height: int = 61, width: int = 83, depth: int = 8) -> torch.Tensor:
    """An alpha channel: an opaque disc with a soft edge."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = ((y - height / 2) ** 2 + (x - width / 2) ** 2).sqrt()
    alpha: torch.Tensor = (20 - distance).clamp(0, 4) / 4 * (2**depth - 1)
    return alpha.round().int().to(torch.uint8 if depth == 8 else torch.uint16).unsqueeze(0)


def hide(pixels: torch.Tensor, alpha: torch.Tensor, color: int) -> Picture:
    """The picture with another color under its fully transparent pixels."""
    hidden = torch.where(alpha == 0, torch.tensor(color), pixels.int())
    return Picture(hidden.to(pixels.dtype), alpha)


@pytest.mark.parametrize("depth", [8, 16])
def test_visible_pixels_stay_and_hidden_colors_do_not_count(depth: int) -> None:
    alpha = disc(depth=depth)
    pixels = random_samples(3, 61, 83, depth)
    black, white = (hide(pixels, alpha, color) for color in (0, 2**depth - 1))
    filled = black.with_hidden_colors_filled()
    assert torch.equal(filled.pixels, white.with_hidden_colors_filled().pixels)
    visible = (alpha.int() >= 2**depth / 8).expand(3, -1, -1)
    assert torch.equal(filled.pixels[visible], pixels[visible])
    assert filled.alpha is alpha


@pytest.mark.parametrize("depth", [8, 16])
def test_hidden_pixels_take_the_colors_beside_them(depth: int) -> None:
    """Red on the left and green on the right, with transparent pixels between and around."""
    white = 2**depth - 1
    dtype = torch.uint8 if depth == 8 else torch.uint16
    pixels, alpha = torch.zeros(3, 40, 120, dtype=torch.int32), torch.zeros(1, 40, 120, dtype=torch.int32)
    pixels[0, :, :60], pixels[1, :, 60:], pixels[2] = white, white, 0
    alpha[:, 10:30, 10:30], alpha[:, 10:30, 90:110] = white, white
    pixels = torch.where(alpha == 0, torch.tensor(white // 3), pixels)
    filled = Picture(pixels.to(dtype), alpha.to(dtype)).with_hidden_colors_filled().pixels.double() / white
    assert filled[0, :, :32].min() > 0.85
    assert filled[1, :, 88:].min() > 0.85
    assert filled[2].max() == 0
    sums = filled[:2].sum(0)
    assert (sums - 1).abs().max() < 0.02  # mixtures between them, nothing else


def test_a_flat_picture_is_filled_flat() -> None:
    pixels = torch.full((3, 61, 83), 200, dtype=torch.uint8)
    filled = hide(pixels, disc(), 7).with_hidden_colors_filled()
    assert torch.equal(filled.pixels, pixels)


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Picture(random_samples(3, 200, 90), disc(200, 90))
    whole = picture.with_hidden_colors_filled()
    white = picture.on_white()
    monkeypatch.setattr("styletransfer.media.picture.STRIP_PIXELS", 1000)
    assert torch.equal(picture.with_hidden_colors_filled().pixels, whole.pixels)
    assert torch.equal(picture.on_white().pixels, white.pixels)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (7, 2), (4, 4), (5, 33)])
def test_any_size(height: int, width: int) -> None:
    pixels = random_samples(3, height, width)
    alpha = torch.zeros(1, height, width, dtype=torch.uint8)
    assert set(Picture(pixels, alpha).with_hidden_colors_filled().pixels.flatten().tolist()) == {128}
    alpha[0, 0, 0] = 1
    filled = Picture(pixels, alpha).with_hidden_colors_filled().pixels
    assert torch.equal(filled, pixels[:, :1, :1].expand_as(filled))


def test_opaque_pictures_are_returned() -> None:
    opaque = Picture(random_samples(3, 5, 6))
    assert opaque.with_hidden_colors_filled() is opaque
    assert opaque.on_white() is opaque
    assert opaque.coverage() is None
    covered = Picture(random_samples(3, 5, 6), random_samples(1, 5, 6).clamp(min=32))
    assert covered.with_hidden_colors_filled() is covered


def test_faint_pixels_have_little_say() -> None:
    """A color of opacity 1 of 255 cannot be seen, but would be an edge for a network."""
    pixels = torch.full((3, 24, 24), 200, dtype=torch.uint8)
    alpha = torch.full((1, 24, 24), 255, dtype=torch.uint8)
    pixels[:, 8:16, 8:16], alpha[:, 8:16, 8:16] = 0, 1
    filled = Picture(pixels, alpha).with_hidden_colors_filled().pixels
    assert (filled.int() - 200).abs().max() <= 20


def test_ink_that_is_alpha_and_drawings_are_laid_on_paper() -> None:
    ink = Picture(torch.zeros(3, 61, 83, dtype=torch.uint8), disc())
    assert torch.equal(ink.as_style().pixels, ink.on_white().pixels)
    assert ink.as_style().alpha is None
    lines = Picture(random_samples(3, 61, 83), disc() // 4)
    assert lines.as_style().alpha is None
    painting = Picture(random_samples(3, 30, 30), disc(30, 30))
    assert torch.equal(painting.as_style().pixels, painting.with_hidden_colors_filled().pixels)
    flat = Picture(torch.zeros(3, 8, 8, dtype=torch.uint8), torch.full((1, 8, 8), 128, dtype=torch.uint8))
    assert flat.as_style() is flat
    opaque = Picture(random_samples(3, 8, 8))
    assert opaque.as_style() is opaque


@pytest.mark.parametrize("depth", [8, 16])
def test_coverage(depth: int) -> None:
    coverage = Picture(random_samples(3, 61, 83, depth), disc(depth=depth)).coverage()
    assert coverage is not None
    assert coverage.shape == (1, 1, 61, 83)
    assert coverage.dtype == torch.float32
    assert (coverage.min().item(), coverage.max().item()) == (0, 1)


def test_on_white() -> None:
    alpha = torch.tensor([[[0, 51, 255]]], dtype=torch.uint8)
    picture = Picture(torch.zeros(3, 1, 3, dtype=torch.uint8), alpha)
    assert picture.on_white().pixels[0, 0].tolist() == [255, 204, 0]
    assert picture.on_white().alpha is None


def palette_image(colors: list[int]) -> bytes:
    image = Image.new("P", (16, 16))
    image.putpalette(colors)
    image.paste(1, (4, 4, 12, 12))
    return encoded(image, "PNG", transparency=bytes([0, 255]))


def rgba_files(hidden: int) -> dict[str, bytes]:
    """Files that look alike: a red square on a transparent ground of a hidden color."""
    samples = torch.full((4, 16, 16), hidden, dtype=torch.uint8)
    samples[3] = 0
    samples[:, 4:12, 4:12] = torch.tensor([200, 30, 60, 255], dtype=torch.uint8).view(4, 1, 1)
    image, lossless = image_of(samples, "RGBA"), {"lossless": True, "exact": True}
    gray = image_of(samples[[0, 3]], "LA")
    options: dict[str, dict[str, Any]] = {"PNG": {}, "TIFF": {}, "WEBP": lossless, "TGA": {}}
    files = {form: encoded(image, form, **keywords) for form, keywords in options.items()}
    files["palette"] = palette_image([hidden] * 3 + [200, 30, 60])
    files["LA"] = encoded(gray, "PNG")
    image = Image.new("P", (16, 16))
    image.putpalette([hidden] * 3 + [200, 30, 60])
    image.paste(1, (4, 4, 12, 12))
    files["GIF"] = encoded(image, "GIF", transparency=0)
    if ".avif" in readable_extensions():
        files["AVIF"] = encoded(image_of(samples, "RGBA"), "AVIF", quality=100)
    return files


@pytest.mark.parametrize("kind", rgba_files(0))
def test_files_that_look_alike_become_alike(kind: str) -> None:
    results = []
    for hidden in (0, 255):
        picture = read_picture(io.BytesIO(rgba_files(hidden)[kind]))
        assert picture.alpha is not None
        results.append(picture.with_hidden_colors_filled().pixels.int())
    assert (results[0] - results[1]).abs().max() <= (40 if kind == "AVIF" else 0)
