"""One file of every sample type and channel layout that TIFF, PNG, BMP and PNM hold gives the right value."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from raster_files import bmp_bytes, pack_rows, png_bytes, tiff_bytes

from styletransfer.errors import ImageError
from styletransfer.media import read_picture

Array = NDArray[Any]
H, W = 6, 7
GRAY = np.linspace(0, 1, H * W).reshape(H, W)
RGB = np.stack((GRAY, GRAY[::-1], np.full_like(GRAY, 0.25)), -1)
ALPHA = np.linspace(0.3, 1, H * W).reshape(H, W)
WHITES = {
    **{f"uint{bits}": 2**bits - 1 for bits in (8, 16, 32, 64)},
    **{f"int{bits}": 2 ** (bits - 1) - 1 for bits in (8, 16, 32, 64)},
    **{f"float{bits}": 1 for bits in (16, 32, 64)},
}
PALETTE = np.random.default_rng(0).integers(0, 256, (256, 3))


def check(file: bytes, expected: Array, alpha: Array | None = None, tolerance: float = 4) -> None:
    """Compare a file with values in 0..1, [H, W] or [H, W, 3], to within levels of 255."""
    picture = read_picture(io.BytesIO(file))
    white = 2**picture.bit_depth - 1
    pixels = picture.pixels.numpy().astype(float).transpose(1, 2, 0) / white
    expected = expected if expected.ndim == 3 else expected[..., None]
    assert pixels.shape == (*expected.shape[:2], 3)
    assert np.abs(pixels - expected).max() * 255 <= tolerance
    if alpha is None:
        assert picture.alpha is None
    else:
        assert picture.alpha is not None
        opacity = picture.alpha.numpy().astype(float)[0] / white
        assert np.abs(opacity - alpha).max() * 255 <= tolerance


def stored(values: Array, dtype: str) -> Array:
    white = WHITES[dtype]
    if white == 1:
        return values.astype(dtype)
    counts = [min(round(value * white), white) for value in values.ravel().tolist()]
    return np.array(counts, dtype).reshape(values.shape)


def tiff(data: Array, *, planar: bool = False, **options: Any) -> bytes:
    buffer = io.BytesIO()
    if planar:
        data, options = np.ascontiguousarray(data.transpose(2, 0, 1)), {**options, "planarconfig": "separate"}
    elif data.ndim == 3:
        options["planarconfig"] = "contig"
    tifffile.imwrite(buffer, data, metadata=None, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", WHITES)
@pytest.mark.parametrize("layout", ["minisblack", "miniswhite", "rgb", "planar rgb"])
def test_tiff(layout: str, dtype: str) -> None:
    values = RGB if "rgb" in layout else GRAY
    written = stored(1 - values if layout == "miniswhite" else values, dtype)
    file = tiff(written, planar="planar" in layout, photometric=layout.removeprefix("planar "))
    check(file, values)


@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha", "unspecified"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int8", "int16", "float32"])
@pytest.mark.parametrize("layout", ["minisblack", "miniswhite", "rgb", "planar minisblack", "planar rgb"])
def test_tiff_with_an_extra_channel(layout: str, dtype: str, extra: str) -> None:
    values = RGB if "rgb" in layout else GRAY[..., None]
    colors = values * ALPHA[..., None] if extra == "assocalpha" else values
    colors = 1 - colors if layout == "miniswhite" else colors
    if layout == "miniswhite" and extra == "assocalpha":
        pytest.skip("premultiplied ink is not defined")
    written = stored(np.concatenate((colors, ALPHA[..., None]), -1), dtype)
    photometric = layout.removeprefix("planar ")
    file = tiff(written, planar="planar" in layout, photometric=photometric, extrasamples=[extra])
    tolerance = 6 if dtype == "int8" else 4  # of 7 bits, divided by an opacity of 0.3
    check(file, values, None if extra == "unspecified" else ALPHA, tolerance)


@pytest.mark.parametrize("bits", range(1, 17))
@pytest.mark.parametrize("layout", ["gray", "rgb"])
def test_tiff_with_any_number_of_bits(layout: str, bits: int) -> None:
    values = RGB if layout == "rgb" else GRAY[..., None]
    counts = np.round(values * (2**bits - 1)).astype(int)
    count = counts.shape[2]
    tags: dict[int, list[int] | int] = {256: W, 257: H, 258: [bits] * count, 259: 1, 277: count}
    tags[262] = 2 if count == 3 else 1
    data = pack_rows(counts.reshape(H, -1).tolist(), bits, "little")
    check(tiff_bytes(tags, data), counts / (2**bits - 1))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_tiff_with_a_palette(bits: int) -> None:
    indices = np.arange(H * W).reshape(H, W) * (1000 if bits == 16 else 1) % 2**bits
    colormap = np.random.default_rng(0).integers(0, 2**16, (3, 2**bits))
    tags: dict[int, list[int] | int] = {256: W, 257: H, 258: bits, 259: 1, 262: 3, 277: 1}
    tags[320] = colormap.ravel().tolist()
    file = tiff_bytes(tags, pack_rows(indices.tolist(), bits, "little"))
    check(file, colormap[:, indices].transpose(1, 2, 0) / 65535)
    tags[320] = (colormap >> 8).ravel().tolist()  # some writers store 8 bits of each color
    file = tiff_bytes(tags, pack_rows(indices.tolist(), bits, "little"))
    check(file, (colormap >> 8)[:, indices].transpose(1, 2, 0) / 255)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_tiff_cmyk(dtype: str, planar: bool) -> None:
    cmyk = np.concatenate((RGB, np.full((H, W, 1), 0.2)), -1)
    expected = (1 - RGB) * 0.8
    check(tiff(stored(cmyk, dtype), planar=planar, photometric="separated"), expected)
    with_alpha = stored(np.concatenate((cmyk, ALPHA[..., None]), -1), dtype)
    file = tiff(with_alpha, planar=planar, photometric="separated", extrasamples=["unassalpha"])
    check(file, expected, ALPHA)


def lightness(luminance: Array) -> Array:
    return np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * 24389 / 27) / 100


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("space", ["cielab", "icclab"])
def test_tiff_lab(space: str, dtype: str) -> None:
    linear = np.where(GRAY <= 0.04045, GRAY / 12.92, ((GRAY + 0.055) / 1.055) ** 2.4)
    white = {"uint8": 255, "uint16": 65535 if space == "cielab" else 0xFF00}[dtype]
    neutral = {"cielab": 0, "icclab": 2 ** (int(dtype[4:]) - 1)}[space]
    data = np.full((H, W, 3), neutral, dtype)
    data[..., 0] = np.round(lightness(linear) * white)
    check(tiff(data, photometric=space), GRAY)
    # The red of sRGB is (54.3, 80.8, 69.9) under D50.
    step = 1 if dtype == "uint8" else 256
    data[:] = (round(0.543 * white), neutral + 81 * step, neutral + 70 * step)
    check(tiff(data, photometric=space), np.broadcast_to((1.0, 0.0, 0.0), (H, W, 3)), tolerance=6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("extras", [("unassalpha", "unspecified"), ("unspecified", "unassalpha")])
def test_tiff_with_several_extra_channels(extras: tuple[str, str], dtype: str) -> None:
    other = GRAY[..., None]
    alpha_first = extras[0] == "unassalpha"
    more = (ALPHA[..., None], other) if alpha_first else (other, ALPHA[..., None])
    file = tiff(stored(np.concatenate((RGB, *more), -1), dtype), photometric="rgb", extrasamples=extras)
    check(file, RGB, ALPHA)


@pytest.mark.parametrize("compression", ["zlib", "lzw", "packbits", "zstd", "png", "jpegxl", "webp"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_tiff_compressions(compression: str, dtype: str, capfd: pytest.CaptureFixture[str]) -> None:
    if compression == "webp" and dtype == "uint16":
        pytest.skip("WebP has 8 bits")
    options: dict[str, Any] = {"compression": compression, "photometric": "rgb"}
    if compression in {"webp", "jpegxl"}:
        options["compressionargs"] = {"lossless": True}
    check(tiff(stored(RGB, dtype), **options), RGB)
    assert capfd.readouterr() == ("", "")


def test_tiff_jpeg_of_12_bits() -> None:
    smooth = np.linspace(0, 4095, 64 * 64).reshape(64, 64).round().astype("uint16")
    check(tiff(smooth, photometric="minisblack", compression="jpeg"), smooth / 4095)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_png_gray(bits: int) -> None:
    counts = np.round(GRAY * (2**bits - 1)).astype(int)
    check(png_bytes(counts.tolist(), W, bits, 0), counts / (2**bits - 1))
    key = int(counts[3, 3])
    file = png_bytes(counts.tolist(), W, bits, 0, [(b"tRNS", struct.pack(">H", key))])
    check(file, counts / (2**bits - 1), (counts != key).astype(float))


@pytest.mark.parametrize("bits", [8, 16])
def test_png_colors(bits: int) -> None:
    white = 2**bits - 1
    rgb = np.round(RGB * white).astype(int)
    rows = rgb.reshape(H, -1).tolist()
    check(png_bytes(rows, W, bits, 2), RGB)
    file = png_bytes(rows, W, bits, 2, [(b"tRNS", struct.pack(">3H", *rgb[3, 3].tolist()))])
    check(file, RGB, (rgb != rgb[3, 3]).any(-1).astype(float))
    rgba = np.round(np.concatenate((RGB, ALPHA[..., None]), -1) * white).astype(int)
    check(png_bytes(rgba.reshape(H, -1).tolist(), W, bits, 6), RGB, ALPHA)
    gray = np.round(np.stack((GRAY, ALPHA), -1) * white).astype(int)
    check(png_bytes(gray.reshape(H, -1).tolist(), W, bits, 4), GRAY, ALPHA)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_png_palette(bits: int) -> None:
    indices = np.arange(H * W).reshape(H, W) % 2**bits
    colors = (b"PLTE", bytes(PALETTE[: 2**bits].ravel().tolist()))
    check(png_bytes(indices.tolist(), W, bits, 3, [colors]), PALETTE[indices] / 255)
    opacities = [40, 255, 0, 90][: 2**bits]
    file = png_bytes(indices.tolist(), W, bits, 3, [colors, (b"tRNS", bytes(opacities))])
    opacity = np.array(opacities + [255] * 256)[indices] / 255
    check(file, PALETTE[indices] / 255, opacity)


def upward(data: bytes) -> bytes:
    """Rows from the bottom to the top, each padded to 4 bytes."""
    size = len(data) // H
    rows = [data[i * size : (i + 1) * size] for i in range(H)]
    return b"".join(row + bytes(-size % 4) for row in reversed(rows))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_bmp_palette(bits: int) -> None:
    indices = np.arange(H * W).reshape(H, W) % 2**bits
    data = upward(pack_rows(indices.tolist(), bits))
    colors = PALETTE[: 2**bits, ::-1].tolist()
    palette = b"".join(bytes((*color, 0)) for color in colors)
    check(bmp_bytes(W, H, bits, data, palette=palette), PALETTE[indices] / 255)
    if bits != 2:
        palette = b"".join(map(bytes, colors))
        check(bmp_bytes(W, H, bits, data, palette=palette, header_size=12), PALETTE[indices] / 255)
    grays = b"".join(bytes((round(i * 255 / (2**bits - 1)),) * 3 + (0,)) for i in range(2**bits))
    check(bmp_bytes(W, H, bits, data, palette=grays), indices / (2**bits - 1))


def fields(values: Array, masks: tuple[int, ...], bits: int) -> bytes:
    """Rows of a BMP whose pixels have these channels at these bits."""
    words = np.zeros((H, W), dtype=np.uint64)
    for channel, mask in enumerate(masks):
        shift = (mask & -mask).bit_length() - 1
        words |= np.round(values[..., channel] * (mask >> shift)).astype(np.uint64) << np.uint64(shift)
    return upward(b"".join(word.to_bytes(bits // 8, "little") for word in words.ravel().tolist()))


RGB_MASKS = {
    "565": (16, (0xF800, 0x7E0, 0x1F)),
    "555": (16, (0x7C00, 0x3E0, 0x1F)),
    "444": (16, (0xF00, 0xF0, 0xF)),
    "888": (32, (0xFF0000, 0xFF00, 0xFF)),
    "BGR": (32, (0xFF, 0xFF00, 0xFF0000)),
    "10 bits": (32, (0x3FF00000, 0xFFC00, 0x3FF)),
}
RGBA_MASKS = {
    "8888": (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    "RGBA": (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
    "1555": (16, (0x7C00, 0x3E0, 0x1F, 0x8000)),
    "4444": (16, (0xF00, 0xF0, 0xF, 0xF000)),
}


@pytest.mark.parametrize("kind", ["555", "24 bits", "32 bits", "24 bits of OS/2"])
def test_bmp_without_masks(kind: str) -> None:
    bits = {"5": 16, "2": 24, "3": 32}[kind[0]]
    masks = RGB_MASKS["555" if bits == 16 else "888"][1]
    header_size = 12 if "OS/2" in kind else 40
    check(bmp_bytes(W, H, bits, fields(RGB, masks, bits), header_size=header_size), RGB, tolerance=5)


@pytest.mark.parametrize("header_size", [40, 56, 108, 124])
@pytest.mark.parametrize("kind", RGB_MASKS)
def test_bmp_bit_fields(kind: str, header_size: int) -> None:
    bits, masks = RGB_MASKS[kind]
    tolerance = 255 / 15 / 2 if kind == "444" else 4.2  # half a step of 4 or 5 bits
    written = masks if header_size == 40 else (*masks, 0)
    data = fields(RGB, masks, bits)
    file = bmp_bytes(W, H, bits, data, compression=3, masks=written, header_size=header_size)
    check(file, RGB, None, tolerance)


@pytest.mark.parametrize("header_size", [56, 108, 124])
@pytest.mark.parametrize("kind", RGBA_MASKS)
def test_bmp_alpha(kind: str, header_size: int) -> None:
    bits, masks = RGBA_MASKS[kind]
    step = 2 if kind == "4444" else 8
    tolerance = 255 / 15 / 2 if kind == "4444" else 4.2
    alpha = (ALPHA > 0.5).astype(float) if kind == "1555" else np.round(ALPHA * step) / step
    for opacity, expected in ((alpha, alpha), (alpha * 0, None)):  # alpha of 0 everywhere was not written
        data = fields(np.concatenate((RGB, opacity[..., None]), -1), masks, bits)
        file = bmp_bytes(W, H, bits, data, compression=3, masks=masks, header_size=header_size)
        check(file, RGB, expected, tolerance)


def test_bmp_from_the_top() -> None:
    data, size = fields(RGB, RGB_MASKS["888"][1], 32), 4 * W
    rows = b"".join(data[start : start + size] for start in reversed(range(0, size * H, size)))
    check(bmp_bytes(W, -H, 32, rows), RGB)
    check(bmp_bytes(W, -H, 32, rows, compression=3, masks=RGB_MASKS["888"][1]), RGB)


def test_damaged_bmp() -> None:
    bits, masks = RGB_MASKS["444"]
    file = bmp_bytes(W, H, bits, fields(RGB, masks, bits), compression=3, masks=masks)
    for broken in (file[:-9], file.replace(struct.pack("<I", 0xF0), struct.pack("<I", 0x50))):
        with pytest.raises(ImageError, match="damaged"):
            read_picture(io.BytesIO(broken))
    with pytest.raises(ImageError, match="limit"):
        read_picture(io.BytesIO(file), max_pixels=41)


@pytest.mark.parametrize("largest", [1, 3, 100, 255, 256, 1023, 65535])
@pytest.mark.parametrize("kind", ["P2", "P3", "P5", "P6", "P7"])
def test_pnm(kind: str, largest: int) -> None:
    values = {"P2": GRAY, "P5": GRAY}.get(kind, RGB)
    counts = np.round(values * largest).astype(int)
    if kind in {"P2", "P3"}:
        data = " \n".join(map(str, counts.ravel().tolist())).encode()
    else:
        data = counts.astype("u1" if largest < 256 else ">u2").tobytes()
    header = f"{kind}\n# a comment\n{W} {H}\n{largest}\n"
    if kind == "P7":
        header = f"P7\nWIDTH {W}\nHEIGHT {H}\nDEPTH 3\nMAXVAL {largest}\nTUPLTYPE RGB\nENDHDR\n"
    file = header.encode() + data
    check(file, counts / largest)
    assert read_picture(io.BytesIO(file)).bit_depth == (8 if largest < 256 else 16)
    with pytest.raises(ImageError, match="too early"):
        read_picture(io.BytesIO(file[:-8]))
    with pytest.raises(ImageError, match="limit"):
        read_picture(io.BytesIO(file), max_pixels=41)


def test_pbm() -> None:
    black = (np.arange(H * W).reshape(H, W) % 3 == 0).astype(int)
    check(f"P4 {W} {H}\n".encode() + pack_rows(black.tolist(), 1), 1 - black)
    check(f"P1 {W} {H}\n".encode() + "".join(map(str, black.ravel().tolist())).encode(), 1 - black)


@pytest.mark.parametrize(("count", "kind"), [(1, "GRAYSCALE"), (2, "GRAYSCALE_ALPHA"), (4, "RGB_ALPHA")])
def test_pam(count: int, kind: str) -> None:
    values = {1: GRAY[..., None], 2: np.stack((GRAY, ALPHA), -1)}.get(
        count, np.concatenate((RGB, ALPHA[..., None]), -1)
    )
    header = f"P7\n# a comment\nWIDTH {W}\nHEIGHT {H}\nDEPTH {count}\nMAXVAL 255\nTUPLTYPE {kind}\nENDHDR\n"
    file = header.encode() + np.round(values * 255).astype("u1").tobytes()
    check(file, values[..., : 3 if count > 2 else 1], ALPHA if count in {2, 4} else None)


def test_pam_headers_of_other_programs() -> None:
    data = np.round(RGB * 255).astype("u1").tobytes()
    header = f"P7\r\nWIDTH   {W}\r\nHEIGHT\t{H}\r\n\r\nDEPTH 3\r\nMAXVAL  255\r\nENDHDR\r\n"
    check(header.encode() + data, RGB)
    ink = f"P7\nWIDTH {W}\nHEIGHT {H}\nDEPTH 4\nMAXVAL 255\nTUPLTYPE CMYK\nENDHDR\n".encode()
    with pytest.raises(ImageError, match="a PAM of CMYK cannot be read; save it as PNG"):
        read_picture(io.BytesIO(ink + bytes(4 * H * W)))


def test_comments_between_the_samples_of_a_text() -> None:
    counts = np.round(RGB * 255).astype(int).reshape(H, -1).tolist()
    rows = "".join(f"{' '.join(map(str, row))} # row {i}\n" for i, row in enumerate(counts))
    check(f"P3\n{W} {H}\n255\n{rows}".encode(), RGB)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["Pf", "PF"])
def test_pfm(kind: str, order: str) -> None:
    values = RGB if kind == "PF" else GRAY
    header = f"{kind}\n{W} {H}\n{'-1.0' if order == '<' else '1.0'}\n"
    check(header.encode() + values[::-1].astype(f"{order}f4").tobytes(), values)


@pytest.mark.parametrize(
    "file",
    [
        b"P6\n",
        b"P5 0 4 255\n",
        b"P5 4 4 0\n" + bytes(99),
        b"P5 4 4 70000\n" + bytes(99),
        b"P2 1 1 9 x",
        b"P7\nENDHDR\n",
    ],
)
def test_damaged_pnm(file: bytes) -> None:
    with pytest.raises(ImageError, match="damaged"):
        read_picture(io.BytesIO(file))
