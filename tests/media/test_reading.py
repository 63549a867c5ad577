"""Reading 8-bit pictures: formats, modes, orientation, alpha."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from image_files import UPRIGHT, encoded, image_of, orientation_exif, random_samples
from PIL import Image

from styletransfer.media import picture_from_pil, read_picture, readable_extensions

SAMPLES = random_samples(3, 5, 7)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
LOSSY = [form for form in ("JPEG", "WEBP", "AVIF") if f".{form.lower()}" in readable_extensions()]
MODES = ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"]


def read(file: bytes) -> torch.Tensor:
    picture = read_picture(io.BytesIO(file))
    assert picture.bit_depth == 8
    return picture.pixels if picture.alpha is None else torch.cat((picture.pixels, picture.alpha))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_lossless_rgb(format: str) -> None:
    assert torch.equal(read(encoded(image_of(SAMPLES, "RGB"), format)), SAMPLES)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma"])
def test_tiff_compressions(compression: str) -> None:
    file = encoded(image_of(SAMPLES, "RGB"), "TIFF", compression=compression)
    assert torch.equal(read(file), SAMPLES)


@pytest.mark.parametrize("format", LOSSY)
def test_lossy_formats(format: str) -> None:
    smooth = torch.linspace(40, 200, 48).to(torch.uint8).repeat(3, 32, 1)
    pixels = read(encoded(image_of(smooth, "RGB"), format, quality=95))
    assert pixels.shape == smooth.shape
    assert (pixels.int() - smooth.int()).abs().max() <= 6


def test_the_first_of_several_frames() -> None:
    first, second = Image.new("RGB", (6, 4), RED), Image.new("RGB", (6, 4), BLUE)
    pixels = read(encoded(first, "GIF", save_all=True, append_images=[second]))
    assert pixels[:3, 2, 3].tolist() == [255, 0, 0]
    # JPEG files of phones often hold a second picture.
    pixels = read(encoded(first, "MPO", save_all=True, append_images=[second]))
    assert pixels[:, 2, 3].tolist() == pytest.approx([255, 0, 0], abs=3)


def test_gray_becomes_three_equal_channels() -> None:
    gray = SAMPLES[:1]
    for mode in ("L", "P"):  # P: a palette of grays
        image = image_of(gray, "L")
        assert torch.equal(read(encoded(image.convert(mode), "PNG")), gray.repeat(3, 1, 1))


def test_one_bit() -> None:
    bits = (random_samples(1, 9, 21).int() > 127).to(torch.uint8) * 255
    image = image_of(bits, "L").convert("1")
    for format in ("PNG", "TIFF", "BMP", "GIF"):
        assert torch.equal(read(encoded(image, format)), bits.repeat(3, 1, 1))


def test_palette() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *GREEN, *BLUE])
    image.putdata([2, 0, 1])
    expected = torch.tensor([BLUE, RED, GREEN], dtype=torch.uint8).T.unsqueeze(1)
    assert torch.equal(read(encoded(image, "PNG")), expected)
    assert torch.equal(read(encoded(image, "TIFF")), expected)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_kept(format: str) -> None:
    samples = random_samples(4, 6, 5).clamp(min=1)
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    assert torch.equal(read(encoded(image_of(samples, "RGBA"), format, **options)), samples)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_gray_with_alpha(format: str) -> None:
    samples = random_samples(2, 6, 5)
    assert torch.equal(read(encoded(image_of(samples, "LA"), format)), samples[[0, 0, 0, 1]])


def test_palette_with_alpha() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *GREEN, *BLUE])
    image.putdata([2, 0, 1])
    pixels = read(encoded(image, "PNG", transparency=bytes([255, 128, 0])))
    assert pixels.squeeze(1).T.tolist() == [[*BLUE, 0], [*RED, 255], [*GREEN, 128]]
    pixels = read(encoded(image, "GIF", transparency=1))
    assert pixels.squeeze(1).T[2].tolist()[3] == 0


def test_one_transparent_color() -> None:
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), GREEN)
    assert read(encoded(image, "PNG", transparency=GREEN))[3].tolist() == [[255, 0]]
    gray = Image.new("L", (2, 1), 10)
    gray.putpixel((1, 0), 200)
    assert read(encoded(gray, "PNG", transparency=200))[3].tolist() == [[255, 0]]


def test_opaque_pictures_have_no_alpha() -> None:
    assert read_picture(io.BytesIO(encoded(image_of(SAMPLES, "RGB"), "PNG"))).alpha is None


def test_cmyk_without_a_profile() -> None:
    ink = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    assert read(encoded(ink, "TIFF"))[:, 0, 0].tolist() == [0, 255, 255]
    # Pillow writes CMYK JPEG as Adobe does, inverted.
    jpeg = encoded(ink, "JPEG", quality=100)
    assert b"Adobe" in jpeg
    assert read(jpeg)[:, 4, 4].tolist() == pytest.approx([0, 255, 255], abs=3)


def test_lab() -> None:
    # L* in 0..255, a* and b* around 128; the red of sRGB is (54.3, 80.8, 69.9) under D50.
    image = Image.new("LAB", (2, 1), (255, 128, 128))
    image.putpixel((1, 0), (138, 209, 198))
    pixels = picture_from_pil(image).pixels
    assert pixels[:, 0, 0].tolist() == pytest.approx([255, 255, 255], abs=2)
    assert pixels[:, 0, 1].tolist() == pytest.approx([255, 0, 0], abs=5)
    assert torch.equal(read(encoded(image, "TIFF")), pixels)


def test_ycbcr_of_a_tiff() -> None:
    smooth = torch.full((3, 16, 16), 90, dtype=torch.uint8)
    smooth[0] = 200
    pixels = read(encoded(image_of(smooth, "RGB"), "TIFF", compression="jpeg", quality=95))
    assert (pixels.int() - smooth.int()).abs().max() <= 4
    pixels = picture_from_pil(image_of(smooth, "RGB").convert("YCbCr")).pixels
    assert (pixels.int() - smooth.int()).abs().max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_orientation(orientation: int, format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    file = encoded(image_of(SAMPLES, "RGB"), format, exif=orientation_exif(orientation), **options)
    assert torch.equal(read(file), UPRIGHT[orientation](SAMPLES))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", sorted({"JPEG", "AVIF"} & set(LOSSY)))
def test_orientation_of_lossy_formats(orientation: int, format: str) -> None:
    corners = torch.zeros(3, 32, 48, dtype=torch.uint8)
    corners[0, :16, :24], corners[1, :16, 24:], corners[2, 16:, :24] = 255, 255, 255
    for image in (image_of(corners, "RGB"), image_of(corners[:1], "L")):
        file = encoded(image, format, quality=95, exif=orientation_exif(orientation))
        expected = UPRIGHT[orientation](corners[: len(image.mode)].expand(3, -1, -1))
        difference = (read(file).int() - expected.int()).abs().float()
        assert difference.mean() < 8  # chroma is subsampled; a wrong turn makes it 60


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    file = encoded(image_of(SAMPLES, "RGB"), "PNG", exif=orientation_exif(orientation))
    assert torch.equal(read(file), SAMPLES)


def test_broken_exif_is_ignored() -> None:
    good = orientation_exif(6).tobytes()
    for exif in (b"Exif\0\0nonsense", good[:12], good[:6] + b"\xff" * 20):
        assert torch.equal(read(encoded(image_of(SAMPLES, "RGB"), "PNG", exif=exif)), SAMPLES)


def test_the_format_is_taken_from_the_content(tmp_path: Path) -> None:
    path = tmp_path / "photograph.jpg"
    path.write_bytes(encoded(image_of(SAMPLES, "RGB"), "PNG"))
    assert torch.equal(read_picture(path).pixels, SAMPLES)
    assert torch.equal(read_picture(str(path)).pixels, SAMPLES)


def test_a_stream_that_cannot_seek() -> None:
    reader = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.write(encoded(image_of(SAMPLES, "RGB"), "PNG"))
        reader.stdin.close()
        assert torch.equal(read_picture(reader.stdout).pixels, SAMPLES)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(1, 1), (1, 9000), (9000, 1), (700, 800)])
def test_extreme_shapes(size: tuple[int, int]) -> None:
    samples = random_samples(3, *size)
    for orientation in (1, 6):
        file = encoded(image_of(samples, "RGB"), "PNG", exif=orientation_exif(orientation))
        assert torch.equal(read(file), UPRIGHT[orientation](samples))


def test_a_pillow_image_is_left_as_it_is() -> None:
    image = image_of(SAMPLES, "RGB")
    image.getexif()[0x0112] = 6
    picture = picture_from_pil(image)
    assert torch.equal(picture.pixels, UPRIGHT[6](SAMPLES))
    assert image.size == (7, 5)
    assert image.getexif()[0x0112] == 6
    assert image.tobytes() == image_of(SAMPLES, "RGB").tobytes()


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_pillow(mode: str) -> None:
    image = Image.new(mode, (3, 2))
    picture = picture_from_pil(image)
    assert picture.pixels.shape == (3, 2, 3)
    assert (picture.alpha is not None) == (mode in {"LA", "La", "PA", "RGBA", "RGBa"})
