"""Samples copied between Pillow images and tensors, in strips, so that no picture is held a second time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

LITTLE_ENDIAN = sys.byteorder == "little"
STRIP_PIXELS = 2**19  # 2 MB of RGBA, which fit into the cache of the processor


class Orientation(NamedTuple):
    """How stored pixels become displayed ones: they are flipped first and then transposed."""

    flip_rows: bool
    flip_columns: bool
    transpose: bool


# EXIF 2.32, tag 0x0112. A phone held upright writes 6.
ORIENTATIONS = {
    1: Orientation(False, False, False),
    2: Orientation(False, True, False),
    3: Orientation(True, True, False),
    4: Orientation(True, False, False),
    5: Orientation(False, False, True),
    6: Orientation(True, False, True),
    7: Orientation(True, True, True),
    8: Orientation(False, True, True),
}


def oriented_size(image: Image.Image, orientation: int) -> tuple[int, int]:
    """Return the height and the width of an image as it is displayed."""
    height, width = image.height, image.width
    return (width, height) if ORIENTATIONS[orientation].transpose else (height, width)


def copy_channels(
    image: Image.Image,
    targets: Sequence[Tensor],
    *,
    convert: Callable[[Image.Image], Image.Image] | None = None,
    orientation: int = 1,
) -> None:
    """Copy the bytes of an image into tensors, one tensor for each byte of a pixel.

    A pixel of the mode "I;16" has two bytes; its targets are the two views that `byte_planes` returns.

    Args:
        image: An image whose samples are whole bytes after `convert`.
        targets: uint8 views [K, H, W] in displayed orientation; each of the K planes gets the same bytes.
        convert: Applied to each strip of the image; must keep the size of the strip.
        orientation: The EXIF orientation of the image, 1..8.
    """
    flip_rows, flip_columns, transpose = ORIENTATIONS[orientation]
    flipped = [axis for axis, flip in enumerate((flip_rows, flip_columns)) if flip]
    if transpose:
        targets = [target.transpose(1, 2) for target in targets]
    width, height = image.size
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        strip = image.crop((0, top, width, bottom))
        if convert is not None:
            strip = convert(strip)
        # Copied into a bytearray because torch warns about buffers that it may not write to.
        samples = torch.frombuffer(bytearray(strip.tobytes()), dtype=torch.uint8)
        channels = samples.view(bottom - top, width, len(targets)).flip(flipped).unbind(2)  # [h, W] each
        start = height - bottom if flip_rows else top
        for channel, target in zip(channels, targets, strict=True):
            target[:, start : start + bottom - top].copy_(channel)


def byte_planes(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Return views of the high and the low bytes of uint16 samples [C, H, W], uint8 of the same shape."""
    parts = samples.view(torch.uint8).view(*samples.shape, 2)
    low, high = parts.unbind(3) if LITTLE_ENDIAN else reversed(parts.unbind(3))
    return high, low


def image_from_channels(channels: Tensor, mode: str | None = None) -> Image.Image:
    """Return a Pillow image of uint8 channels.

    Args:
        channels: Samples [C, H, W].
        mode: A mode of Pillow with C bytes to a pixel; None means RGB for three channels and RGBA for four.
    """
    count, height, width = channels.shape
    mode = mode or {3: "RGB", 4: "RGBA"}[count]
    image = Image.new(mode, (width, height))
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        rows = channels[:, top : top + step]
        strip = bytearray(rows.numel())
        torch.frombuffer(strip, dtype=torch.uint8).view(-1, width, count).copy_(rows.permute(1, 2, 0))
        image.paste(Image.frombuffer(mode, (width, rows.shape[1]), strip, "raw", mode, 0, 1), (0, top))
    return image
