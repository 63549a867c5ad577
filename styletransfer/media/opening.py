"""Opening image files with Pillow: the only place that touches its global settings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import BinaryIO

from PIL import ExifTags, Image, ImageFile

from ..errors import ImageError
from .formats import FORMATS, identify_format, is_heif

_settings = Lock()


@contextmanager
def pillow_settings(max_pixels: int | None = None) -> Iterator[None]:
    """Hold Pillow to another limit of pixels, and keep its warnings about odd metadata to itself.

    Both are global to the process, hence the lock; what runs inside should parse headers, not pixels.
    """
    with _settings, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS
        if max_pixels is not None:
            Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def open_image(file: BinaryIO, name: str, max_pixels: int) -> ImageFile.ImageFile:
    """Read the header of an image file; the pixels are still to be loaded.

    Args:
        file: Seekable, open as long as the image is in use.
        name: The file's name in messages.
        max_pixels: The largest number of pixels that is let in.

    Raises:
        ImageError: The file is empty, of no known format or too large. (A damaged header raises what
            Pillow raises.)
    """
    file.seek(0)
    header = file.read(64)
    known = f"convert it to one of {', '.join(form.name for form in FORMATS if form.available)}"
    if not header:
        raise ImageError(f"{name}: the file is empty", hint="copy or download it again")
    form = identify_format(header)
    if form is None and is_heif(header):
        raise ImageError(f"{name}: HEIC pictures cannot be read", hint="convert it to JPEG or PNG")
    if form is None:
        raise ImageError(f"{name}: this is no picture in a known format", hint=known)
    if not form.available:
        raise ImageError(f"{name}: this Pillow has no {form.name}", hint=known)
    with pillow_settings(max_pixels):
        image = Image.open(file, formats=[form.name])
    check_size(name, image.width, image.height, max_pixels)
    return image


def check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    """Raise ImageError if a picture has more pixels than are let in."""
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: {width}x{height} pixels are more than the limit of {max_pixels}",
            hint="reduce it first",
        )


def load_image(image: ImageFile.ImageFile, max_pixels: int) -> None:
    """Decode the pixels of an opened image."""
    if image.format == "TIFF":  # checks the limit and reads EXIF only now
        with pillow_settings(max_pixels):
            image.load()
    else:
        image.load()


def read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded image, 1..8; 1 where EXIF is absent or broken."""
    with pillow_settings():
        try:
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        except Exception:  # a damaged EXIF block raises almost anything, and the picture is still good
            return 1
    return orientation if orientation in range(1, 9) else 1
