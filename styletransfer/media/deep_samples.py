"""Samples of more than 8 bits, which Pillow would narrow to 8 without a word.

Pillow has no color mode of 16 bits, but its unpackers take either byte of a sample: big-endian ones the
first, little-endian ones the second. So a picture is decoded twice, once for the high bytes and once for
the low ones. That keeps Pillow's decoders (interlaced PNG; LZW, predictors and tiles in TIFF), their checks
of damaged files, and one reader for everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import torch
from PIL import Image, ImageFile
from torch import Tensor

from .channels import LITTLE_ENDIAN, byte_planes, copy_channels, oriented_size
from .opening import load_image, read_orientation

WHITE = 2**16 - 1
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # TIFF 6.0, section 8
DEEP_COLOR = re.compile(r"(RGB|RGBA|RGBa|RGBX|LA);16([BLN])")  # Pillow's raw modes that lose bits


class DeepSamples(NamedTuple):
    """Samples of 16 bits, oriented, still in the color space of their file.

    Attributes:
        colors: [1, H, W] (grey) or [3, H, W], uint16.
        alpha: [1, H, W], uint16, not premultiplied, or None.
        profile: The embedded ICC profile, or None.
    """

    colors: Tensor
    alpha: Tensor | None
    profile: bytes | None


def is_deep_color(image: ImageFile.ImageFile) -> bool:
    """Tell whether an opened, not yet loaded file has color or alpha of 16 bits that Pillow would narrow."""
    return DEEP_COLOR.fullmatch(_raw_mode(image)) is not None


def is_deep_grey(image: Image.Image) -> bool:
    """Tell whether an image has one of Pillow's grey modes of 16 or 32 bits."""
    return image.mode in {"I", "F"} or image.mode.startswith("I;16")


def decode_deep_color(reopen: Callable[[], ImageFile.ImageFile], max_pixels: int) -> DeepSamples:
    """Decode a file of which `is_deep_color` is true.

    Args:
        reopen: Opens the file anew; called once for each pass.
        max_pixels: The limit for Pillow.
    """
    image = reopen()
    match = DEEP_COLOR.fullmatch(_raw_mode(image))
    assert match is not None
    layout, order = match.groups()
    if order == "N":
        order = "L" if LITTLE_ENDIAN else "B"
    if layout == "LA":  # two samples of two bytes are one pixel of RGBA
        passes, count = ["RGBA"], 2
    else:
        # Premultiplied color is divided below, at full depth, and not by Pillow.
        stored = layout.upper()
        passes, count = [f"{stored};16{order}", f"{stored};16{'L' if order == 'B' else 'B'}"], len(image.mode)
    samples = torch.empty(0)
    for index, raw_mode in enumerate(passes):
        image = reopen()
        image.tile = [
            tile._replace(args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode)
            for tile in image.tile
        ]
        load_image(image, max_pixels)
        orientation = read_orientation(image)
        if index == 0:
            samples = torch.empty(count, *oriented_size(image, orientation), dtype=torch.uint16)
        high, low = byte_planes(samples)
        alternating = (high[:1], low[:1], high[1:], low[1:])  # grey and alpha, in the order of the file
        targets = alternating if layout == "LA" else (high, low)[index].chunk(count)
        copy_channels(image, targets, orientation=orientation)
    colors, alpha = (samples[:-1], samples[-1:]) if count in {2, 4} else (samples, None)
    if layout == "RGBa" and alpha is not None:
        colors = divide_by_alpha(colors, alpha)
    if alpha is None:
        alpha = _alpha_of_transparent_color(image, colors)
    return DeepSamples(colors, alpha, image.info.get("icc_profile"))


def decode_deep_grey(image: Image.Image, orientation: int) -> DeepSamples:
    """Decode a loaded image of which `is_deep_grey` is true."""
    size = oriented_size(image, orientation)
    if image.mode in {"I", "F"}:
        values = torch.empty(1, *size, dtype=torch.int32 if image.mode == "I" else torch.float32)
        parts = values.view(torch.uint8).view(*values.shape, 4).unbind(3)
        copy_channels(image, parts, orientation=orientation)
        return DeepSamples(stretch_to_sixteen_bits(values), None, image.info.get("icc_profile"))
    colors = torch.empty(1, *size, dtype=torch.uint16)
    high, low = byte_planes(colors)
    big_endian = image.mode == "I;16B" or (image.mode == "I;16N" and not LITTLE_ENDIAN)
    copy_channels(image, (high, low) if big_endian else (low, high), orientation=orientation)
    if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:
        colors = (WHITE - colors.to(torch.int32)).to(torch.uint16)
    return DeepSamples(colors, _alpha_of_transparent_color(image, colors), image.info.get("icc_profile"))


def stretch_to_sixteen_bits(values: Tensor) -> Tensor:
    """Bring floats or wide integers of any shape, whose white no file tells, to uint16.

    Floats are in 0..1, integers count to 255 or 65535; where a value is larger, the largest becomes white.
    Negative values and NaN become black.
    """
    wide = not values.dtype.is_floating_point
    values = values.to(torch.float64).nan_to_num_(0, posinf=0, neginf=0).clamp_(min=0)
    peak = values.max().item()
    white = next((white for white in ((255.0, 65535.0) if wide else (1.0,)) if peak <= white), peak)
    return values.mul_(WHITE / white).round_().to(torch.uint16)


def divide_by_alpha(colors: Tensor, alpha: Tensor) -> Tensor:
    """Undo premultiplication: [C, H, W] and [1, H, W], uint16; transparent pixels become black."""
    ratio = colors.to(torch.float32) * WHITE / alpha.to(torch.float32)
    return ratio.nan_to_num_(0, posinf=0).clamp_(0, WHITE).round_().to(torch.uint16)


def _alpha_of_transparent_color(image: Image.Image, colors: Tensor) -> Tensor | None:
    """Make alpha of the one color that PNG declares transparent (chunk tRNS)."""
    color = image.info.get("transparency")
    if color is None:
        return None
    key = torch.tensor(color, dtype=torch.int32).view(-1, 1, 1)
    opaque = (colors.to(torch.int32) != key).any(0, keepdim=True)
    return (opaque.to(torch.int32) * WHITE).to(torch.uint16)


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """Return how the samples of an opened file are packed, in Pillow's terms; empty where it does not say."""
    args = image.tile[0].args if image.tile else None
    raw_mode = args[0] if isinstance(args, tuple) and args else args
    return raw_mode if isinstance(raw_mode, str) else ""
