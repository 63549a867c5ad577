"""TIFF with more than 8 bits per sample, and other TIFF that Pillow cannot read."""

from __future__ import annotations

import logging
from math import prod
from typing import BinaryIO

import torch
from PIL import Image

from ..errors import ImageError
from .color_encoding import ColorEncoding
from .color_metadata import encoding_from_tiff_tags
from .color_profiles import profile_space
from .formats import check_pixel_count
from .high_bit_depth import (
    WHITE,
    WHITE_IS_ZERO,
    DecodedSamples,
    oriented_samples,
    scale_to_16_bits,
    unpremultiply,
)
from .picture import DTYPES, with_bit_depth

# TIFF 6.0, sections 8 and 18.
BITS_PER_SAMPLE, ORIENTATION, PLANAR_CONFIGURATION = 258, 274, 284
SEPARATE = 2
BLACK_IS_ZERO, RGB = 1, 2
UNSPECIFIED, PREMULTIPLIED = 0, 1

# Without a handler, Python would print what tifffile logs; the raised error says the same.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def needs_tifffile(image: Image.Image) -> bool:
    """Return whether an opened image is a TIFF that Pillow would not read at its full depth.

    CMYK is left to Pillow, which converts it at 8 bits. But Pillow takes separate planes of 16 bits for
    planes of 8 bits.
    """
    tags = getattr(image, "tag_v2", {})
    deep = max(tags.get(BITS_PER_SAMPLE, (1,))) > 8
    return deep and (image.mode != "CMYK" or tags.get(PLANAR_CONFIGURATION) == SEPARATE)


def decode_tiff(file: BinaryIO, name: str, max_pixels: int) -> tuple[DecodedSamples, ColorEncoding | None]:
    """Decode the first page of a TIFF with tifffile.

    Args:
        file: The file, seekable.
        name: The printable name of the file.
        max_pixels: The largest accepted number of pixels.

    Returns:
        The samples, and how they encode colors if the file says so without an ICC profile.

    Raises:
        ImageError: The picture is too large, there is none, or it is neither gray nor RGB. (A damaged file
            raises what tifffile and imagecodecs raise.)
    """
    from tifffile import TiffFile, TiffPage

    file.seek(0)
    with TiffFile(file) as tiff:
        if not tiff.pages:
            raise ImageError(f"{name}: this TIFF holds no picture", hint="export or download it again")
        page = tiff.pages[0]
        assert isinstance(page, TiffPage)
        check_pixel_count(name, page.imagewidth, page.imagelength, max_pixels)
        count = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3}.get(page.photometric, 0)
        known = count and page.samplesperpixel in {count, count + 1} and page.imagedepth == 1
        if not known or page.dtype is None or page.dtype.kind not in "uif":
            raise ImageError(f"{name}: this kind of TIFF cannot be read", hint="save it as RGB or gray")
        if len(page.dataoffsets) < prod(page.chunked):  # tifffile would leave the missing ones black
            raise ValueError("strips or tiles are missing")
        values = page.asarray()
        orientation = page.tags.valueof(ORIENTATION, default=1)
        encoding = None
        if profile_space(page.iccprofile) is None:
            encoding = encoding_from_tiff_tags(page.tags.valueof)
        alpha_kind = page.extrasamples[0] if page.extrasamples else None
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if page.planarconfig == SEPARATE:
        values = values.reshape(-1, page.imagelength, page.imagewidth).transpose(1, 2, 0)
    samples = oriented_samples(values.reshape(page.imagelength, page.imagewidth, -1), orientation)
    del values
    samples = with_bit_depth(samples, 16) if samples.dtype in DTYPES.values() else scale_to_16_bits(samples)
    colors, alpha = samples[:count], None
    if page.photometric == WHITE_IS_ZERO:
        colors = (WHITE - colors.to(torch.int32)).to(torch.uint16)
    if samples.shape[0] > count and alpha_kind != UNSPECIFIED:
        alpha = samples[count:]
        if alpha_kind == PREMULTIPLIED:
            colors = unpremultiply(colors, alpha)
    return DecodedSamples(colors, alpha, page.iccprofile), encoding
