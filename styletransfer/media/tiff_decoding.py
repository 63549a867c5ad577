"""TIFF that Pillow cannot read, or would read with fewer bits, other values or from the wrong page."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from ..errors import ImageError
from .color_metadata import encoding_from_tiff_tags, hdr_encoding_from_profile
from .color_profiles import profile_space
from .color_space_conversion import ColorEncoding
from .formats import CAMERA_RAW_HINT, check_pixel_count
from .high_bit_depth import (
    DecodedSamples,
    invert,
    oriented_samples,
    scale_counts,
    scale_unknown_range,
    unpremultiply,
)
from .picture import with_bit_depth
from .pil_tensor import image_from_channels

if TYPE_CHECKING:
    import numpy as np
    from tifffile import TiffFile, TiffPage

# Tags: TIFF 6.0, sections 8, 18 and 19; Technical Note 1 (SUB_IFDS); DNG 1.7 (DNG_VERSION).
NEW_SUBFILE_TYPE, SUBFILE_TYPE, BITS_PER_SAMPLE, COMPRESSION, ORIENTATION = 254, 255, 258, 259, 274
PLANAR_CONFIGURATION, COLOR_MAP, SUB_IFDS, EXTRA_SAMPLES = 284, 320, 330, 338
SAMPLE_FORMAT, DNG_VERSION = 339, 50706
REDUCED_COPY, MASK = 1, 4  # bits of NewSubfileType
OLD_REDUCED_COPY = 2  # a value of SubfileType
SEPARATE = 2
SIGNED_OR_FLOAT = {2, 3, 5, 6}  # values of SampleFormat
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
CAMERA_RAW = {32803, 34892}  # mosaics of a color filter array, and LinearRaw
COLOR_COUNTS = {
    **dict.fromkeys((WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE), 1),
    **dict.fromkeys((RGB, YCBCR, CIELAB, ICCLAB), 3),
    CMYK: 4,
}
PREMULTIPLIED, STRAIGHT = 1, 2  # values of ExtraSamples
# The compressions that are left to the libtiff of Pillow.
PILLOW_COMPRESSIONS = {1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32809, 32946, 34676, 34677, 34925, 50000}
JPEG_COMPRESSIONS = {6, 7}
MAX_PAGES = 100  # of which the main one is looked for
MAX_EXTRA_SAMPLES = 16

# Without a handler, Python would print what tifffile logs; the raised error says the same.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class DecodedTiff(NamedTuple):
    """A decoded page of a TIFF in displayed orientation.

    Attributes:
        samples: Gray or RGB; None for other color spaces.
        image: CMYK or CIELAB at 8 bits, with its profile; None for gray and RGB.
        alpha: Opacity beside `image`, [1, H, W], uint8; None if all pixels are opaque.
        encoding: How gray or RGB is encoded, if the file says so without a profile.
    """

    samples: DecodedSamples | None = None
    image: Image.Image | None = None
    alpha: Tensor | None = None
    encoding: ColorEncoding | None = None


def needs_tifffile(image: Image.Image, file: BinaryIO, name: str) -> bool:
    """Return whether an opened image is a TIFF that Pillow would not read as it is meant.

    Args:
        image: An opened image of any format.
        file: Its file, seekable.
        name: The printable name of the file.

    Raises:
        ImageError: The file is the raw image of a camera, of which Pillow would read a thumbnail.
    """
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return False
    other_pages = tags.next or SUB_IFDS in tags or DNG_VERSION in tags
    reduced = tags.get(NEW_SUBFILE_TYPE, 0) & REDUCED_COPY or tags.get(SUBFILE_TYPE) == OLD_REDUCED_COPY
    if (other_pages or reduced) and _main_page_is_not_first(file, name):
        return True
    return (
        max(tags.get(BITS_PER_SAMPLE, (1,))) > 8
        or any(format in SIGNED_OR_FLOAT for format in tags.get(SAMPLE_FORMAT, ()))
        or tags.get(COMPRESSION, 1) not in PILLOW_COMPRESSIONS
        or (tags.get(PLANAR_CONFIGURATION) == SEPARATE and EXTRA_SAMPLES in tags)
        or max(tags.get(COLOR_MAP, (0xFFFF,))) <= 0xFF
    )


def _main_page_is_not_first(file: BinaryIO, name: str) -> bool:
    from tifffile import TiffFile

    file.seek(0)
    try:
        with TiffFile(file) as tiff:
            return _find_main_page(tiff, name) is not tiff.pages[0]
    except ImageError:
        raise
    except Exception:  # tifffile does not understand the file, which Pillow does
        return False


def decode_tiff(file: BinaryIO, name: str, max_pixels: int) -> DecodedTiff:
    """Decode the main page of a TIFF with tifffile.

    Args:
        file: The file, seekable.
        name: The printable name of the file.
        max_pixels: The largest accepted number of pixels.

    Raises:
        ImageError: The file is the raw image of a camera, too large, without a picture, or of a kind that
            is not supported. (A damaged file raises what tifffile and imagecodecs raise.)
    """
    from tifffile import TiffFile

    file.seek(0)
    with TiffFile(file) as tiff:
        if not tiff.pages:
            raise ImageError(f"{name}: this TIFF holds no picture", hint="export or download it again")
        page = _find_main_page(tiff, name)
        if not all(isinstance(edge, int) for edge in (page.imagewidth, page.imagelength)):
            raise ValueError("its size is not a number")  # but a list, in a damaged directory
        check_pixel_count(name, page.imagewidth, page.imagelength, max_pixels)
        if not _is_supported(page):
            raise ImageError(f"{name}: this kind of TIFF cannot be read", hint="save it as RGB or gray")
        values = _read_values(page)
        orientation = page.tags.valueof(ORIENTATION, default=1)
        profile = page.iccprofile
        if profile is not None and profile_space(profile) is not None:
            encoding = hdr_encoding_from_profile(profile)
        else:
            encoding = encoding_from_tiff_tags(page.tags.valueof)
        palette = page.colormap if page.photometric == PALETTE else None
    samples = oriented_samples(values, orientation)
    del values
    count = COLOR_COUNTS[page.photometric]
    colors, (alpha, premultiplied) = samples[:count], _find_alpha(page, samples, count)
    if page.photometric in {CIELAB, ICCLAB, CMYK}:
        if page.photometric == CMYK:
            image = image_from_channels(with_bit_depth(_scaled(page, colors), 8), "CMYK")
            image.info["icc_profile"] = profile
        else:
            image = image_from_channels(_lab_at_8_bits(colors, page.photometric), "LAB")
        return DecodedTiff(image=image, alpha=None if alpha is None else with_bit_depth(alpha, 8))
    if palette is not None:
        # Some writers store 8 bits where 16 are meant; libtiff, too, knows them by their values.
        palette = palette * 257 if palette.max() <= 0xFF else palette
        colors = torch.from_numpy(palette)[:, colors[0].long()]
        alpha = None if alpha is None else with_bit_depth(alpha, 16)
    else:
        colors = _scaled(page, colors)
    if page.photometric == WHITE_IS_ZERO:
        colors = invert(colors)
    if alpha is not None and premultiplied:
        colors = unpremultiply(colors, alpha)
    return DecodedTiff(DecodedSamples(colors, alpha, profile), encoding=encoding)


def _find_main_page(tiff: TiffFile, name: str) -> TiffPage:
    """Return the first page that is neither a reduced copy nor a mask; the first one if there is none.

    Raises:
        ImageError: A page holds the raw samples of a camera.
    """
    pages: list[TiffPage] = []
    with suppress(Exception):  # behind the first page, a damaged directory means that no more is known
        pages.extend(islice(_iterate_pages(tiff.pages), MAX_PAGES))
    pages = pages or [tiff.pages[0]]  # type: ignore[list-item]
    if DNG_VERSION in pages[0].tags or any(page.photometric in CAMERA_RAW for page in pages):
        raise ImageError(f"{name}: this is a camera raw file", hint=CAMERA_RAW_HINT)
    return next((page for page in pages if not page.subfiletype & (REDUCED_COPY | MASK)), pages[0])


def _iterate_pages(pages: Any) -> Iterator[TiffPage]:
    """Yield pages and, after each, the pages of its SubIFDs."""
    for page in pages:
        yield page
        if page.pages is not None:
            yield from page.pages


def _is_supported(page: TiffPage) -> bool:
    count = COLOR_COUNTS.get(page.photometric, 0)
    extra = page.samplesperpixel - count
    if not count or not 0 <= extra <= MAX_EXTRA_SAMPLES or page.imagedepth != 1:
        return False
    if page.dtype is None or page.dtype.kind not in "buif" or isinstance(page.colormap, str):
        return False
    if isinstance(page.bitspersample, tuple) and page.bitspersample != (5, 6, 5):
        return False
    if page.photometric == YCBCR:  # tifffile converts what codecs can convert
        return page.compression in JPEG_COMPRESSIONS
    if page.photometric == PALETTE:
        return page.dtype.kind in "bu" and page.colormap is not None
    return page.photometric not in {CIELAB, ICCLAB} or page.bitspersample in {8, 16}


def _read_values(page: TiffPage) -> np.ndarray:
    """Return the samples of a page, [H, W, C], in the byte order of this machine.

    Raises:
        ValueError: Parts of the page are missing, which tifffile would leave black.
    """
    if len(page.dataoffsets) < prod(page.chunked):
        raise ValueError("strips or tiles are missing")
    values = page.asarray()
    if values.dtype.kind == "b":
        values = values.astype("uint8")
    elif values.dtype.itemsize > 4 or values.dtype.kind == "f":
        values = values.astype("float64" if values.dtype.itemsize > 4 else "float32", copy=False)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if page.planarconfig == SEPARATE:
        values = values.reshape(-1, page.imagelength, page.imagewidth).transpose(1, 2, 0)
    return values.reshape(page.imagelength, page.imagewidth, -1)


def _scaled(page: TiffPage, samples: Tensor) -> Tensor:
    """Scale samples of a page to uint8 or uint16."""
    # Three samples of 5, 6 and 5 bits in two bytes are scaled by tifffile.
    bits = 8 if isinstance(page.bitspersample, tuple) else page.bitspersample
    kind = page.dtype.kind if page.dtype is not None else "u"
    white = (1 << (bits - 1 if kind == "i" else bits)) - 1
    if samples.dtype.is_floating_point or samples.dtype.itemsize > 2:
        return scale_unknown_range(samples, None if kind == "f" else white)
    return scale_counts(samples, white, torch.uint8 if bits <= 8 else torch.uint16)


def _find_alpha(page: TiffPage, samples: Tensor, count: int) -> tuple[Tensor | None, bool]:
    """Return the extra sample that is opacity, [1, H, W], and whether colors are multiplied by it."""
    for index, kind in enumerate(page.extrasamples, start=count):
        if kind in {PREMULTIPLIED, STRAIGHT} and index < samples.shape[0]:
            return _scaled(page, samples[index : index + 1]), kind == PREMULTIPLIED
    return None, False


def _lab_at_8_bits(samples: Tensor, photometric: int) -> Tensor:
    """Return L*, a* and b* as Pillow takes them: L* in 0..255, the others in two's complement; [3, H, W].

    Source: TIFF 6.0, section 23 (CIELAB: a* and b* are in two's complement); Adobe PageMaker 6.0 TIFF
    Technical Notes (ICCLAB: they are shifted by half of the range, and white has an L* of 65280 at 16 bits).
    """
    values = samples.to(torch.int32)
    lightness, chroma = values[:1], values[1:]
    if samples.dtype == torch.uint16:
        lightness = lightness.mul(255).div(0xFFFF if photometric == CIELAB else 0xFF00).round_().int()
        chroma = chroma >> 8
    if photometric == ICCLAB:
        chroma = chroma ^ 0x80
    return torch.cat((lightness, chroma)).clamp_(0, 255).to(torch.uint8)
