"""Color descriptions other than ICC profiles: PNG chunks, CICP, TIFF and BMP tags, Adobe RGB in EXIF."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
import tifffile
import torch
from image_files import (
    encoded,
    gamma_tag,
    icc_profile,
    image_of,
    matrix_profile,
    png_file,
    random_samples,
    with_png_chunks,
    xyz_tag,
)
from PIL import ExifTags, Image

from styletransfer.media import picture_from_pil, read_picture, readable_extensions
from styletransfer.media.color_profiles import srgb_profile
from styletransfer.media.color_space_conversion import (
    SRGB_PRIMARIES,
    compress_highlights,
    decode_pq,
    decode_srgb,
    encode_pq,
    encode_srgb,
    encoding_from_cicp,
    encoding_from_gamma,
)

COLOR = (100, 200, 60)
IN_SRGB = [45, 203, 6]  # COLOR as Display P3
FROM_ADOBE = [0, 201, 40]  # COLOR as Adobe RGB (1998)
PRIMARIES = [(0.2, 0.6, 0.1), (0.6, 0.3, 0.0), (0.15, 0.1, 0.7)]
SWAPPED = matrix_profile(PRIMARIES, 2.2)  # red for green
DISPLAY_P3 = (b"cICP", bytes((12, 13, 0, 1)))
LINEAR = (b"gAMA", struct.pack(">I", 100_000))
SRGB_CHUNK = (b"sRGB", b"\0")
ICC_CHUNK = (b"iCCP", b"x\0\0" + zlib.compress(SWAPPED))
needs_avif = pytest.mark.skipif(".avif" not in readable_extensions(), reason="this Pillow has no AVIF")


def chromaticities(*points: float) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(point * 100_000) for point in points))


P3_CHROMATICITIES = chromaticities(0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
SRGB_CHROMATICITIES = chromaticities(0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)


def flat(color: tuple[int, ...], depth: int = 8) -> torch.Tensor:
    samples = torch.tensor(color, dtype=torch.int32).view(-1, 1, 1).expand(-1, 8, 8)
    return (samples * (257 if depth == 16 else 1)).to(torch.uint8 if depth == 8 else torch.uint16)


def png(color: tuple[int, ...], *chunks: tuple[bytes, bytes], depth: int = 8) -> bytes:
    if depth == 16:
        return png_file(flat(color, 16), chunks)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[len(color)]
    return with_png_chunks(encoded(image_of(flat(color), mode), "PNG"), *chunks)


def color_of(file: bytes) -> list[float]:
    picture = read_picture(io.BytesIO(file))
    white = 2**picture.bit_depth - 1
    return [value * 255 / white for value in picture.pixels[:, 4, 4].tolist()]


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    ("color", "chunks", "expected"),
    [
        (COLOR, [DISPLAY_P3], IN_SRGB),
        ((128, 128, 128), [LINEAR], [188] * 3),
        ((128,), [LINEAR], [188] * 3),
        ((128, 77), [LINEAR], [188] * 3),
        ((*COLOR, 200), [DISPLAY_P3], IN_SRGB),
        (COLOR, [P3_CHROMATICITIES], IN_SRGB),
        (COLOR, [P3_CHROMATICITIES, (b"gAMA", struct.pack(">I", 45_455))], IN_SRGB),
        # Precedence: cICP, iCCP, sRGB, gAMA with cHRM.
        (COLOR, [DISPLAY_P3, ICC_CHUNK], IN_SRGB),
        (COLOR, [DISPLAY_P3, SRGB_CHUNK, LINEAR], IN_SRGB),
        (COLOR, [SRGB_CHUNK, LINEAR, P3_CHROMATICITIES], COLOR),
        (COLOR, [(b"cICP", b"\xff\xff\0\1"), LINEAR], [168, 229, 133]),  # reserved code points
        (COLOR, [(b"cICP", b"\2\2\0\1"), LINEAR], [168, 229, 133]),  # unspecified
        (COLOR, [(b"cICP", bytes((12, 13, 1, 1)))], COLOR),  # PNG has no YCbCr
        (COLOR, [(b"iCCP", b"x\0\0" + zlib.compress(b"broken")), LINEAR], [168, 229, 133]),
        # What many encoders write for sRGB.
        (COLOR, [(b"gAMA", struct.pack(">I", 45_455)), SRGB_CHROMATICITIES], COLOR),
        (COLOR, [(b"gAMA", struct.pack(">I", 0))], COLOR),
        (COLOR, [chromaticities(0, 0, 0, 0, 0, 0, 0, 0)], COLOR),
        # Narrow range: 16 is black and 235 is white.
        ((16, 235, 128), [(b"cICP", bytes((1, 13, 0, 0)))], [0, 255, 130]),
    ],
)
def test_png(
    color: tuple[int, ...], chunks: list[tuple[bytes, bytes]], expected: list[float], depth: int
) -> None:
    assert color_of(png(color, *chunks, depth=depth)) == pytest.approx(expected, abs=1)


def test_an_icc_profile_precedes_gamma() -> None:
    red, green, blue = color_of(png(COLOR, ICC_CHUNK, LINEAR))
    assert red > 180 > green  # exchanged by the profile
    assert [red, green, blue] == color_of(png(COLOR, ICC_CHUNK))


def test_alpha_and_palette_with_gamma() -> None:
    file = png((128, 128, 128, 77), LINEAR)
    picture = read_picture(io.BytesIO(file))
    assert picture.alpha is not None
    assert set(picture.alpha.flatten().tolist()) == {77}
    image = Image.new("P", (8, 8))
    image.putpalette([128, 128, 128])
    assert color_of(with_png_chunks(encoded(image, "PNG"), LINEAR)) == pytest.approx([188] * 3, abs=1)


def test_a_pillow_image_with_gamma() -> None:
    image = Image.open(io.BytesIO(png((128, 128, 128), LINEAR)))
    assert picture_from_pil(image).pixels[:, 0, 0].tolist() == [188] * 3


def pq_file(light: list[float], primaries: int = 9) -> bytes:
    """A PNG of gray pixels with this light in cd/m², side by side."""
    values = encode_pq(torch.tensor(light, dtype=torch.float64) / 10_000)
    samples = values.mul(65535).round().to(torch.int32).to(torch.uint16).repeat(3, 1, 1)
    return png_file(samples, [(b"cICP", bytes((primaries, 16, 0, 1)))])


def test_pq_without_highlights_is_exact() -> None:
    """203 cd/m² are diffuse white."""
    pixels = read_picture(io.BytesIO(pq_file([0, 20.3, 101.5, 203]))).pixels
    expected = encode_srgb(torch.tensor([0, 0.1, 0.5, 1], dtype=torch.float64)) * 65535
    assert (pixels.double() - expected).abs().max() < 20


def test_pq_with_highlights_is_compressed() -> None:
    light = [0.0, 10, 50, 100, 203, 400, 700, 1000]
    pixels = read_picture(io.BytesIO(pq_file(light))).pixels[:, 0]
    assert (pixels.int() - pixels[:1].int()).abs().max() <= 1  # gray stays gray
    levels = pixels[0].double() / 257
    expected = encode_srgb(torch.tensor(light[:3], dtype=torch.float64) / 203) * 255
    assert (levels[:3] - expected).abs().max() < 0.5
    assert levels.diff().min() > 0.1
    assert levels[-1] == pytest.approx(255, abs=0.2)
    assert levels[4] > 220  # white paper stays light


@pytest.mark.parametrize("depth", [8, 16])
def test_a_profile_of_pq_is_tone_mapped(depth: int) -> None:
    """Its curves alone would make 203 cd/m² darker than 2 % of white."""
    cicp = b"cicp\0\0\0\0" + bytes((9, 16, 0, 1))
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(xyz_tag, PRIMARIES), strict=True)
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma_tag(4.0))
    profile = icc_profile(b"RGB ", {**dict(columns), **curves, b"cicp": cicp})
    level = round(encode_pq(torch.tensor(203 / 10_000)).item() * 255)
    chunk = (b"iCCP", b"x\0\0" + zlib.compress(profile))
    assert color_of(png((level,) * 3, chunk, depth=depth)) == pytest.approx([255] * 3, abs=2)
    buffer = io.BytesIO()
    samples = flat((level,) * 3, depth).permute(1, 2, 0).contiguous().numpy()
    tifffile.imwrite(buffer, samples, photometric="rgb", iccprofile=profile)
    assert color_of(buffer.getvalue()) == pytest.approx([255] * 3, abs=2)


def test_hlg_white_and_peak() -> None:
    """75 % are diffuse white (ITU-R BT.2408)."""
    values = [0, round(0.5 * 65535), round(0.75 * 65535)]
    samples = torch.tensor(values, dtype=torch.int32).to(torch.uint16).repeat(3, 1, 1)
    levels = read_picture(io.BytesIO(png_file(samples, [(b"cICP", bytes((9, 18, 0, 1)))]))).pixels[0, 0]
    assert levels[0] == 0
    assert levels[1] / 257 == pytest.approx(float(encode_srgb(torch.tensor(50.7 / 203))) * 255, abs=1)
    assert levels[2] / 257 == pytest.approx(255, abs=0.5)


def test_compressed_highlights_increase_up_to_white() -> None:
    light = torch.linspace(0, 4000, 5000)
    compressed = compress_highlights(light, 4000)
    assert compressed.diff().min() >= -0.05
    assert compressed.max() == pytest.approx(203, abs=0.1)
    assert torch.equal(compress_highlights(light, 200), light)


def test_transfer_functions_and_their_inverses() -> None:
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)
    torch.testing.assert_close(decode_pq(encode_pq(x)), x)
    torch.testing.assert_close(encode_srgb(decode_srgb(x)), x)
    for code in range(256):
        encoding = encoding_from_cicp(1, code)
        if encoding is not None:
            assert encoding.curves.diff().min() >= -2e-5
            assert 0 <= encoding.curves.min() <= encoding.curves.max() <= 1


def test_every_matrix_keeps_white() -> None:
    for code in range(256):
        encoding = encoding_from_cicp(code, 13)
        if encoding is not None:
            torch.testing.assert_close(encoding.matrix.sum(1), torch.ones(3, dtype=torch.float64))
    degenerate = SRGB_PRIMARIES._replace(red=(0.3, 0.6))
    assert encoding_from_gamma(2.0, degenerate) is None


def avif(primaries: int, transfer: int, **options: Any) -> bytes:
    file = encoded(image_of(flat(COLOR), "RGB"), "AVIF", quality=100, **options)
    written = b"nclx" + struct.pack(">HH", 1, 13)
    return file.replace(written, b"nclx" + struct.pack(">HH", primaries, transfer))


@needs_avif
def test_avif() -> None:
    assert color_of(avif(1, 13)) == pytest.approx(COLOR, abs=3)
    assert color_of(avif(12, 13)) == pytest.approx(IN_SRGB, abs=8)
    assert color_of(avif(1, 8)) == pytest.approx([168, 229, 133], abs=3)


@needs_avif
def test_an_icc_profile_of_an_avif_precedes() -> None:
    file = encoded(image_of(flat(COLOR), "RGB"), "AVIF", quality=100, icc_profile=srgb_profile())
    assert color_of(file) == pytest.approx(COLOR, abs=3)


def exif_with_interoperability(index: str, color_space: int) -> Image.Exif:
    exif = Image.Exif()
    interoperability = {ExifTags.Interop.InteropIndex: index}
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ColorSpace: color_space, ExifTags.IFD.Interop: interoperability}
    return exif


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_adobe_rgb_in_exif(format: str) -> None:
    image = image_of(flat(COLOR), "RGB")
    for index, space, expected in (("R03", 65535, FROM_ADOBE), ("R98", 1, COLOR), ("", 2, FROM_ADOBE)):
        exif = exif_with_interoperability(index, space)
        file = encoded(image, format, quality=100, exif=exif)
        assert color_of(file) == pytest.approx(expected, abs=5)
    file = encoded(image, format, quality=100, exif=exif, icc_profile=srgb_profile())
    assert color_of(file) == pytest.approx(COLOR, abs=4)


def rationals(*numbers: float) -> tuple[int, ...]:
    return tuple(part for number in numbers for part in (round(number * 10_000), 10_000))


@pytest.mark.parametrize("depth", [8, 16])
def test_tiff(depth: int) -> None:
    def tiff(*tags: tuple[Any, ...]) -> bytes:
        buffer = io.BytesIO()
        samples = flat(COLOR, depth).permute(1, 2, 0).contiguous().numpy()
        tifffile.imwrite(buffer, samples, photometric="rgb", extratags=tags, metadata=None)
        return buffer.getvalue()

    primaries = (319, "2I", 6, rationals(0.68, 0.32, 0.265, 0.69, 0.15, 0.06), True)
    white = (318, "2I", 2, rationals(0.3127, 0.329), True)
    assert color_of(tiff(primaries, white)) == pytest.approx(IN_SRGB, abs=1)
    assert color_of(tiff(primaries)) == pytest.approx(IN_SRGB, abs=1)
    linear = tuple(round(65535 * level / (2**depth - 1)) for level in range(2**depth))
    assert color_of(tiff((301, "H", len(linear), linear, True))) == pytest.approx([168, 229, 133], abs=1)
    assert color_of(tiff((301, "H", 3 * len(linear), linear * 3, True))) == pytest.approx(
        [168, 229, 133], abs=1
    )


def bmp(kind: int, ends: tuple[float, ...] = (), gamma: float = 0.0, profile: bytes = b"") -> bytes:
    """A BMP of 8 x 8 pixels with a version 5 header."""
    pixels = bytes(COLOR[::-1]) * 64
    fixed = [round(number * 2**30) for number in ends] or [0] * 9
    header = struct.pack("<IiiHHIIiiII", 124, 8, 8, 1, 24, 0, len(pixels), 0, 0, 0, 0) + bytes(16)
    header += struct.pack("<I9i3I", kind, *fixed, *[round(gamma * 65536)] * 3)
    header += struct.pack("<IIII", 4, 124 + len(pixels) if profile else 0, len(profile), 0)
    start = struct.pack("<2sIHHI", b"BM", 138 + len(pixels) + len(profile), 0, 0, 138)
    return start + header + pixels + profile


P3_ENDS = (0.68, 0.32, 0.0, 0.265, 0.69, 0.045, 0.15, 0.06, 0.79)


def test_bmp() -> None:
    assert color_of(bmp(0x73524742)) == list(COLOR)
    assert color_of(bmp(0, P3_ENDS, 2.2)) == pytest.approx(IN_SRGB, abs=1)
    assert color_of(bmp(0, P3_ENDS, 1 / 2.2)) == pytest.approx(IN_SRGB, abs=1)
    assert color_of(bmp(0, (0.64, 0.33, 0.03, 0.3, 0.6, 0.1, 0.15, 0.06, 0.79), 1.0)) == pytest.approx(
        [168, 229, 133], abs=1
    )
    assert color_of(bmp(0)) == list(COLOR)  # calibrated, but by nothing
    red, green, _ = color_of(bmp(0x4D424544, profile=SWAPPED))
    assert red > 180 > green


def test_a_large_picture_is_converted_in_strips() -> None:
    samples = random_samples(3, 900, 700)
    file = with_png_chunks(encoded(image_of(samples, "RGB"), "PNG"), LINEAR)
    expected = encode_srgb(samples.double() / 255) * 255
    assert (read_picture(io.BytesIO(file)).pixels.double() - expected).abs().max() <= 0.51
