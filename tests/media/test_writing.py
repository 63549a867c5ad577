"""Writing: contents of the files, temporary files, and errors before a long computation."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest
import tifffile
import torch
from image_files import decode_png, random_samples
from PIL import Image

from styletransfer.errors import ImageError
from styletransfer.media import (
    Picture,
    check_writable_format,
    picture_to_pil,
    read_picture,
    readable_extensions,
    writable_extensions,
    write_picture,
)

PICTURE = Picture(random_samples(3, 11, 17))
TRANSPARENT = Picture(random_samples(3, 11, 17), random_samples(1, 11, 17, seed=1))
DEEP = Picture(random_samples(3, 11, 17, depth=16))
DEEP_TRANSPARENT = Picture(random_samples(3, 90, 70, depth=16), random_samples(1, 90, 70, depth=16, seed=1))
DESCRIBED = [form for form in ("jpeg", "webp", "tiff", "avif") if f".{form}" in writable_extensions()]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def stacked(picture: Picture) -> torch.Tensor:
    return picture.pixels if picture.alpha is None else torch.cat((picture.pixels, picture.alpha))


@pytest.mark.parametrize("extension", writable_extensions())
def test_every_extension_is_written_and_read_again(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"result{extension.upper()}"
    write_picture(PICTURE, path)
    picture = read_picture(path)
    assert picture.pixels.shape == PICTURE.pixels.shape
    assert names_in(tmp_path) == [path.name]


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("picture", [PICTURE, TRANSPARENT, DEEP, DEEP_TRANSPARENT])
def test_lossless_formats_are_exact(picture: Picture, format: str) -> None:
    buffer = io.BytesIO()
    write_picture(picture, buffer, format=format)
    buffer.seek(0)
    result = read_picture(buffer)
    assert result.bit_depth == picture.bit_depth
    assert torch.equal(stacked(result), stacked(picture))


def test_other_decoders_read_the_same_16_bits() -> None:
    for picture in (DEEP, DEEP_TRANSPARENT):
        png, tiff = io.BytesIO(), io.BytesIO()
        write_picture(picture, png, format="png")
        assert torch.equal(decode_png(png.getvalue()), stacked(picture))
        write_picture(picture, tiff, format="tiff")
        tiff.seek(0)
        with tifffile.TiffFile(tiff) as file:
            assert torch.equal(torch.from_numpy(file.asarray()).permute(2, 0, 1), stacked(picture))


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_a_float_ramp_keeps_4096_levels(format: str) -> None:
    ramp = torch.linspace(0, 1, 4096).repeat(3, 4, 1)
    buffer = io.BytesIO()
    write_picture(Picture.from_float(ramp, bit_depth=16), buffer, format=format, bit_depth=16)
    buffer.seek(0)
    result = read_picture(buffer)
    assert len(set(result.pixels[0].flatten().tolist())) == 4096
    assert (result.to_float() - ramp).abs().max() <= 0.5 / 65535 + 1e-7


def test_the_requested_bit_depth_is_written() -> None:
    for picture, asked, written in ((PICTURE, 16, 16), (DEEP, 8, 8), (DEEP, None, 16), (PICTURE, None, 8)):
        buffer = io.BytesIO()
        write_picture(picture, buffer, format="png", bit_depth=asked)
        buffer.seek(0)
        assert read_picture(buffer).bit_depth == written
        assert torch.equal(read_picture(buffer).pixels, picture.with_bit_depth(written).pixels)


def test_a_16_bit_picture_becomes_an_8_bit_jpeg() -> None:
    buffer = io.BytesIO()
    write_picture(DEEP, buffer, format="jpeg")
    assert Image.open(buffer).format == "JPEG"


def test_sixteen_bit_png_is_compressed() -> None:
    """The filter makes a smooth picture smaller than a third of its samples."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 256), torch.linspace(0, 1, 256), indexing="ij")
    smooth = Picture.from_float(torch.stack((x, y, (x + y) / 2)), bit_depth=16)
    buffer = io.BytesIO()
    write_picture(smooth, buffer, format="png")
    assert len(buffer.getvalue()) < 256 * 256 * 6 / 3
    plain = zlib.compress(smooth.pixels.permute(1, 2, 0).contiguous().numpy().tobytes())
    assert len(buffer.getvalue()) < len(plain)


@pytest.mark.parametrize("format", ["jpeg", "bmp"])
def test_formats_without_alpha_lay_the_picture_on_white(format: str) -> None:
    black = torch.zeros(3, 16, 48, dtype=torch.uint8)
    alpha = torch.tensor([0, 128, 255], dtype=torch.uint8).repeat_interleave(16).repeat(1, 16, 1)
    buffer = io.BytesIO()
    write_picture(Picture(black, alpha), buffer, format=format)
    buffer.seek(0)
    result = read_picture(buffer)
    assert result.alpha is None
    assert result.pixels[:, 8, [8, 24, 40]].tolist() == [pytest.approx([255, 127, 0], abs=2)] * 3


def test_higher_quality_gives_larger_files() -> None:
    sizes = []
    for quality in (30, 60, 95):
        buffer = io.BytesIO()
        write_picture(PICTURE, buffer, format="jpg", quality=quality)
        sizes.append(len(buffer.getvalue()))
    assert sizes == sorted(set(sizes))


METADATA = {"Software": "styletransfer 1.0", "styletransfer:style": "Wellen über Kanagawa 神奈川"}


@pytest.mark.parametrize("depth", [8, 16])
def test_metadata_of_a_png(depth: int) -> None:
    buffer = io.BytesIO()
    write_picture(PICTURE, buffer, format="png", bit_depth=depth, metadata=METADATA)
    image = Image.open(buffer)
    assert {key: str(image.info[key]) for key in METADATA} == METADATA


@pytest.mark.parametrize(("format", "depth"), [*((form, 8) for form in DESCRIBED), ("tiff", 16)])
def test_metadata_of_other_formats(format: str, depth: int) -> None:
    buffer = io.BytesIO()
    write_picture(PICTURE, buffer, format=format, bit_depth=depth, metadata=METADATA)
    assert json.loads(Image.open(buffer).getexif()[270]) == METADATA


def test_without_metadata_none_is_written() -> None:
    for format in ("png", "jpeg", "tiff"):
        for depth in (8, 16) if format != "jpeg" else (8,):
            buffer = io.BytesIO()
            write_picture(PICTURE, buffer, format=format, bit_depth=depth)
            image = Image.open(buffer)
            assert not {270, 305, 306} & set(image.getexif())
            assert not getattr(image, "text", {})


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff"])
def test_the_same_picture_gives_the_same_bytes(format: str) -> None:
    files = []
    for _ in range(2):
        buffer = io.BytesIO()
        write_picture(DEEP, buffer, format=format, metadata=METADATA)
        files.append(buffer.getvalue())
    assert files[0] == files[1]


def test_a_pipe_that_cannot_seek() -> None:
    for format in ("png", "tiff", "jpeg"):
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cat:
            assert cat.stdin is not None
            assert cat.stdout is not None
            write_picture(PICTURE, cat.stdin, format=format)  # type: ignore[arg-type]
            cat.stdin.close()
            assert read_picture(io.BytesIO(cat.stdout.read())).width == 17


def test_pillow_images() -> None:
    assert picture_to_pil(PICTURE).mode == "RGB"
    image = picture_to_pil(TRANSPARENT)
    assert image.mode == "RGBA"
    assert torch.equal(
        torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(11, 17, 4).permute(2, 0, 1),
        stacked(TRANSPARENT),
    )
    assert picture_to_pil(DEEP).tobytes() == picture_to_pil(DEEP.with_bit_depth(8)).tobytes()


@pytest.mark.parametrize(
    ("name", "options", "part"),
    [
        ("result.xyz", {}, "'.xyz' is unknown"),
        ("result", {}, "is not named"),
        ("result.gif", {}, "read but not written"),
        ("result.jpg", {"bit_depth": 16}, "JPEG cannot hold 16 bits"),
        ("result.png", {"bit_depth": 12}, "PNG cannot hold 12 bits"),
        ("result.webp", {"size": (20_000, 10)}, "at most 16383"),
        ("result.jpg", {"size": (10, 70_000)}, "at most 65500"),
        ("result.png", {"format": "psd"}, "'.psd' is unknown"),
    ],
)
def test_check_writable_format_raises(name: str, options: dict[str, object], part: str) -> None:
    with pytest.raises(ImageError, match=part) as caught:
        check_writable_format(name, **options)  # type: ignore[arg-type]
    assert name in str(caught.value)
    assert ".png" in str(caught.value.hint)


def test_check_writable_format_agrees_with_write_picture() -> None:
    check_writable_format("result.PNG", bit_depth=16, size=(100_000, 2000))
    check_writable_format(Path("a/b.tif"), bit_depth=16)
    check_writable_format(None, format="JPG")
    assert set(writable_extensions()) < set(readable_extensions())
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"} <= set(writable_extensions())
    with pytest.raises(ImageError, match="a stream"):
        write_picture(PICTURE, io.BytesIO())
    with pytest.raises(ImageError, match="16 bits"):
        write_picture(PICTURE, io.BytesIO(), format="webp", bit_depth=16)
    long = Picture(torch.zeros(3, 1, 16_384, dtype=torch.uint8))
    with pytest.raises(ImageError, match="16384x1 pixels"):
        write_picture(long, io.BytesIO(), format="webp")


def test_failures_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"absent/result.png: cannot be written: no such file"):
        write_picture(PICTURE, tmp_path / "absent" / "result.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match="is a directory"):
        write_picture(PICTURE, tmp_path / "folder.png")
    kept = tmp_path / "kept.png"
    write_picture(PICTURE, kept)
    before = kept.read_bytes()
    with pytest.raises(ImageError, match=r"kept\.png: cannot be written"):
        write_picture(DEEP, kept, metadata={"キー": "PNG has keywords of Latin-1 only"})
    assert kept.read_bytes() == before
    assert names_in(tmp_path) == ["folder.png", "kept.png"]


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_full_disk(tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
    try:
        with pytest.raises(ImageError, match="file too large"):
            write_picture(PICTURE, tmp_path / "result.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not names_in(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_file_mode_follows_umask(tmp_path: Path) -> None:
    for mask in (0o022, 0o077):
        before = os.umask(mask)
        try:
            write_picture(PICTURE, tmp_path / "result.png")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "result.png").stat().st_mode) == 0o666 & ~mask


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
def test_links_and_pipes_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    target, link = tmp_path / "store" / "result.png", tmp_path / "link.png"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_picture(PICTURE, link)
    assert link.is_symlink()
    assert read_picture(target).width == 17
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_picture(PICTURE, pipe)
    reader.join(timeout=10)
    assert pipe.is_fifo()
    assert read_picture(io.BytesIO(received[0])).width == 17


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_process_leaves_no_half_picture(tmp_path: Path) -> None:
    program = (
        "import sys, torch; from styletransfer.media import Picture, write_picture;"
        "picture = Picture(torch.randint(0, 256, (3, 4000, 4000)).to(torch.uint8), None).with_bit_depth(16);"
        f"write_picture(picture, {str(tmp_path / 'result.png')!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 60
    while not names_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (left,) = names_in(tmp_path)
    assert left.startswith(".")
    assert left.endswith(".part")
