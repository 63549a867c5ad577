"""Date, camera, lens and pixels per inch pass from a photograph to its result; other metadata do not."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import ExifTags, Image

from styletransfer.media import (
    PhotoMetadata,
    Picture,
    read_photo_metadata,
    read_picture,
    writable_extensions,
    write_picture,
)

Exif, GPS = ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo
KEPT: dict[int, Any] = {
    ExifTags.Base.Make: "Canon",
    ExifTags.Base.Model: "EOS 5D",
    ExifTags.Base.DateTime: "2020:01:02 03:04:05",
}
KEPT_DETAILS: dict[int, Any] = {
    ExifTags.Base.DateTimeOriginal: "2020:01:02 03:04:05",
    ExifTags.Base.ExposureTime: 0.0125,
    ExifTags.Base.LensModel: "EF 50mm",
}
POSITION: dict[int, Any] = {ExifTags.GPS.GPSLatitudeRef: "N", ExifTags.GPS.GPSLatitude: (52.0, 30.0, 1.5)}
EXTENSIONS = (".jpg", ".webp", ".png", ".tiff", ".avif")


def photograph() -> io.BytesIO:
    """Return a JPEG with all kinds of metadata."""
    exif = Image.Exif()
    exif.update(KEPT)
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.ImageDescription] = "from the camera"
    exif.get_ifd(Exif).update(KEPT_DETAILS)
    exif.get_ifd(Exif).update({ExifTags.Base.BodySerialNumber: "12345", ExifTags.Base.MakerNote: b"\1" * 500})
    exif.get_ifd(GPS).update(POSITION)
    file = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(file, "JPEG", exif=exif, dpi=(300, 300))
    file.seek(0)
    return file


def write(path: Path, photo: PhotoMetadata, depth: int = 8) -> Path:
    generator = torch.Generator().manual_seed(0)
    picture = Picture.from_float(torch.rand(3, 11, 21, generator=generator), bit_depth=depth)
    write_picture(picture, path, metadata={"alpha": "0.5"}, photo=photo)
    return path


@pytest.mark.parametrize("location", [False, True])
@pytest.mark.parametrize(
    ("extension", "depth"), [*((each, 8) for each in EXTENSIONS), (".png", 16), (".tiff", 16)]
)
def test_every_format_keeps_date_camera_lens_and_dpi(
    extension: str, depth: int, location: bool, tmp_path: Path
) -> None:
    if extension not in writable_extensions():
        pytest.skip("this Pillow has no AVIF")
    photo = read_photo_metadata(photograph(), keep_location=location)
    path = write(tmp_path / f"result{extension}", photo, depth)
    with Image.open(path) as image:
        image.load()
        exif = image.getexif()
        details, position = dict(exif.get_ifd(Exif)), dict(exif.get_ifd(GPS))
    assert {tag: exif.get(tag) for tag in KEPT} == KEPT
    assert details == KEPT_DETAILS
    assert position == (POSITION if location else {})
    assert exif.get(ExifTags.Base.Orientation, 1) == 1
    again = read_photo_metadata(path, keep_location=True)
    assert again.dpi == pytest.approx((300, 300), abs=0.1)
    plain = write(tmp_path / f"plain{extension}", PhotoMetadata(), depth)
    assert read_picture(path).pixels.equal(read_picture(plain).pixels)
    if extension == ".png":
        with Image.open(path) as image:
            assert image.info["alpha"] == "0.5"
    else:
        assert exif[ExifTags.Base.ImageDescription] == '{"alpha": "0.5"}'


@pytest.mark.parametrize(
    ("extension", "depth"), [*((each, 8) for each in EXTENSIONS), (".png", 16), (".tiff", 16)]
)
def test_names_keep_their_accents(extension: str, depth: int, tmp_path: Path) -> None:
    name = "Stéfan Müller 山田"
    exif = Image.Exif()
    exif[int(ExifTags.Base.Artist)] = name.encode()
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg", exif=exif)
    path = write(tmp_path / f"result{extension}", read_photo_metadata(tmp_path / "photo.jpg"), depth)
    with Image.open(path) as image:
        image.load()
        written = image.getexif()[ExifTags.Base.Artist]
    assert written.encode("latin-1").decode() == name  # Pillow decodes Latin-1, whatever it is


def test_bmp_keeps_dpi(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bmp", read_photo_metadata(photograph()))
    assert read_photo_metadata(path).dpi == pytest.approx((300, 300), abs=0.1)


def test_a_tiff_that_other_programs_check(tmp_path: Path) -> None:
    """The directory that names the EXIF data is sorted, and tifffile reads both."""
    tifffile = pytest.importorskip("tifffile")
    for depth in (8, 16):
        path = write(tmp_path / f"{depth}.tiff", read_photo_metadata(photograph(), keep_location=True), depth)
        with tifffile.TiffFile(path) as file:
            assert len(file.pages) == 1
            tags = file.pages[0].tags
            assert list(tags.keys()) == sorted(tags.keys())
            assert tags["ExifTag"].value["LensModel"] == "EF 50mm"
            assert tags["GPSTag"].value["GPSLatitudeRef"] == "N"


@pytest.mark.parametrize("name", ["absent.jpg", "text.jpg", "cut.jpg", "dpi.png"])
def test_damaged_files_have_no_metadata(name: str, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"no picture")
    (tmp_path / "cut.jpg").write_bytes(photograph().read()[:30])
    Image.new("L", (1, 1)).save(tmp_path / "dpi.png", dpi=(0.001, 1))
    assert read_photo_metadata(tmp_path / name) == PhotoMetadata()


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_animations_are_recognized(format: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    for count in (1, 2):
        path = tmp_path / f"{count}.{format.lower()}"
        frames[0].save(path, format, save_all=True, append_images=frames[1:count])
        assert read_photo_metadata(path).animated == (count == 2)


def test_damaged_tags_cost_neither_the_picture_nor_a_warning(tmp_path: Path) -> None:
    data = photograph().getvalue()
    rng = random.Random(0)
    end = data.index(b"\xff\xdb")  # where the pixels begin
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            damaged[rng.randrange(20, end)] = rng.choice([0, 1, 2, 3, 4, 5, 7, 10, 12, 255])
        photo = read_photo_metadata(io.BytesIO(damaged), keep_location=True)
        for name in ("a.jpg", "a.png", "a.tiff"):
            write(tmp_path / name, photo)
            assert read_picture(tmp_path / name).width == 21
