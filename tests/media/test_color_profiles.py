"""ICC profiles: pictures with a profile are converted to sRGB."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
import torch
from image_files import (
    curve_profile,
    encoded,
    gray_profile,
    icc_profile,
    image_of,
    matrix_profile,
    parametric_tag,
    png_file,
    random_samples,
    table_profile,
    xyz_tag,
)
from PIL import Image
from torch import Tensor

from styletransfer.media import Picture, read_picture, writable_extensions, write_picture
from styletransfer.media.color_profiles import is_srgb, parse_matrix_profile, srgb_profile
from styletransfer.media.color_space_conversion import encode_srgb

# Adobe RGB (1998), its primaries adapted to D50 as its ICC profile has them.
ADOBE = [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)]
SRGB = [(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)]
SRGB_CURVE = parametric_tag(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
TO_SRGB = torch.tensor(SRGB, dtype=torch.float64).T.inverse()


def expected_srgb(values: Tensor, primaries: list[tuple[float, float, float]], gamma: float) -> Tensor:
    """Convert values in 0..1, [3, H, W], float64, by the formulas of a textbook."""
    columns = torch.tensor(primaries, dtype=torch.float64).T
    linear = torch.einsum("ij,jk,khw->ihw", TO_SRGB, columns, values**gamma)
    return encode_srgb(linear.clamp(0, 1))


def read(file: bytes) -> Picture:
    return read_picture(io.BytesIO(file))


def iccp(profile: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"iCCP", b"test\0\0" + zlib.compress(profile))]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_eight_bits(format: str) -> None:
    samples = random_samples(3, 16, 16)
    options = {"lossless": True} if format == "WEBP" else {}
    file = encoded(image_of(samples, "RGB"), format, icc_profile=matrix_profile(ADOBE, 2.2), **options)
    expected = expected_srgb(samples.double() / 255, ADOBE, 2.19921875) * 255
    pixels = read(file).pixels
    assert (pixels.double() - expected).abs().max() <= 2
    assert (pixels.int() - samples.int()).abs().max() > 20


def test_sixteen_bits() -> None:
    samples = random_samples(3, 16, 16, depth=16)
    pixels = read(png_file(samples, iccp(matrix_profile(ADOBE, 2.2)))).pixels
    expected = expected_srgb(samples.double() / 65535, ADOBE, 2.19921875) * 65535
    # sRGB profiles differ in the fourth digit of the primaries; near black, the curve is steep.
    difference = (pixels.double() - expected).abs() / 257
    assert difference.max() <= 0.5
    assert difference.mean() <= 0.05
    assert pixels.dtype == torch.uint16


def test_16_and_8_bits_agree() -> None:
    narrow = random_samples(3, 16, 16)
    profile = matrix_profile(ADOBE, 1.8)
    deep = read(png_file(Picture(narrow).with_bit_depth(16).pixels, iccp(profile))).with_bit_depth(8)
    flat = read(encoded(image_of(narrow, "RGB"), "PNG", icc_profile=profile))
    assert (deep.pixels.int() - flat.pixels.int()).abs().max() <= 2


def test_alpha_is_not_converted() -> None:
    samples = random_samples(4, 6, 6)
    file = encoded(image_of(samples, "RGBA"), "PNG", icc_profile=matrix_profile(ADOBE, 2.2))
    picture = read(file)
    assert picture.alpha is not None
    assert torch.equal(picture.alpha, samples[3:])
    opaque = read(encoded(image_of(samples[:3], "RGB"), "PNG", icc_profile=matrix_profile(ADOBE, 2.2)))
    assert torch.equal(picture.pixels, opaque.pixels)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_gray(mode: str) -> None:
    samples = random_samples(len(mode), 8, 8)
    file = encoded(image_of(samples, mode), "PNG", icc_profile=gray_profile(1.0))
    expected = encode_srgb(samples[:1].double() / 255) * 255
    picture = read(file)
    assert (picture.pixels.double() - expected).abs().max() <= 2
    assert (picture.alpha is not None) == (mode == "LA")
    deep = Picture(samples[:1].repeat(3, 1, 1)).with_bit_depth(16).pixels[:1]
    pixels = read(png_file(deep, iccp(gray_profile(1.0)))).pixels
    assert (pixels.double() / 257 - expected).abs().max() <= 0.01


def test_gray_in_an_rgb_profile() -> None:
    gray = random_samples(1, 8, 8)
    profile = matrix_profile(SRGB, 1.0)
    pixels = read(encoded(image_of(gray, "L"), "PNG", icc_profile=profile)).pixels
    assert (pixels.double() - encode_srgb(gray.double() / 255) * 255).abs().max() <= 2


def test_palette_in_a_profile() -> None:
    image = Image.new("P", (1, 1))
    image.putpalette([255, 0, 0])
    swapped = matrix_profile([ADOBE[1], ADOBE[0], ADOBE[2]], 2.2)
    pixels = read(encoded(image, "PNG", icc_profile=swapped)).pixels
    assert pixels[:, 0, 0].tolist() == pytest.approx([0, 255, 0], abs=2)


def lightness_to_srgb(lightness: float) -> float:
    """CIELAB L* 0..100 of a gray to 0..255."""
    luminance = ((lightness + 16) / 116) ** 3 if lightness > 8 else lightness / 903.3
    return float(encode_srgb(torch.tensor(luminance))) * 255


def test_cmyk_in_a_profile() -> None:
    profile = table_profile(b"CMYK", 4)
    for ink in ((0, 0, 0, 0), (128, 0, 0, 0), (0, 100, 0, 51), (0, 0, 0, 255)):
        image = Image.new("CMYK", (8, 8), ink)
        expected = [lightness_to_srgb(100 - sum(ink) / 4 / 2.55)] * 3
        for file in (
            encoded(image, "TIFF", icc_profile=profile),
            encoded(image, "JPEG", quality=100, icc_profile=profile),
        ):
            assert read(file).pixels[:, 4, 4].tolist() == pytest.approx(expected, abs=3)


def test_sixteen_bits_in_a_profile_of_tables() -> None:
    """LittleCMS in Pillow has 8 bits only, so the colors are right but not their last bits."""
    samples = random_samples(3, 4, 4, depth=16)
    profile = table_profile(b"RGB ", 3)
    picture = read(png_file(samples, iccp(profile)))
    assert picture.bit_depth == 16
    lightness = 100 - samples.double().mean(0) / 655.35
    expected = torch.tensor([[lightness_to_srgb(value) for value in row] for row in lightness.tolist()])
    assert (picture.pixels.double() / 257 - expected).abs().max() <= 3


def test_srgb_is_not_converted() -> None:
    """Converting sRGB to sRGB would only add rounding errors."""
    samples = random_samples(3, 64, 64, depth=16)
    assert is_srgb(srgb_profile())
    assert not is_srgb(matrix_profile(ADOBE, 2.2))
    assert torch.equal(read(png_file(samples, iccp(srgb_profile()))).pixels, samples)
    # The sRGB profiles of cameras and editors differ in their last digits.
    nearly = curve_profile([(0.43907, 0.22399, 0.01392), *SRGB[1:]], SRGB_CURVE)
    assert is_srgb(nearly)
    assert torch.equal(read(png_file(samples, iccp(nearly))).pixels, samples)


@pytest.mark.parametrize(
    "profile",
    [
        b"nonsense",
        srgb_profile()[:200],
        matrix_profile(ADOBE, 2.2)[:130],
        icc_profile(b"CMYK", {}),
        icc_profile(b"GRAY", {}),
        icc_profile(b"RGB ", {b"rXYZ": xyz_tag((1, 0, 0))}),
    ],
)
def test_a_broken_or_unfit_profile_is_ignored(profile: bytes) -> None:
    samples = random_samples(3, 5, 5)
    assert torch.equal(read(encoded(image_of(samples, "RGB"), "PNG", icc_profile=profile)).pixels, samples)
    deep = random_samples(3, 5, 5, depth=16)
    assert torch.equal(read(png_file(deep, iccp(profile))).pixels, deep)


def test_the_written_profile_does_not_depend_on_the_date() -> None:
    assert struct.unpack_from(">6H", srgb_profile(), 24) == (2000, 1, 1, 0, 0, 0)


@pytest.mark.parametrize("format", sorted({end[1:] for end in writable_extensions()} - {"bmp"}))
@pytest.mark.parametrize("depth", [8, 16])
def test_srgb_is_embedded(format: str, depth: int) -> None:
    buffer = io.BytesIO()
    write_picture(Picture(random_samples(3, 4, 4, depth)), buffer, format=format)
    assert Image.open(buffer).info["icc_profile"] == srgb_profile()


def test_a_profile_with_a_table_is_no_matrix_profile() -> None:
    """If a profile has both, LittleCMS applies the table."""
    primaries = zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(xyz_tag, SRGB), strict=True)
    tags = {**dict(primaries), **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), SRGB_CURVE)}
    assert parse_matrix_profile(icc_profile(b"RGB ", tags)) is not None
    assert parse_matrix_profile(icc_profile(b"RGB ", {**tags, b"A2B0": b"mft2"})) is None


def test_curves() -> None:
    """Every kind of curve becomes the function that it describes."""

    def parse(curve: bytes) -> Tensor:
        parsed = parse_matrix_profile(icc_profile(b"GRAY", {b"kTRC": curve}))
        assert parsed is not None
        return parsed.curves[0]

    def parametric(kind: int, *numbers: float) -> Tensor:
        return parse(parametric_tag(kind, *numbers))

    x = torch.linspace(0, 1, 65536, dtype=torch.float64)
    srgb = torch.where(x < 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)

    def check(curve: Tensor, expected: Tensor) -> None:
        torch.testing.assert_close(curve, expected, rtol=0, atol=2e-4)

    check(parse(b"curv\0\0\0\0\0\0\0\0"), x)
    table = struct.pack(">I3H", 3, 0, 16384, 65535)
    check(parse(b"curv\0\0\0\0" + table)[16384], torch.tensor(0.125).double())
    check(parametric(0, 2.2), x**2.2)
    check(parametric(1, 2, 2, -1), (2 * x - 1).clamp(min=0) ** 2)
    check(parametric(2, 2, 1, -0.5, 0.25), (x - 0.5).clamp(min=0) ** 2 + 0.25)
    check(parse(SRGB_CURVE), srgb)
    kinked = torch.where(x < 0.5, 0.5 * x + 0.2, x**2 + 0.1).clamp(max=1)
    check(parametric(4, 2, 1, 0, 0.5, 0.5, 0.1, 0.2), kinked)
