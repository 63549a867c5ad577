"""HEIC, JPEG XL, TGA and MPO; camera raw files; and TIFF whose first page is not the picture."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from image_files import UPRIGHT, encoded, image_of, orientation_exif, random_samples
from PIL import Image

from styletransfer.errors import ImageError
from styletransfer.media import read_picture, readable_extensions, unreadable_extensions
from styletransfer.media.formats import FORMATS, read_jpeg_xl_size

FULL = random_samples(3, 40, 30)
SMALL = random_samples(3, 8, 6, seed=1)
FLAT = torch.tensor((100, 200, 60), dtype=torch.uint8).view(3, 1, 1).expand(3, 32, 48).contiguous()


def read(file: bytes) -> torch.Tensor:
    picture = read_picture(io.BytesIO(file))
    return picture.pixels if picture.alpha is None else torch.cat((picture.pixels, picture.alpha))


def array(samples: torch.Tensor) -> Any:
    return samples.permute(1, 2, 0).contiguous().numpy()


def pages(*written: tuple[Any, dict[str, Any]]) -> bytes:
    """A TIFF of these pages; `subifds` makes the following ones part of a page."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as tiff:
        for samples, options in written:
            tiff.write(samples, metadata=None, **options)
    return buffer.getvalue()


THUMBNAIL = (array(SMALL), {"photometric": "rgb", "subfiletype": 1})
THUMBNAIL_WITH_FULL = (array(SMALL), {"photometric": "rgb", "subfiletype": 1, "subifds": 1})
MOSAIC = np.zeros((40, 30), np.uint16)
PICTURE = (array(FULL), {"photometric": "rgb"})
MASK = (np.zeros((40, 30), bool), {"photometric": "mask", "subfiletype": 4})


@pytest.mark.parametrize(
    "written",
    [
        [THUMBNAIL, PICTURE],
        [THUMBNAIL_WITH_FULL, PICTURE],
        [THUMBNAIL, MASK, PICTURE],
        [PICTURE, THUMBNAIL],
        [PICTURE, MASK],
        [(array(FULL), {"photometric": "rgb", "subifds": 1}), THUMBNAIL],
        [(array(SMALL), {"photometric": "rgb", "extratags": [(255, "H", 1, 2, True)]}), PICTURE],
    ],
)
def test_the_full_page_of_a_tiff_is_read(written: Sequence[Any]) -> None:
    picture = read_picture(io.BytesIO(pages(*written)))
    assert torch.equal(picture.pixels, FULL)


def test_a_reduced_copy_alone_is_read() -> None:
    assert torch.equal(read(pages(THUMBNAIL)), SMALL)


def test_profile_and_orientation_of_the_full_page() -> None:
    from image_files import matrix_profile

    swapped = matrix_profile([(0.2, 0.6, 0.1), (0.6, 0.3, 0.0), (0.15, 0.1, 0.7)], 2.2)
    full = {"photometric": "rgb", "iccprofile": swapped, "extratags": [(274, "H", 1, 6, True)]}
    pixels = read(pages(THUMBNAIL, (array(FLAT), full)))
    assert pixels.shape == (3, 48, 32)
    assert pixels[0].min() > pixels[1].max()


CFA = (MOSAIC, {"photometric": "cfa"})
DNG_VERSION = [(50706, "B", 4, (1, 4, 0, 0), True)]
RAW = {
    "DNG": pages((array(SMALL), {**THUMBNAIL_WITH_FULL[1], "extratags": DNG_VERSION}), CFA),
    "NEF": pages(THUMBNAIL_WITH_FULL, CFA),
    "PEF": pages(CFA, PICTURE),
    "ARW": pages(PICTURE, CFA),
    "linear DNG": pages((array(FULL), {"photometric": 34892, "extratags": DNG_VERSION})),
    "CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(100),
    "IIQ": b"II*\0\x08\0\0\0IIII" + bytes(100),
    "CR3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(100),
    "RAF": b"FUJIFILMCCD-RAW 0201FF" + bytes(100),
    "ORF": b"IIRO\x08\0\0\0" + bytes(100),
    "RW2": b"IIU\0\x18\0\0\0" + bytes(100),
    "X3F": b"FOVb" + bytes(100),
    "MRW": b"\0MRM" + bytes(100),
}


@pytest.mark.parametrize("kind", RAW)
def test_camera_raw_is_refused_by_name(kind: str) -> None:
    with pytest.raises(ImageError, match="camera raw file; export it as TIFF or JPEG"):
        read_picture(io.BytesIO(RAW[kind]))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("compression", [None, "tga_rle"])
def test_tga(mode: str, compression: str | None) -> None:
    samples = random_samples(len(mode), 9, 11)
    image = image_of(samples, mode)
    expected = samples[[0, 0, 0, 1]] if mode == "LA" else samples.repeat(3, 1, 1) if mode == "L" else samples
    if mode == "P":
        image.putpalette(bytes(range(256)) * 3)
        expected = torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1)
    assert torch.equal(read(encoded(image, "TGA", compression=compression)), expected)


def test_a_tga_without_opacity_is_opaque() -> None:
    samples = torch.cat((SMALL, torch.zeros(1, 8, 6, dtype=torch.uint8)))
    assert torch.equal(read(encoded(image_of(samples, "RGBA"), "TGA"))[:3], SMALL)
    picture = read_picture(io.BytesIO(encoded(image_of(samples, "RGBA"), "TGA")))
    assert picture.alpha is None or bool((picture.alpha == 255).all())


def test_a_tga_palette_without_opacity_is_opaque() -> None:
    indices = random_samples(1, 8, 6)
    palette = bytes(value for i in range(256) for value in (i, 255 - i, 50, 0))  # blue, green, red, opacity
    header = struct.pack("<BBBHHBHHHHBB", 0, 1, 1, 0, 256, 32, 0, 0, 6, 8, 8, 0x20)
    expected = torch.cat((torch.full_like(indices, 50), 255 - indices, indices))
    assert torch.equal(read(header + palette + indices.numpy().tobytes()), expected)


@pytest.mark.parametrize("kind", range(5))
def test_a_tga_tells_what_its_opacity_means(kind: int) -> None:
    alpha = torch.full((1, 8, 6), 128, dtype=torch.uint8)
    body = encoded(image_of(torch.cat((SMALL, alpha)), "RGBA"), "TGA", rle=False)
    body = body[:-26] if body.endswith(b"TRUEVISION-XFILE.\0") else body
    extension = struct.pack("<H", 495) + bytes(492) + bytes([kind])
    picture = read_picture(
        io.BytesIO(body + extension + struct.pack("<II", len(body), 0) + b"TRUEVISION-XFILE.\0")
    )
    opaque = kind < 3  # undefined
    expected = SMALL if kind != 4 else (SMALL.float() * 255 / 128).clamp(max=255)  # premultiplied
    assert (picture.pixels.float() - expected).abs().max() <= 1
    assert picture.alpha is not None
    assert bool((picture.alpha == (255 if opaque else 128)).all())


def test_extensions() -> None:
    assert {".mpo", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"} <= set(readable_extensions())
    assert all(form.extensions for form in FORMATS)


def test_unreadable_extensions_are_named_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("styletransfer.media.formats.find_spec", lambda name: None)
    unreadable = unreadable_extensions()
    assert not set(unreadable) & set(readable_extensions())
    assert "styletransfer[heif]" in unreadable[".heic"]
    assert "export it" in unreadable[".dng"]
    assert all(extension == extension.lower() for extension in unreadable)


def test_a_multi_picture_jpeg() -> None:
    first, second = (Image.new("RGB", (32, 16), color) for color in ("red", "blue"))
    file = encoded(first, "MPO", save_all=True, append_images=[second])
    assert read(file)[:, 8, 8].tolist() == pytest.approx([255, 0, 0], abs=3)


def test_heic() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    assert ".heic" in readable_extensions()

    def heic(**options: Any) -> bytes:
        buffer = io.BytesIO()
        pillow_heif.from_pillow(image_of(FLAT, "RGB")).save(buffer, quality=95, **options)
        return buffer.getvalue()

    assert read(heic())[:, 16, 16].tolist() == pytest.approx([100, 200, 60], abs=4)
    p3 = heic(color_primaries=12, transfer_characteristics=13, matrix_coefficients=6)
    assert read(p3)[:, 16, 16].tolist() == pytest.approx([45, 203, 6], abs=9)
    exif = orientation_exif(6).tobytes()
    assert read(heic(exif=exif)).shape == UPRIGHT[6](FLAT).shape
    with pytest.raises(ImageError, match="limit"):
        read_picture(io.BytesIO(heic()), max_pixels=100)
    with pytest.raises(ImageError, match="damaged"):
        read_picture(io.BytesIO(heic()[:300]))


def test_jpeg_xl() -> None:
    pytest.importorskip("pillow_jxl")
    assert ".jxl" in readable_extensions()
    file = encoded(image_of(FULL, "RGB"), "JXL", lossless=True)
    assert torch.equal(read(file), FULL)
    with pytest.raises(ImageError, match="limit"):
        read_picture(io.BytesIO(file), max_pixels=100)
    with pytest.raises(ImageError, match="damaged"):
        read_picture(io.BytesIO(file[:100]))
    huge = 0b11 << 1 | (60_000 - 1) << 3 | 1 << 33  # 30 bits of height, and a square
    with pytest.raises(ImageError, match="60000x60000 pixels"):
        read_picture(io.BytesIO(b"\xff\x0a" + huge.to_bytes(8, "little")))


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (8, 16), (256, 256), (40, 30), (300, 700), (1200, 1000), (9000, 2)])
def test_size_of_jpeg_xl(size: tuple[int, int], container: bool) -> None:
    pytest.importorskip("pillow_jxl")
    file = encoded(Image.new("L", size), "JXL", use_container=container, exif=b"MM\0*" + bytes(40))
    assert read_jpeg_xl_size(io.BytesIO(file)) == size
