"""Pictures to files, streams and Pillow images."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from PIL import ExifTags, Image, PngImagePlugin

from .atomic import replace_file
from .channels import image_from_channels
from .color_profiles import srgb_profile
from .failures import explain_writing, source_name
from .formats import ImageFormat, check_writable_format, resolve_format
from .picture import Picture
from .sixteen_bit_png import PNG_STRATEGY, write_sixteen_bit_png

OPAQUE_FORMATS = {"JPEG", "BMP"}
FULL_CHROMA_QUALITY = 90  # from here on, JPEG keeps colors at full resolution
TIFF_PREDICTOR, HORIZONTAL_DIFFERENCES = 317, 2  # TIFF 6.0, section 14: halves the file


def write_picture(
    picture: Picture,
    target: str | Path | BinaryIO,
    *,
    format: str | None = None,
    bit_depth: int | None = None,
    quality: int = 95,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a picture with an sRGB profile; the file appears whole or not at all.

    JPEG and BMP hold no alpha: there a picture with alpha is laid on white.

    Args:
        picture: What to write.
        target: A path, or a binary stream that accepts writes and need not seek.
        format: "png", "jpeg", ...; None takes it from the file name.
        bit_depth: 8 or 16; None keeps the picture's own where the format can hold it.
        quality: Of JPEG, WebP and AVIF, 1..100.
        metadata: Short keys and texts. PNG gets a text chunk for each; JPEG, TIFF, WebP and AVIF get them as
            JSON in the image description; BMP holds none.

    Raises:
        ImageError: The format cannot hold the picture, or the file cannot be written.
        MemoryLimitError: Encoding does not fit into memory.
    """
    path = Path(target) if isinstance(target, str | Path) else None
    form = resolve_format(path, format)
    if bit_depth is None:
        bit_depth = picture.bit_depth if picture.bit_depth in form.bit_depths else 8
    check_writable_format(path, format=format, bit_depth=bit_depth, size=(picture.width, picture.height))
    name = source_name(target)
    try:
        picture = picture.with_bit_depth(bit_depth)
        if isinstance(target, str | Path):
            with replace_file(Path(target)) as file:
                _encode(picture, file, form, quality, metadata or {})
        else:
            # Encoders seek, pipes do not; and a failing encoder has then written nothing.
            buffer = io.BytesIO()
            _encode(picture, buffer, form, quality, metadata or {})
            target.write(buffer.getbuffer())
    except Exception as error:
        raise explain_writing(error, name) from error


def picture_to_pil(picture: Picture) -> Image.Image:
    """Return a Pillow image, RGB or RGBA; Pillow has no colors of 16 bits, they are rounded to 8."""
    narrow = picture.with_bit_depth(8)
    if narrow.alpha is None:
        return image_from_channels(narrow.pixels)
    return image_from_channels(torch.cat((narrow.pixels, narrow.alpha)))


def _encode(
    picture: Picture, file: BinaryIO, form: ImageFormat, quality: int, metadata: Mapping[str, str]
) -> None:
    if picture.bit_depth == 8:
        image = picture_to_pil(picture)
        if picture.alpha is not None and form.name in OPAQUE_FORMATS:
            paper = Image.new("RGB", image.size, "white")
            paper.paste(image, mask=image.getchannel("A"))
            image = paper
        image.save(file, form.name, **_encoder_options(form.name, quality, metadata))
    elif form.name == "PNG":
        write_sixteen_bit_png(picture, file, metadata)
    else:
        _write_sixteen_bit_tiff(picture, file, metadata)


def _encoder_options(name: str, quality: int, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the keywords of Pillow's encoder."""
    if name == "BMP":
        return {}
    options: dict[str, Any] = {"icc_profile": srgb_profile()}
    if name == "PNG":
        options["compress_type"] = PNG_STRATEGY
        options["pnginfo"] = chunks = PngImagePlugin.PngInfo()
        for keyword, text in metadata.items():
            chunks.add_itxt(keyword, text)
        return options
    tags: dict[int, Any] = {ExifTags.Base.ImageDescription: json.dumps(dict(metadata))} if metadata else {}
    if name == "TIFF":
        return {
            **options,
            "compression": "tiff_adobe_deflate",
            "tiffinfo": {**tags, TIFF_PREDICTOR: HORIZONTAL_DIFFERENCES},
        }
    if tags:
        options["exif"] = exif = Image.Exif()
        exif.update(tags)
    if name == "JPEG" and quality >= FULL_CHROMA_QUALITY:
        options["subsampling"] = "4:4:4"
    return {**options, "quality": quality}


def _write_sixteen_bit_tiff(picture: Picture, file: BinaryIO, metadata: Mapping[str, str]) -> None:
    from tifffile import TiffWriter

    samples = picture.pixels if picture.alpha is None else torch.cat((picture.pixels, picture.alpha))
    with TiffWriter(file, bigtiff=samples.nbytes > 2**32 - 2**25) as tiff:
        tiff.write(
            samples.permute(1, 2, 0).contiguous().numpy(),
            photometric="rgb",
            extrasamples=() if picture.alpha is None else ("unassalpha",),
            compression="zlib",
            compressionargs={"level": 1},  # 16-bit noise hardly shrinks: 7 times faster, 1 % larger
            predictor=True,
            iccprofile=srgb_profile(),
            description=json.dumps(dict(metadata)) if metadata else None,
            software=False,
            metadata=None,
        )
