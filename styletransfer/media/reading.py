"""Reading of pictures from files, streams and Pillow images."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import torch
from PIL import ExifTags, Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from ..errors import ImageError, StyleTransferError
from .bmp_pnm_tga_decoding import correct_tga_opacity, decode_bmp, decode_pnm
from .color_metadata import encoding_of_image, read_bmp_color, read_color_encoding
from .color_profiles import GRAY_MODES, convert_to_srgb, plan_conversion
from .color_space_conversion import ColorEncoding, convert_encoding
from .formats import (
    CAMERA_RAW_HINT,
    HEADER_SIZE,
    TIFF_SIGNATURES,
    ImageFormat,
    check_pixel_count,
    explain_reading,
    identify_format,
    is_camera_raw,
    is_video,
    printable_name,
    read_jpeg_xl_size,
    readable_names,
)
from .high_bit_depth import (
    DecodedSamples,
    decode_gray_image,
    decode_png,
    is_16_bit_png,
    is_high_bit_depth_gray,
    oriented_samples,
    scale_transparent_gray,
    separate_alpha,
)
from .picture import PhotoMetadata, Picture
from .pil_tensor import copy_channels, oriented_size
from .tiff_decoding import DecodedTiff, decode_tiff, needs_tifffile

# EXIF tags that a result keeps: date, camera, lens and exposure, but no names of owners or serial numbers.
KEPT_TAGS = (
    *(ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.DateTime),
    *(ExifTags.Base.Artist, ExifTags.Base.Copyright),
)
KEPT_EXIF_TAGS = (
    *(ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized),
    *(ExifTags.Base.OffsetTime, ExifTags.Base.OffsetTimeOriginal, ExifTags.Base.OffsetTimeDigitized),
    *(ExifTags.Base.SubsecTime, ExifTags.Base.SubsecTimeOriginal, ExifTags.Base.SubsecTimeDigitized),
    *(ExifTags.Base.ExposureTime, ExifTags.Base.FNumber, ExifTags.Base.ISOSpeedRatings),
    *(ExifTags.Base.ExposureBiasValue, ExifTags.Base.Flash),
    *(ExifTags.Base.FocalLength, ExifTags.Base.FocalLengthIn35mmFilm),
    *(ExifTags.Base.LensMake, ExifTags.Base.LensModel, ExifTags.Base.LensSpecification),
)
MAX_DPI = 65_535  # what JPEG can hold
MAX_TAG_LENGTH = 1000  # characters; longer values are damaged or no text
ANIMATED_FORMATS = {"GIF", "PNG", "WEBP", "AVIF"}

_pillow_lock = Lock()
# Without a handler, Python would print what Pillow logs; the raised error says the same.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def read_picture(source: str | Path | BinaryIO, *, max_pixels: int = 250_000_000) -> Picture:
    """Read a picture as it is meant to be seen: upright, in sRGB and at its full depth.

    The formats are JPEG, PNG, WebP, TIFF, BMP, GIF (its first frame), PNM, TGA, AVIF if Pillow has it, HEIC
    with pillow-heif, and JPEG XL with pillow-jxl-plugin. The content of the file decides, not its name. The
    EXIF orientation is applied, and colors are converted to sRGB as an ICC profile or other metadata say.
    Gray becomes three equal channels. PNG, TIFF, BMP and PNM with more than 8 bits per sample give 16 bits;
    CMYK and CIELAB always give 8.

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


def read_photo_metadata(source: str | Path | BinaryIO, *, keep_location: bool = False) -> PhotoMetadata:
    """Read what a result should keep of a photograph beside its pixels; empty if there is nothing legible.

    Only the header of the file is read. JPEG XL is passed over, because its plugin decodes at once.

    Args:
        source: A path, or a seekable binary stream, which is left at its start.
        keep_location: Whether the position of the camera is read, too.
    """
    try:
        with ExitStack() as stack:
            file = stack.enter_context(Path(source).open("rb")) if isinstance(source, str | Path) else source
            try:
                form = _identify(file, "")
                if form.name in {"JPEG XL", "PNM", "TGA"}:
                    return PhotoMetadata()
                file.seek(0)
                with _pillow_settings():
                    image = Image.open(file, formats=[form.pillow_name or form.name])
                return _collect_metadata(image, form.name in ANIMATED_FORMATS, keep_location)
            finally:
                file.seek(0)
    except Exception:  # damaged metadata raise almost anything; `read_picture` explains damaged pictures
        return PhotoMetadata()


def read_recorded_settings(path: Path) -> dict[str, str]:
    """Read the texts that `write_picture` recorded in a file, without its pixels; empty if there are none."""
    try:
        with _pillow_settings(), Image.open(path) as image:
            if isinstance(image, PngImagePlugin.PngImageFile):
                return {str(key): str(text) for key, text in image.info.items() if isinstance(text, str)}
            recorded = json.loads(image.getexif().get(ExifTags.Base.ImageDescription, "{}"))
            return {str(key): str(text) for key, text in recorded.items()}
    except Exception:  # it may be any file that has the name of a result
        return {}


def _collect_metadata(image: ImageFile.ImageFile, may_move: bool, keep_location: bool) -> PhotoMetadata:
    # Pillow would decode a whole PNG to find EXIF data after its pixels.
    absent = image.format == "PNG" and not {"exif", "Raw profile type exif"} & set(image.info)
    exif = Image.Exif() if absent else _read_exif(image)
    kept = Image.Exif()
    kept.update(_choose_tags(exif, KEPT_TAGS))
    preserve_text(kept)
    with _pillow_settings():
        details = _choose_tags(exif.get_ifd(ExifTags.IFD.Exif), KEPT_EXIF_TAGS)
        position = exif.get_ifd(ExifTags.IFD.GPSInfo) if keep_location else {}
    for directory, tags in (
        (ExifTags.IFD.Exif, details),
        (ExifTags.IFD.GPSInfo, _choose_tags(position, position)),
    ):
        if tags:
            kept.get_ifd(directory).update(tags)
            kept[directory] = kept.get_ifd(directory)
    return PhotoMetadata(
        exif=kept.tobytes() if len(kept) else b"",
        dpi=_find_dpi(image, exif),
        animated=may_move and bool(getattr(image, "is_animated", False)),
    )


def preserve_text(exif: Image.Exif) -> None:
    """Let Pillow write texts as it reads them: as Latin-1, where it would put `?` for all but ASCII."""
    for tag in KEPT_TAGS:
        text = exif.get(tag)
        if isinstance(text, str) and not text.isascii():
            exif[tag] = text.encode("latin-1", "replace")


def _choose_tags(tags: Mapping[int, Any], chosen: Iterable[int]) -> dict[int, Any]:
    """Return those of some tags that are there and are not too long."""
    return {tag: tags[tag] for tag in chosen if tag in tags and len(str(tags[tag])) <= MAX_TAG_LENGTH}


def _find_dpi(image: Image.Image, exif: Image.Exif) -> tuple[float, float] | None:
    """Return the pixels per inch that a file records; None if it does not, or if they make no sense."""
    dpi = image.info.get("dpi")
    if dpi is None and ExifTags.Base.XResolution in exif:
        unit = 2.54 if exif.get(ExifTags.Base.ResolutionUnit) == 3 else 1  # 3 is centimeters
        dpi = [exif.get(tag, 0) * unit for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution)]
    if dpi is None:
        return None
    across, down = (round(float(value), 2) for value in dpi)
    return (across, down) if 1 <= across <= MAX_DPI and 1 <= down <= MAX_DPI else None


def picture_from_pil(image: Image.Image) -> Picture:
    """Copy a Pillow image of any mode; the image itself is not changed.

    The EXIF orientation and the color metadata that the image carries are applied as in `read_picture`.

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
    form = _identify(file, name)
    if form.name == "PNM":
        return _picture_from_samples(decode_pnm(file, name, max_pixels))
    if form.name == "BMP" and (samples := decode_bmp(file, name, max_pixels)) is not None:
        profile, encoding = read_bmp_color(file)
        return _picture_from_samples(samples._replace(profile=profile), encoding)
    try:
        image = _open_image(file, form, name, max_pixels)
    except UnidentifiedImageError:
        file.seek(0)
        if file.read(4) in TIFF_SIGNATURES:
            return _picture_from_tiff(decode_tiff(file, name, max_pixels))
        raise
    if needs_tifffile(image, file, name):
        return _picture_from_tiff(decode_tiff(file, name, max_pixels))
    encoding = read_color_encoding(image, file)
    if is_16_bit_png(file):
        values, exif_data = decode_png(file)
        image.info.setdefault("exif", exif_data)  # Pillow has not read what stands after the pixels
        exif = _read_exif(image)
        oriented = oriented_samples(values.reshape(image.height, image.width, -1), _orientation(exif))
        del values
        samples = separate_alpha(oriented, image.info.get("icc_profile"))
        return _picture_from_samples(samples, encoding or _encoding_of_image(image, exif))
    _load_image(image, max_pixels)
    if form.name == "TGA":
        correct_tga_opacity(image, file)
    return _picture_from_image(image, encoding)


def _identify(file: BinaryIO, name: str) -> ImageFormat:
    """Return the format of a file, and load the plugin that reads it.

    Raises:
        ImageError: The file is empty, or of a format that is unknown, not installed or refused.
    """
    file.seek(0)
    header = file.read(HEADER_SIZE)
    if not header:
        raise ImageError(f"{name}: the file is empty", hint="copy or download it again")
    if is_camera_raw(header):
        raise ImageError(f"{name}: this is a camera raw file", hint=CAMERA_RAW_HINT)
    form = identify_format(header)
    if form is None and is_video(header):
        raise ImageError(f"{name}: this is a video", hint="use `styletransfer video`")
    if form is None:
        hint = f"convert it to one of {', '.join(readable_names())}"
        raise ImageError(f"{name}: this is not a picture in a known format", hint=hint)
    if not form.available:
        missing = "this Pillow has no" if form.plugin is None else "another package is needed to read"
        raise ImageError(f"{name}: {missing} {form.name}", hint=form.remedy)
    if form.plugin is not None:
        module = import_module(form.plugin)
        if form.plugin == "pillow_heif":
            module.register_heif_opener()
    return form


def _open_image(file: BinaryIO, form: ImageFormat, name: str, max_pixels: int) -> ImageFile.ImageFile:
    """Read the header of an image file; the pixels are not decoded yet.

    Args:
        file: The file, seekable; it must stay open as long as the image is in use.
        form: Its format.
        name: The printable name of the file.
        max_pixels: The largest accepted number of pixels.

    Raises:
        ImageError: The picture is too large. (A damaged header raises what Pillow raises.)
    """
    if form.name == "JPEG XL":
        check_pixel_count(name, *read_jpeg_xl_size(file), max_pixels)
    file.seek(0)
    with _pillow_settings(max_pixels):
        image = Image.open(file, formats=[form.pillow_name or form.name])
    check_pixel_count(name, image.width, image.height, max_pixels)
    if image.format == "PNG":
        scale_transparent_gray(image, file)
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
    mode, convert = plan_conversion(image, image.info.get("icc_profile") if encoding is None else None)
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


def _picture_from_tiff(decoded: DecodedTiff) -> Picture:
    if decoded.samples is not None:
        return _picture_from_samples(decoded.samples, decoded.encoding)
    assert decoded.image is not None
    return replace(_picture_from_image(decoded.image), alpha=decoded.alpha)
