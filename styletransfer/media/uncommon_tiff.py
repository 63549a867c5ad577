"""TIFF that Pillow cannot read rightly: 16-bit grey with alpha, separate 16-bit planes, float color."""

from __future__ import annotations

import logging
from typing import BinaryIO

import torch
from PIL import Image

from ..errors import ImageError
from .channels import ORIENTATIONS
from .deep_samples import WHITE, DeepSamples, divide_by_alpha, stretch_to_sixteen_bits
from .opening import check_size
from .picture import DTYPES, with_bit_depth

# TIFF 6.0, sections 8 and 18.
BITS_PER_SAMPLE, ORIENTATION, PLANAR_CONFIGURATION = 258, 274, 284
SEPARATE = 2
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
UNSPECIFIED, PREMULTIPLIED = 0, 1

# What tifffile logs, the error says; without any handler, Python would print it on stderr as well.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def has_separate_deep_planes(image: Image.Image) -> bool:
    """Tell whether an opened TIFF stores its 16-bit channels one after the other.

    Pillow takes uncompressed ones for 8-bit channels, and the picture is noise.
    """
    tags = getattr(image, "tag_v2", {})
    return tags.get(PLANAR_CONFIGURATION) == SEPARATE and max(tags.get(BITS_PER_SAMPLE, (1,))) > 8


def decode_uncommon_tiff(file: BinaryIO, name: str, max_pixels: int) -> DeepSamples:
    """Decode the first page of a TIFF with tifffile.

    Raises:
        ImageError: It is too large, empty, compressed in a way that needs another package, or of a kind that
            is no photograph. (A damaged file raises what
            tifffile raises.)
    """
    from tifffile import TiffFile, TiffPage

    file.seek(0)
    with TiffFile(file) as tiff:
        if not tiff.pages:
            raise ImageError(f"{name}: this TIFF holds no picture", hint="export or download it again")
        page = tiff.pages[0]
        assert isinstance(page, TiffPage)
        check_size(name, page.imagewidth, page.imagelength, max_pixels)
        count = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3}.get(page.photometric, 0)
        known = count and page.samplesperpixel in {count, count + 1} and page.imagedepth == 1
        if not known or page.dtype is None or page.dtype.kind not in "uif":
            raise ImageError(f"{name}: this kind of TIFF cannot be read", hint="save it as RGB or grey")
        try:
            values = page.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            hint = "run `pip install imagecodecs`, or save it uncompressed"
            raise ImageError(f"{name}: this compression of TIFF needs another package", hint=hint) from error
        orientation = page.tags.valueof(ORIENTATION, default=1)
        alpha_kind = page.extrasamples[0] if page.extrasamples else None
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if page.planarconfig == SEPARATE:
        samples = torch.from_numpy(values).view(-1, page.imagelength, page.imagewidth)
    else:
        samples = torch.from_numpy(values).view(page.imagelength, page.imagewidth, -1).permute(2, 0, 1)
    counts = samples.dtype in DTYPES.values()
    samples = with_bit_depth(samples, 16) if counts else stretch_to_sixteen_bits(samples)
    flip_rows, flip_columns, transpose = ORIENTATIONS.get(orientation, ORIENTATIONS[1])
    samples = samples.flip([axis for axis, flip in ((1, flip_rows), (2, flip_columns)) if flip])
    samples = samples.transpose(1, 2) if transpose else samples
    colors, alpha = samples[:count].contiguous(), None
    if page.photometric == WHITE_IS_ZERO:
        colors = (WHITE - colors.to(torch.int32)).to(torch.uint16)
    if samples.shape[0] > count and alpha_kind != UNSPECIFIED:
        alpha = samples[count:].contiguous()
        if alpha_kind == PREMULTIPLIED:
            colors = divide_by_alpha(colors, alpha)
    return DeepSamples(colors, alpha, page.iccprofile)
