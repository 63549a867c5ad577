"""Pictures with more than 8 bits per sample, which Pillow has for gray only.

Pillow reads color of 16 bits without a warning as 8 bits. So PNG is decoded by imagecodecs (libpng) here,
and TIFF by tifffile in `tiff_decoding`; Pillow reads their headers only.
"""

from __future__ import annotations

import ctypes
import logging
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from .pil_tensor import LITTLE_ENDIAN, ORIENTATIONS, STRIP_PIXELS, byte_planes, copy_channels, oriented_size

if TYPE_CHECKING:
    import numpy as np

WHITE = 2**16 - 1
BRIGHT_QUANTILE, SAMPLED_PIXELS = 0.99, 1e6  # how the white of floats is found
MAX_HIGHLIGHT = 8.0  # times white, in pictures of linear light
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # TIFF 6.0, section 8
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The chunks that hold pixels. Others are hidden from libpng, which warns about small faults in them.
PIXEL_CHUNKS = {b"IHDR", b"tRNS", b"IDAT"}
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"

# Without a handler, Python would print what imagecodecs logs; the raised error says the same.
logging.getLogger("imagecodecs").addHandler(logging.NullHandler())


class DecodedSamples(NamedTuple):
    """Samples in displayed orientation, still in the color space of their file.

    Attributes:
        colors: Gray [1, H, W] or RGB [3, H, W], uint8 or uint16.
        alpha: Opacity, not premultiplied, [1, H, W], of the same dtype; None if all pixels are opaque.
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


def scale_transparent_gray(image: Image.Image, file: BinaryIO) -> None:
    """Scale the transparent gray of a PNG of 2 or 4 bits as Pillow scales its samples.

    Args:
        image: An opened PNG; its info is corrected.
        file: Its file, seekable.
    """
    file.seek(0)
    bits, color_type = file.read(26)[24:]
    transparent = image.info.get("transparency")
    if color_type == 0 and bits in {2, 4} and isinstance(transparent, int):
        image.info["transparency"] = transparent * 255 // (2**bits - 1)


def decode_png(file: BinaryIO) -> tuple[np.ndarray, bytes | None]:
    """Decode a PNG with 16 bits per sample.

    Returns:
        The samples as they are stored, [H, W] or [H, W, C], uint16, and the EXIF data, or None.

    Raises:
        Exception: The file is damaged; imagecodecs says how.
    """
    from imagecodecs import png_decode

    stream, exif = _extract_pixels(file)
    try:
        return png_decode(stream), exif
    except Exception:
        # imagecodecs 2026.3 loses a reference to None where libpng jumps out of it. Before Python 3.12,
        # in which None cannot be freed, a server would end after some ten thousand damaged files.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(None))
        raise


def _extract_pixels(file: BinaryIO) -> tuple[bytearray, bytes | None]:
    """Return a PNG that has only the chunks with pixels, and the EXIF data, before or after the pixels.

    Source: PNG specification, third edition (W3C 2025), 5.3 and 11.3.5.
    """
    file.seek(len(PNG_SIGNATURE))
    stream, exif, kind = bytearray(PNG_SIGNATURE), None, b""
    while kind != b"IEND":
        start = file.read(8)
        if len(start) < 8:  # the pixels may still be complete
            start = PNG_END[:8]
        length, kind = struct.unpack(">I4s", start)
        if kind == b"IEND":
            stream += PNG_END
        elif kind in PIXEL_CHUNKS:
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
        largest = 2**31 - 1 if image.mode == "I" else None
        return DecodedSamples(scale_unknown_range(values, largest), None, image.info.get("icc_profile"))
    colors = torch.empty(1, *size, dtype=torch.uint16)
    high, low = byte_planes(colors)
    big_endian = image.mode == "I;16B" or (image.mode == "I;16N" and not LITTLE_ENDIAN)
    copy_channels(image, (high, low) if big_endian else (low, high), orientation=orientation)
    if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:
        colors = invert(colors)
    transparent = image.info.get("transparency")
    alpha = None
    if transparent is not None:  # the gray level that PNG declares transparent
        alpha = ((colors.to(torch.int32) != transparent).to(torch.int32) * WHITE).to(torch.uint16)
    return DecodedSamples(colors, alpha, image.info.get("icc_profile"))


def scale_counts(values: Tensor, white: int, dtype: torch.dtype) -> Tensor:
    """Scale integers of which the white is known to uint8 or uint16.

    Args:
        values: Integers of any shape and dtype; below 0 is black and above `white` is white.
        white: The value of white.
        dtype: The dtype of the result.
    """
    target = _white(dtype)
    if values.dtype == dtype and white == target:
        return values
    result = torch.empty(values.shape, dtype=dtype)
    for strip, scaled in _strips(values, result):
        wide = strip.to(torch.float64).clamp_(0, white).mul_(target / white)
        scaled.copy_(wide.round_().to(dtype))
    return result


def scale_unknown_range(values: Tensor, largest: int | None) -> Tensor:
    """Scale floats or wide integers, for which no file says which value is white, to uint16.

    The white of floats is 1 and that of integers is 255, unless 1 % of the pixels is brighter: then it is
    255, 65535 or, above that, the peak. Floats up to 8 that are not whole numbers are highlights above 1.
    Integers that reach 2**24 are taken to use their whole range. Brighter values become white, negative ones
    and NaN black.

    Args:
        values: Floating-point or integer samples, [C, H, W].
        largest: The greatest value of the integer type in the file; None for floats.
    """
    white = _find_white(values, largest)
    result = torch.empty(values.shape, dtype=torch.uint16)
    for strip, scaled in _strips(values, result):
        wide = strip.to(torch.float64).nan_to_num_(0, posinf=white, neginf=0).clamp_(0, white)
        scaled.copy_(wide.mul_(WHITE / white).round_().to(torch.uint16))
    return result


def _find_white(values: Tensor, largest: int | None) -> float:
    step = max(1, int((values[0].numel() / SAMPLED_PIXELS) ** 0.5))
    sampled = values[:, ::step, ::step].to(torch.float64)
    brightest = sampled.nan_to_num_(0, posinf=0, neginf=0).clamp_(min=0).amax(0).flatten()
    rank = int(BRIGHT_QUANTILE * (len(brightest) - 1))
    bright = brightest.kthvalue(rank + 1).values.item()
    whole = largest is not None or (bright > 1 and bool((brightest == brightest.round()).all()))
    if not whole and bright <= MAX_HIGHLIGHT:
        return 1.0
    if bright <= 65535:
        return 255.0 if bright <= 255 else 65535.0
    peak = brightest.max().item()
    return float(largest) if largest is not None and peak >= 2**24 else peak


def invert(samples: Tensor) -> Tensor:
    """Return white minus samples of uint8 or uint16."""
    return (_white(samples.dtype) - samples.to(torch.int32)).to(samples.dtype)


def unpremultiply(colors: Tensor, alpha: Tensor) -> Tensor:
    """Divide premultiplied colors by alpha.

    Args:
        colors: Colors times alpha, [C, H, W], uint8 or uint16.
        alpha: Opacity, [1, H, W], of the same dtype; where it is 0, the result is black.
    """
    white = _white(colors.dtype)
    ratio = colors.to(torch.float32) * white / alpha.to(torch.float32)
    return ratio.nan_to_num_(0, posinf=0).clamp_(0, white).round_().to(colors.dtype)


def _white(dtype: torch.dtype) -> int:
    return 255 if dtype == torch.uint8 else WHITE


def _strips(source: Tensor, target: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield views of the same rows of two tensors [C, H, W], `STRIP_PIXELS` pixels at a time."""
    rows = max(1, STRIP_PIXELS // source.shape[2])
    for top in range(0, source.shape[1], rows):
        yield source[:, top : top + rows], target[:, top : top + rows]
