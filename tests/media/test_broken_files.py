"""Every broken file gives an error of one line that names the file."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from image_files import (
    edit_tiff_tags,
    encoded,
    image_of,
    lzw_tiff_file,
    matrix_profile,
    orientation_exif,
    png_chunk,
    png_file,
    random_samples,
    with_png_chunks,
)
from PIL import Image
from raster_files import bmp_bytes, tiff_bytes

from styletransfer.errors import ImageError
from styletransfer.media import picture_from_pil, read_picture, readable_extensions

PHOTOGRAPH = image_of(random_samples(3, 40, 50), "RGB")
PRIMARIES = ((0.6, 0.3, 0.0), (0.2, 0.6, 0.1), (0.15, 0.1, 0.7))
DEEP = random_samples(3, 40, 50, depth=16)


def deep_tiff(channels: int = 3, **options: Any) -> bytes:
    buffer = io.BytesIO()
    samples = DEEP[:channels].permute(1, 2, 0).contiguous().numpy()
    tifffile.imwrite(buffer, samples, photometric="rgb" if channels == 3 else "minisblack", **options)
    return buffer.getvalue()


def thumbnail_and_full() -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as tiff:
        full = DEEP.permute(1, 2, 0).contiguous().numpy()
        tiff.write(full[:4, :5], photometric="rgb", subfiletype=1, subifds=1)
        tiff.write(full, photometric="rgb", compression="zlib")
    return buffer.getvalue()


def float_tiff() -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, torch.rand(40, 50, 3).numpy(), photometric="rgb", compression="lzw")
    return buffer.getvalue()


def bit_field_bmp() -> bytes:
    pixels = random_samples(4, 40, 50).permute(1, 2, 0).contiguous().numpy().tobytes()
    return bmp_bytes(50, 40, 32, pixels, compression=3, masks=(0xFF, 0xFF00, 0xFF0000))


FILES = {
    **{
        form: encoded(PHOTOGRAPH, form)
        for form in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
        if form in {"JPEG", "TIFF"} or f".{form.lower()}" in readable_extensions()
    },
    "LZW TIFF": encoded(PHOTOGRAPH, "TIFF", compression="tiff_lzw"),
    "oriented PNG": encoded(
        PHOTOGRAPH, "PNG", exif=orientation_exif(6), icc_profile=matrix_profile(PRIMARIES, 2.2)
    ),
    "16-bit PNG": png_file(DEEP),
    "16-bit TIFF": deep_tiff(),
    "16-bit zip TIFF": deep_tiff(compression="zlib", predictor=True),
    "16-bit LZW TIFF": lzw_tiff_file(DEEP),
    "16-bit gray and alpha TIFF": deep_tiff(2, extrasamples=["unassalpha"], planarconfig="contig"),
    "float TIFF": float_tiff(),
    "TIFF behind a thumbnail": thumbnail_and_full(),
    "TGA": encoded(PHOTOGRAPH, "TGA"),
    "PNM": encoded(PHOTOGRAPH, "PPM"),
    "BMP of bit fields": bit_field_bmp(),
    "PNG with a color description": with_png_chunks(
        encoded(PHOTOGRAPH, "PNG"), (b"cICP", b"\x0c\x0d\0\1"), (b"gAMA", b"\0\1\0\0")
    ),
}


def error_of(file: bytes | Path) -> str:
    """Return the error of one line that a user reads; a warning would fail the test."""
    with pytest.raises(ImageError) as caught:
        read_picture(io.BytesIO(file) if isinstance(file, bytes) else file)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 400 + (len(str(file)) if isinstance(file, Path) else 0)
    assert caught.value.hint
    return line


@pytest.mark.parametrize("kind", FILES)
def test_whole_files_are_read(kind: str) -> None:
    """Otherwise the tests of truncated files would prove nothing."""
    assert read_picture(io.BytesIO(FILES[kind])).pixels.numel() == 6000


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.8])
def test_truncated(kind: str, part: float, tmp_path: Path) -> None:
    path = tmp_path / "half.img"
    path.write_bytes(FILES[kind][: int(len(FILES[kind]) * part)])
    assert str(path) in error_of(path)
    assert str(path) in error_of(path)


@given(st.sampled_from(sorted(FILES)), st.data())
def test_damaged_bytes_give_a_picture_or_one_line(kind: str, data: st.DataObject) -> None:
    file = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 5))):
        # Damaged headers cause more trouble than damaged pixels.
        position = data.draw(st.integers(0, min(400, len(file) - 1)) | st.integers(0, len(file) - 1))
        file[position] = data.draw(st.integers(0, 255))
    with suppress(ImageError):
        read_picture(io.BytesIO(file), max_pixels=100_000)


def test_missing_empty_folder_text(tmp_path: Path) -> None:
    path = tmp_path / "photograph.jpg"
    assert "photograph.jpg: no such file" in error_of(path)
    path.write_bytes(b"")
    assert "photograph.jpg: the file is empty" in error_of(path)
    path.write_text("This is no picture.\n" * 50)
    assert "photograph.jpg: this is not a picture in a known format" in error_of(path)
    assert "convert it to one of JPEG, PNG" in error_of(path)
    assert "is a directory" in error_of(tmp_path)
    assert "not a directory" in error_of(path / "inside.jpg")
    assert "name too long" in error_of(tmp_path / ("x" * 300))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(FILES["PNG"])
    path.chmod(0)
    assert "secret.png: permission denied" in error_of(path)


def test_a_name_with_a_line_break_is_still_one_line(tmp_path: Path) -> None:
    assert r"two\nlines.jpg" in error_of(tmp_path / "two\nlines.jpg")


def test_tiff_with_missing_strips() -> None:
    """A decoder that leaves them black would make a picture of noise and shadow."""
    file = edit_tiff_tags(FILES["16-bit LZW TIFF"], {284: 2})  # three separate planes, but one strip
    assert "strips or tiles are missing" in error_of(file)


def test_tiff_whose_width_is_a_list() -> None:
    """The product of a list and a number is a list that fills the memory."""
    size: dict[int, list[int] | int] = {256: [50_000] * 500, 257: 50_000}
    file = tiff_bytes({**size, 258: [8, 8], 259: 1, 262: 0, 277: 2}, b"")
    assert "its size is not a number" in error_of(file)


def test_tiff_of_an_unknown_compression() -> None:
    assert "damaged" in error_of(edit_tiff_tags(FILES["16-bit zip TIFF"], {259: 60_000}))


def test_tiff_without_a_page() -> None:
    assert "holds no picture" in error_of(FILES["16-bit LZW TIFF"][:60])


@pytest.mark.parametrize(
    ("start", "package"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", 'HEIC; run `pip install "styletransfer[heif]"`'),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL; run `pip install pillow-jxl-plugin`"),
    ],
)
def test_the_error_names_the_missing_package(
    start: bytes, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styletransfer.media.formats.find_spec", lambda name: None)
    assert package in error_of(start + bytes(100))
    assert not {".heic", ".jxl"} & set(readable_extensions())


@pytest.mark.parametrize(
    "start",
    [
        b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41",
        b"\0\0\0\x14ftypqt  \0\0\0\0qt  ",
        b"\x1aE\xdf\xa3\x9fB\x86\x81\1",
        b"RIFF\0\0\1\0AVI LIST",
    ],
)
def test_a_video_is_named(start: bytes) -> None:
    assert "this is a video; use `styletransfer video`" in error_of(start + bytes(100))


def test_svg_pdf_and_eps_are_refused() -> None:
    """Pillow would start Ghostscript for the last."""
    for head in (b"<svg xmlns=''/>", b"%PDF-1.7\n", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"):
        assert "not a picture in a known format" in error_of(head + bytes(100))


def empty_png(width: int, height: int, depth: int = 8) -> bytes:
    """A PNG that ends after its first thousand bytes."""
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def replaced(file: bytes, offset: int, data: bytes) -> bytes:
    return file[:offset] + data + file[offset + len(data) :]


SIZE_TAGS = {256: 50_000, 257: 60_000}
HUGE = {
    "PNG": empty_png(100_000, 100_000),
    "16-bit PNG": empty_png(100_000, 100_000, 16),
    "TIFF": edit_tiff_tags(FILES["TIFF"], SIZE_TAGS),
    "LZW TIFF": edit_tiff_tags(FILES["LZW TIFF"], SIZE_TAGS),
    "16-bit TIFF": edit_tiff_tags(FILES["16-bit TIFF"], SIZE_TAGS),
    "TIFF of separate planes": edit_tiff_tags(FILES["16-bit TIFF"], {**SIZE_TAGS, 284: 2}),
    "TIFF that Pillow cannot read": edit_tiff_tags(FILES["16-bit gray and alpha TIFF"], SIZE_TAGS),
    "GIF": replaced(FILES["GIF"], 6, struct.pack("<HH", 60_000, 60_000)),
    "BMP": replaced(FILES["BMP"], 18, struct.pack("<ii", 60_000, 60_000)),
    "JPEG": replaced(FILES["JPEG"], FILES["JPEG"].index(b"\xff\xc0") + 5, struct.pack(">HH", 60_000, 60_000)),
}


@pytest.mark.parametrize("kind", HUGE)
def test_bombs(kind: str) -> None:
    line = error_of(HUGE[kind])
    assert "more" in line
    assert "limit of 250000000" in line


def test_pillows_own_pixel_limit_does_not_apply() -> None:
    """Pillow refuses 200 megapixels."""
    assert "limit" not in error_of(empty_png(20_000, 10_000))


@pytest.mark.parametrize("kind", FILES)
def test_max_pixels_is_respected(kind: str) -> None:
    file = io.BytesIO(FILES[kind])
    assert read_picture(file, max_pixels=2000).pixels.shape == read_picture(file).pixels.shape
    with pytest.raises(ImageError, match=r"50x40 pixels|40x50 pixels|more pixels"):
        read_picture(file, max_pixels=1999)


def test_pillow_settings_are_restored() -> None:
    before = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    for kind in FILES:
        read_picture(io.BytesIO(FILES[kind]))
    error_of(HUGE["TIFF"])
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


def test_a_large_picture_raises_no_warning() -> None:
    """Pillow warns about 100 megapixels."""
    for form, options in {"PNG": {}, "TIFF": {"compression": "group4"}}.items():
        file = encoded(Image.new("1", (10_000, 10_000)), form, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read_picture(io.BytesIO(file)).width == 10_000


# Runs in its own process, because memory freed by earlier tests would be used instead of new memory.
READ_WITH_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from styletransfer.errors import MemoryLimitError
from styletransfer.media import read_picture

used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]) * 2**20, -1))
try:
    read_picture(sys.argv[1])
except MemoryLimitError as error:
    print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@pytest.mark.parametrize("spare", [50, 200], ids=["Pillow fails", "torch fails"])
def test_too_little_memory(spare: int, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(
        encoded(Image.new("1", (10_000, 10_000)), "PNG")
    )  # 100 MB in Pillow, 300 MB as a picture
    command = [sys.executable, "-c", READ_WITH_LITTLE_MEMORY, str(path), str(spare)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "too little memory" in done.stdout
    assert str(path) in done.stdout


def test_a_pillow_image_of_a_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    path.write_bytes(FILES["PNG"][:3000])
    with Image.open(path) as image, pytest.raises(ImageError, match=r"half\.png: the picture is damaged"):
        picture_from_pil(image)


def test_threads_do_not_disturb_each_other() -> None:
    failures: list[str] = []

    def work(kind: str) -> None:
        expected = read_picture(io.BytesIO(FILES[kind])).pixels
        for _ in range(10):
            picture = read_picture(io.BytesIO(FILES[kind]))
            failures.extend([] if torch.equal(picture.pixels, expected) else [kind])

    threads = [threading.Thread(target=work, args=(kind,)) for kind in FILES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_damaged_16_bit_pngs_take_no_reference_to_none() -> None:
    """Each would take one; a server on Python 3.11 ends when the last one is gone."""
    file = bytearray(FILES["16-bit PNG"])
    file[file.index(b"IDAT") + 40] ^= 255
    before = sys.getrefcount(None)
    for _ in range(300):
        with suppress(ImageError):
            read_picture(io.BytesIO(file))
    assert sys.getrefcount(None) > before - 100
