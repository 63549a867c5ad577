"""What `stylize` keeps of a photograph beside its pixels, and inputs that move."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import ExifTags, Image

from .conftest import Run
from .pictures import read_size

Exif, GPS = ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo

pytestmark = pytest.mark.usefixtures("style")


@pytest.fixture
def photograph(folder: Path) -> Path:
    """Write a JPEG that lies on its side, with camera, date and position."""
    exif = Image.Exif()
    exif.update({int(ExifTags.Base.Model): "EOS 5D", int(ExifTags.Base.Orientation): 6})
    exif.get_ifd(Exif)[ExifTags.Base.DateTimeOriginal] = "2020:01:02 03:04:05"
    exif.get_ifd(GPS)[ExifTags.GPS.GPSLatitudeRef] = "N"
    path = folder / "photo.jpg"
    Image.new("RGB", (24, 16), "teal").save(path, exif=exif, dpi=(240, 240))
    return path


def read_facts(path: str) -> tuple[object, object, object, object]:
    """Return camera, date and hemisphere of a file, and its pixels per inch."""
    with Image.open(path) as image:
        image.load()
        exif = image.getexif()
        dpi = round(float(image.info["dpi"][0])) if "dpi" in image.info else None
        date = exif.get_ifd(Exif).get(ExifTags.Base.DateTimeOriginal)
        return exif.get(ExifTags.Base.Model), date, exif.get_ifd(GPS).get(ExifTags.GPS.GPSLatitudeRef), dpi


DATE = "2020:01:02 03:04:05"


@pytest.mark.usefixtures("photograph")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ("EOS 5D", DATE, None, 240)),
        (["--keep-location"], ("EOS 5D", DATE, "N", 240)),
        (["--dpi", "300"], ("EOS 5D", DATE, None, 300)),
        (["--no-metadata", "--keep-location"], (None, None, None, 240)),
        (["--bit-depth", "16"], ("EOS 5D", DATE, None, 240)),
    ],
)
@pytest.mark.parametrize("extension", ["png", "tiff", "jpg"])
def test_metadata_of_the_content_are_kept(
    run: Run, options: list[str], expected: tuple[object, ...], extension: str
) -> None:
    if extension == "jpg" and "16" in options:
        pytest.skip("JPEG has 8 bits")
    result = run("stylize", "photo.jpg", "waves.png", "-o", f"out.{extension}", *options)
    assert result.exit_code == 0
    assert read_facts(f"out.{extension}") == expected
    assert read_size(f"out.{extension}") == (16, 24)  # upright, and not turned twice


def test_metadata_come_through_a_pipe(run: Run, photograph: Path) -> None:
    result = run("stylize", "-", "waves.png", "-o", "-", input=photograph.read_bytes())
    Path("out.png").write_bytes(result.stdout_bytes)
    assert read_facts("out.png") == ("EOS 5D", DATE, None, 240)


@pytest.mark.parametrize("dpi", ["0", "-1", "nan", "1e9"])
def test_pixels_per_inch_have_a_range(run: Run, photograph: Path, dpi: str) -> None:
    result = run("stylize", "photo.jpg", "waves.png", "--dpi", dpi)
    assert result.exit_code == 2
    assert "dpi is" in result.stderr


@pytest.mark.usefixtures("photograph")
def test_an_animation_is_said_to_be_used_in_part(run: Run) -> None:
    frames = [Image.new("RGB", (32, 24), color) for color in ("red", "blue")]
    frames[0].save("move.gif", save_all=True, append_images=frames[1:])
    result = run("stylize", "*.gif", "waves.png", "photo.jpg", "-o", "out/")
    assert result.exit_code == 0
    assert result.stderr.count("move.gif is animated; only its first frame is used") == 1
    result = run("stylize", "photo.jpg", "move.gif")
    assert "move.gif is animated; only its first frame is used" in result.stderr
    assert "animated" not in run("stylize", "photo.jpg", "move.gif", "-o", "q.png", "-q").stderr


def test_a_video_is_refused_in_one_line_that_says_what_to_do(run: Run) -> None:
    Path("clip.mp4").write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(100))
    result = run("stylize", "clip.mp4", "waves.png", "-q")
    assert result.exit_code == 1
    assert result.stderr == "error: clip.mp4: this is a video; use `styletransfer video`\n"
