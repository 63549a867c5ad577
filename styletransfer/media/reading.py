"""Pictures from files, streams and Pillow images."""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import torch
from PIL import Image, UnidentifiedImageError

from ..errors import StyleTransferError
from .channels import copy_channels, oriented_size
from .color_profiles import plan_conversion
from .deep_samples import DeepSamples, decode_deep_color, decode_deep_grey, is_deep_color, is_deep_grey
from .failures import explain_reading, source_name
from .matrix_profiles import convert_to_srgb
from .opening import load_image, open_image, read_orientation
from .picture import Picture
from .uncommon_tiff import decode_uncommon_tiff, has_separate_deep_planes


def read_picture(source: str | Path | BinaryIO, *, max_pixels: int = 250_000_000) -> Picture:
    """Read a picture as it is meant to be seen: upright, in sRGB, at its full depth.

    JPEG, PNG, WebP, TIFF, BMP, GIF (first frame) and, where Pillow has it, AVIF; the content decides, not
    the name. EXIF orientation is applied and embedded ICC profiles are converted to sRGB. Grey becomes three
    equal channels. Sources of more than 8 bits per sample (PNG, TIFF) give 16; CMYK always gives 8.

    Args:
        source: A path, or a binary stream, which is read to its end.
        max_pixels: A picture with more pixels is refused before it is decoded: a file of a kilobyte can
            claim to hold terabytes.

    Raises:
        ImageError: The file is missing, unreadable, no picture, damaged or too large.
        MemoryLimitError: It does not fit into memory.
    """
    name = source_name(source)
    try:
        with ExitStack() as stack:
            file = stack.enter_context(Path(source).open("rb")) if isinstance(source, str | Path) else source
            if not isinstance(file, io.BytesIO) and (file is source or not file.seekable()):
                file = io.BytesIO(file.read())
            return _decode(file, name, max_pixels)
    except StyleTransferError:
        raise
    # Damaged bytes make decoders raise almost anything: OSError, SyntaxError, struct.error, KeyError, ...
    except Exception as error:
        raise explain_reading(error, name, max_pixels) from error


def picture_from_pil(image: Image.Image) -> Picture:
    """Take over a Pillow image of any mode; the image itself is left as it is.

    The EXIF orientation and the ICC profile that it still carries are applied, as `read_picture` does.

    Raises:
        ImageError: Its file, not decoded until now, is damaged.
    """
    try:
        image.load()
        return _picture_from_loaded(image)
    except Exception as error:
        name = source_name(getattr(image, "filename", None) or image)
        raise explain_reading(error, name, image.width * image.height) from error


def _decode(file: BinaryIO, name: str, max_pixels: int) -> Picture:
    try:
        image = open_image(file, name, max_pixels)
    except UnidentifiedImageError:
        file.seek(0)
        if file.read(2) in {b"II", b"MM"}:
            return _picture_from_samples(decode_uncommon_tiff(file, name, max_pixels))
        raise
    if has_separate_deep_planes(image):
        return _picture_from_samples(decode_uncommon_tiff(file, name, max_pixels))
    if is_deep_color(image):
        samples = decode_deep_color(lambda: open_image(file, name, max_pixels), max_pixels)
        return _picture_from_samples(samples)
    load_image(image, max_pixels)
    return _picture_from_loaded(image)


def _picture_from_loaded(image: Image.Image) -> Picture:
    orientation = read_orientation(image)
    if is_deep_grey(image):
        return _picture_from_samples(decode_deep_grey(image, orientation))
    mode, convert = plan_conversion(image)
    height, width = oriented_size(image, orientation)
    pixels = torch.empty(3, height, width, dtype=torch.uint8)
    alpha = torch.empty(1, height, width, dtype=torch.uint8) if mode == "RGBA" else None
    colors = (pixels,) if mode == "L" else pixels.chunk(3)
    targets = colors if alpha is None else (*colors, alpha)
    copy_channels(image, targets, convert=convert, orientation=orientation)
    return Picture(pixels, alpha)


def _picture_from_samples(samples: DeepSamples) -> Picture:
    grey = samples.colors.shape[0] == 1
    pixels = samples.colors.repeat(3, 1, 1) if grey else samples.colors
    return Picture(convert_to_srgb(pixels, samples.profile, grey=grey), samples.alpha)
