"""Pictures with more than 8 bits per sample, which Pillow has for gray only.

Pillow reads color of 16 bits without a warning as 8 bits. So PNG is decoded by imagecodecs (libpng) here,
and TIFF by tifffile in `tiff`; Pillow reads their headers only.
"""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from .pil_tensor import LITTLE_ENDIAN, ORIENTATIONS, byte_planes, copy_channels, oriented_size

if TYPE_CHECKING:
    import numpy as np

WHITE = 2**16 - 1
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # TIFF 6.0, section 8
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The chunks that hold pixels. Others are hidden from libpng, which warns about small faults in them.
PIXEL_CHUNKS = {b"IHDR", b"tRNS", b"IDAT", b"IEND"}

# Without a handler, Python would print what imagecodecs logs; the raised error says the same.
logging.getLogger("imagecodecs").addHandler(logging.NullHandler())


class DecodedSamples(NamedTuple):
    """Samples of 16 bits in displayed orientation, still in the color space of their file.

    Attributes:
        colors: Gray [1, H, W] or RGB [3, H, W], uint16.
        alpha: Opacity, not premultiplied, [1, H, W], uint16; None if all pixels are opaque.
        profile: The embedded ICC profile, or None.
    """

    colors: Tensor
    alpha: Tensor | None
    profile: bytes | None


def is_16_bit_png(file: BinaryIO) -> bool:
    """Return whether a file is a PNG with 16 bits per sample."""
    file.seek(0)
    header = file.read(25)  # signature, length and type of IHDR, width, height, bit depth
    return header.startswith(PNG_SIGNATURE) and header[24:] == b"\x10"


def decode_png(file: BinaryIO) -> tuple[np.ndarray, bytes | None]:
    """Decode a PNG with 16 bits per sample.

    Returns:
        The samples as they are stored, [H, W] or [H, W, C], uint16, and the EXIF data, or None.

    Raises:
        ValueError: The file is truncated. (Other damage raises what imagecodecs raises.)
    """
    from imagecodecs import png_decode

    stream, exif = _extract_pixels(file)
    return png_decode(stream), exif


def _extract_pixels(file: BinaryIO) -> tuple[bytearray, bytes | None]:
    """Return a PNG that has only the chunks with pixels, and the EXIF data, before or after the pixels.

    Source: PNG specification, third edition (W3C 2025), 5.3 and 11.3.5.
    """
    file.seek(len(PNG_SIGNATURE))
    stream, exif, kind = bytearray(PNG_SIGNATURE), None, b""
    while kind != b"IEND":
        start = file.read(8)
        if len(start) < 8:
            raise ValueError("the file ends too early")
        length, kind = struct.unpack(">I4s", start)
        if kind in PIXEL_CHUNKS:
            stream += start
            stream += file.read(length + 4)  # the data and their checksum
        elif kind == b"eXIf":
            exif = file.read(length + 4)[:-4]
        else:
            file.seek(length + 4, 1)
    return stream, exif


def oriented_samples(values: np.ndarray, orientation: int) -> Tensor:
    """Copy decoded samples into a tensor in displayed orientation.

    Args:
        values: Samples as they are stored, [H, W, C].
        orientation: The EXIF orientation, 1..8; others are taken for 1.

    Returns:
        [C, H, W], or [C, W, H] if the orientation transposes.
    """
    flip_rows, flip_columns, transpose = ORIENTATIONS.get(orientation, ORIENTATIONS[1])
    values = values[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return torch.from_numpy(values.transpose((2, 1, 0) if transpose else (2, 0, 1)).copy())


def separate_alpha(samples: Tensor, profile: bytes | None) -> DecodedSamples:
    """Return the samples [C, H, W] of gray, gray and alpha, RGB, or RGBA as colors and alpha."""
    if samples.shape[0] in {2, 4}:
        return DecodedSamples(samples[:-1], samples[-1:], profile)
    return DecodedSamples(samples, None, profile)


def is_high_bit_depth_gray(image: Image.Image) -> bool:
    """Return whether an image has one of Pillow's gray modes of 16 or 32 bits."""
    return image.mode in {"I", "F"} or image.mode.startswith("I;16")


def decode_gray_image(image: Image.Image, orientation: int) -> DecodedSamples:
    """Return the samples of a loaded image for which `is_high_bit_depth_gray` is true.

    Args:
        image: An image of the modes "I", "F", "I;16", "I;16L", "I;16B" or "I;16N".
        orientation: The EXIF orientation, 1..8.
    """
    size = oriented_size(image, orientation)
    if image.mode in {"I", "F"}:
        values = torch.empty(1, *size, dtype=torch.int32 if image.mode == "I" else torch.float32)
        parts = values.view(torch.uint8).view(*values.shape, 4).unbind(3)
        copy_channels(image, parts, orientation=orientation)
        return DecodedSamples(scale_to_16_bits(values), None, image.info.get("icc_profile"))
    colors = torch.empty(1, *size, dtype=torch.uint16)
    high, low = byte_planes(colors)
    big_endian = image.mode == "I;16B" or (image.mode == "I;16N" and not LITTLE_ENDIAN)
    copy_channels(image, (high, low) if big_endian else (low, high), orientation=orientation)
    if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:
        colors = (WHITE - colors.to(torch.int32)).to(torch.uint16)
    transparent = image.info.get("transparency")
    alpha = None
    if transparent is not None:  # the gray level that PNG declares transparent
        alpha = ((colors.to(torch.int32) != transparent).to(torch.int32) * WHITE).to(torch.uint16)
    return DecodedSamples(colors, alpha, image.info.get("icc_profile"))


def scale_to_16_bits(values: Tensor) -> Tensor:
    """Scale floats or wide integers, for which no file says which value is white, to uint16.

    Floats are taken to be in 0..1 and integers in 0..255 or 0..65535. If a value is larger, the largest
    becomes white. Negative values and NaN become black.

    Args:
        values: Floating-point or integer samples of any shape.
    """
    integer = not values.dtype.is_floating_point
    values = values.to(torch.float64).nan_to_num_(0, posinf=0, neginf=0).clamp_(min=0)
    peak = values.max().item()
    white = next((white for white in ((255.0, 65535.0) if integer else (1.0,)) if peak <= white), peak)
    return values.mul_(WHITE / white).round_().to(torch.uint16)


def unpremultiply(colors: Tensor, alpha: Tensor) -> Tensor:
    """Divide premultiplied colors by alpha.

    Args:
        colors: Colors times alpha, [C, H, W], uint16.
        alpha: Opacity, [1, H, W], uint16; where it is 0, the result is black.
    """
    ratio = colors.to(torch.float32) * WHITE / alpha.to(torch.float32)
    return ratio.nan_to_num_(0, posinf=0).clamp_(0, WHITE).round_().to(torch.uint16)
