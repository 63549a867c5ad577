"""Convert whatever a caller holds, such as a path, an array or an open file, to a picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import torch
from torch import Tensor

from .errors import ImageError
from .media import Picture, PILImage, picture_from_pil, read_picture

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
PictureSource: TypeAlias = str | Path | bytes | BinaryIO | Tensor | Array | PILImage | Picture
LARGEST_FLOAT = 2.0  # filters overshoot white a little; more is another range, such as 0..255
ACCEPTED = "give a path, bytes, an open binary file, a PIL image, a Picture, an array [H, W, 3] or a tensor"


def as_batch(pixels: Tensor) -> Tensor:
    """View a float tensor [3, H, W] or [B, 3, H, W] as [B, 3, H, W].

    Raises:
        ImageError: The tensor has another shape or dtype, or holds NaN or infinity.
    """
    batch = pixels if pixels.dim() == 4 else pixels.unsqueeze(0)
    if batch.dim() != 4 or batch.shape[1] != 3 or not batch.numel() or not batch.is_floating_point():
        raise ImageError(
            f"a tensor {list(pixels.shape)} of {pixels.dtype}",
            hint="give floats [3, H, W] or [B, 3, H, W] in 0..1",
        )
    if batch.is_meta or batch.layout != torch.strided:
        raise ImageError("a tensor without pixels of its own", hint="give a dense tensor")
    if not torch.isfinite(batch).all():
        raise ImageError("a tensor with NaN or infinity", hint="give floats in 0..1")
    return batch


def to_picture(source: PictureSource) -> Picture:
    """Convert any source of one picture to a Picture.

    Args:
        source: A path, the bytes of a file, an open binary file, a PIL image, a Picture, an array
            [H, W, 3] or [H, W, 4] of uint8 or of floats in 0..1, or a float tensor [3, H, W] or
            [1, 3, H, W] in 0..1. Floats are rounded to 16 bits.

    Raises:
        ImageError: The source cannot be read, has another type or shape, or holds NaN or infinity.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, str | Path):
        return read_picture(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return read_picture(io.BytesIO(bytes(source)))  # a memoryview may have gaps
    if isinstance(source, PILImage):
        return picture_from_pil(source)
    if isinstance(source, Tensor):
        batch = as_batch(source)
        if len(batch) != 1:
            raise ImageError(f"a batch of {len(batch)} pictures", hint="give one of them")
        return Picture.from_float(batch, bit_depth=16)
    if isinstance(source, np.ndarray):
        return _picture_from_array(source)
    if isinstance(source, io.TextIOBase):
        raise ImageError("a file that is opened as text", hint='open it with mode "rb"')
    if hasattr(source, "read"):
        return read_picture(source)
    raise ImageError(f"an object of type {type(source).__name__} is not a picture", hint=ACCEPTED)


def name_style(style: object) -> str:
    """Return the name of a style for messages."""
    return str(style) if isinstance(style, str | Path) else "the style"


def measure_edges(picture: Tensor | Picture) -> tuple[int, int]:
    """Return width and height."""
    if isinstance(picture, Picture):
        return picture.width, picture.height
    return picture.shape[-1], picture.shape[-2]


def _picture_from_array(array: Array) -> Picture:
    """Convert an array [H, W, 3] or [H, W, 4] of uint8, uint16 or floats in 0..1."""
    kinds = (array.dtype.kind == "u" and array.dtype.itemsize <= 2) or array.dtype.kind == "f"
    if array.ndim != 3 or array.shape[2] not in {3, 4} or not array.size or not kinds:
        raise ImageError(
            f"an array {list(array.shape)} of {array.dtype}",
            hint="give [H, W, 3] or [H, W, 4] of uint8 or of floats in 0..1",
        )
    # Torch takes no other byte order, and warns of memory that is read only.
    kind = np.dtype(np.float32) if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
    channels = torch.from_numpy(np.require(array, kind, ["C", "W"])).permute(2, 0, 1)
    if channels.is_floating_point():
        if not torch.isfinite(channels).all():
            raise ImageError("an array with NaN or infinity", hint="give floats in 0..1")
        if channels.max() > LARGEST_FLOAT:
            raise ImageError(
                f"an array of floats up to {channels.max():.4g}", hint="give floats in 0..1, or uint8"
            )
        channels = channels.clamp(0, 1).mul(65535).round().to(torch.uint16)
    pixels, alpha = channels[:3].contiguous(), channels[3:].contiguous()
    return Picture(pixels, alpha if len(alpha) else None)
