"""Reading of pictures from files, streams and Pillow images."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import torch
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from ..errors import ImageError, StyleTransferError
from .color_encoding import ColorEncoding, convert_encoding
from .color_metadata import encoding_of_image, read_color_encoding
from .color_profiles import GRAY_MODES, plan_conversion
from .error_messages import explain_reading, printable_name
from .formats import (
    FORMATS,
    HEADER_SIZE,
    TIFF_SIGNATURES,
    check_pixel_count,
    identify_format,
    is_heif,
)
from .high_bit_depth import (
    DecodedSamples,
    decode_gray_image,
    decode_png,
    is_16_bit_png,
    is_high_bit_depth_gray,
    oriented_samples,
    separate_alpha,
)
from .matrix_profiles import convert_to_srgb
from .picture import Picture
from .pil_tensor import copy_channels, oriented_size
from .tiff import decode_tiff, needs_tifffile

_pillow_lock = Lock()


def read_picture(source: str | Path | BinaryIO, *, max_pixels: int = 250_000_000) -> Picture:
    """Read a picture as it is meant to be seen: upright, in sRGB and at its full depth.

    The formats are JPEG, PNG, WebP, TIFF, BMP, GIF (its first frame) and AVIF if Pillow has it. The content
    of the file decides, not its name. The EXIF orientation is applied, and colors with an ICC profile are
    converted to sRGB. Gray becomes three equal channels. PNG and TIFF with more than 8 bits per sample give
    16 bits; CMYK always gives 8.

    Args:
        source: A path, or a binary stream, which is read to its end.
        max_pixels: A picture with more pixels is refused before it is decoded, because a file of a kilobyte
            can claim to hold terabytes.

    Raises:
        ImageError: The file is missing, unreadable, not a picture, damaged or too large.
        MemoryLimitError: The picture does not fit into memory.
    """
    name = printable_name(source)
    try:
        with ExitStack() as stack:
            file = stack.enter_context(Path(source).open("rb")) if isinstance(source, str | Path) else source
            if not isinstance(file, io.BytesIO) and (file is source or not file.seekable()):
                file = io.BytesIO(file.read())
            return _decode(file, name, max_pixels)
    except StyleTransferError:
        raise
    # Damaged files make decoders raise almost anything: OSError, SyntaxError, struct.error, KeyError, ...
    except Exception as error:
        raise explain_reading(error, name, max_pixels) from error


def picture_from_pil(image: Image.Image) -> Picture:
    """Copy a Pillow image of any mode; the image itself is not changed.

    The EXIF orientation and the ICC profile that the image carries are applied as in `read_picture`.

    Raises:
        ImageError: The image was opened from a file that turns out to be damaged.
        MemoryLimitError: The picture does not fit into memory.
    """
    try:
        image.load()
        return _picture_from_image(image)
    except Exception as error:
        name = printable_name(getattr(image, "filename", None) or None)
        raise explain_reading(error, name, image.width * image.height) from error


def _decode(file: BinaryIO, name: str, max_pixels: int) -> Picture:
    try:
        image = _open_image(file, name, max_pixels)
    except UnidentifiedImageError:
        file.seek(0)
        if file.read(4) in TIFF_SIGNATURES:
            return _picture_from_samples(*decode_tiff(file, name, max_pixels))
        raise
    if needs_tifffile(image):
        return _picture_from_samples(*decode_tiff(file, name, max_pixels))
    encoding = read_color_encoding(image, file)
    if is_16_bit_png(file):
        values, exif_data = decode_png(file)
        image.info.setdefault("exif", exif_data)  # Pillow has not read what stands after the pixels
        exif = _read_exif(image)
        samples = oriented_samples(values.reshape(image.height, image.width, -1), _orientation(exif))
        del values
        decoded = separate_alpha(samples, image.info.get("icc_profile"))
        return _picture_from_samples(decoded, encoding or _encoding_of_image(image, exif))
    _load_image(image, max_pixels)
    return _picture_from_image(image, encoding)


def _open_image(file: BinaryIO, name: str, max_pixels: int) -> ImageFile.ImageFile:
    """Read the header of an image file; the pixels are not decoded yet.

    Args:
        file: The file, seekable; it must stay open as long as the image is in use.
        name: The printable name of the file.
        max_pixels: The largest accepted number of pixels.

    Raises:
        ImageError: The file is empty, of an unknown format or too large. (A damaged header raises what
            Pillow raises.)
    """
    file.seek(0)
    header = file.read(HEADER_SIZE)
    if not header:
        raise ImageError(f"{name}: the file is empty", hint="copy or download it again")
    form = identify_format(header)
    hint = f"convert it to one of {', '.join(form.name for form in FORMATS if form.available)}"
    if form is None and is_heif(header):
        raise ImageError(f"{name}: HEIC pictures cannot be read", hint="convert it to JPEG or PNG")
    if form is None:
        raise ImageError(f"{name}: this is not a picture in a known format", hint=hint)
    if not form.available:
        raise ImageError(f"{name}: this Pillow has no {form.name}", hint=hint)
    with _pillow_settings(max_pixels):
        image = Image.open(file, formats=[form.name])
    check_pixel_count(name, image.width, image.height, max_pixels)
    return image


def _load_image(image: ImageFile.ImageFile, max_pixels: int) -> None:
    """Decode the pixels of an opened image."""
    if image.format == "TIFF":  # only now does Pillow check the limit and read EXIF
        with _pillow_settings(max_pixels):
            image.load()
    else:
        image.load()


def _read_exif(image: Image.Image) -> Image.Exif:
    """Return the EXIF data of an image; empty if they are absent or broken."""
    with _pillow_settings():
        try:
            return image.getexif()
        except Exception:  # a damaged EXIF block raises almost anything, but the pixels are intact
            return Image.Exif()


def _orientation(exif: Image.Exif) -> int:
    """Return the orientation in EXIF data, 1..8; 1 if it is absent or another number."""
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in range(1, 9) else 1


def _encoding_of_image(image: Image.Image, exif: Image.Exif) -> ColorEncoding | None:
    """Return what `encoding_of_image` returns; None if the metadata are damaged."""
    with _pillow_settings():
        try:
            return encoding_of_image(image, exif)
        except Exception:  # as above
            return None


@contextmanager
def _pillow_settings(max_pixels: int | None = None) -> Iterator[None]:
    """Set the pixel limit of Pillow, and suppress its warnings about unusual metadata.

    Both are global to the process and therefore locked. Only headers should be parsed in the block.
    """
    with _pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS
        if max_pixels is not None:
            Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _picture_from_image(image: Image.Image, encoding: ColorEncoding | None = None) -> Picture:
    """Return the picture of a loaded image.

    Args:
        image: An image of any mode.
        encoding: How its file encodes colors; None if only the image itself can tell.
    """
    exif = _read_exif(image)
    orientation = _orientation(exif)
    encoding = encoding or _encoding_of_image(image, exif)
    if is_high_bit_depth_gray(image):
        return _picture_from_samples(decode_gray_image(image, orientation), encoding)
    mode, convert = plan_conversion(image)
    height, width = oriented_size(image, orientation)
    pixels = torch.empty(3, height, width, dtype=torch.uint8)
    alpha = torch.empty(1, height, width, dtype=torch.uint8) if mode == "RGBA" else None
    colors = (pixels,) if mode == "L" else pixels.chunk(3)
    targets = colors if alpha is None else (*colors, alpha)
    copy_channels(image, targets, convert=convert, orientation=orientation)
    if encoding is not None:
        pixels = convert_encoding(pixels, encoding, gray=image.mode in GRAY_MODES)
    return Picture(pixels, alpha)


def _picture_from_samples(samples: DecodedSamples, encoding: ColorEncoding | None = None) -> Picture:
    """Return the picture of decoded samples, converted by `encoding` or else by their profile."""
    gray = samples.colors.shape[0] == 1
    pixels = samples.colors.repeat(3, 1, 1) if gray else samples.colors.contiguous()
    alpha = None if samples.alpha is None else samples.alpha.contiguous()
    if encoding is not None:
        return Picture(convert_encoding(pixels, encoding, gray=gray), alpha)
    return Picture(convert_to_srgb(pixels, samples.profile, gray=gray), alpha)
