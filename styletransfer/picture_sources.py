"""Convert whatever a caller holds, such as a path, a PIL image or a tensor, to a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from .errors import ImageError
from .media import Picture, PILImage, picture_from_pil, read_picture

PictureSource: TypeAlias = str | Path | Tensor | PILImage | Picture


def as_batch(pixels: Tensor) -> Tensor:
    """View a float tensor [3, H, W] or [1, 3, H, W] as [1, 3, H, W].

    Raises:
        ImageError: The tensor has another shape or dtype.
    """
    batch = pixels if pixels.dim() == 4 else pixels.unsqueeze(0)
    if batch.dim() != 4 or batch.shape[:2] != (1, 3) or not batch.numel() or not batch.is_floating_point():
        raise ImageError(
            f"a tensor {list(pixels.shape)} of {pixels.dtype}",
            hint="give floats [3, H, W] or [1, 3, H, W] in 0..1",
        )
    return batch


def to_picture(source: PictureSource) -> Picture:
    """Convert any source of a picture to a Picture.

    Raises:
        ImageError: The source cannot be read, or is a tensor with NaN or infinity.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, str | Path):
        return read_picture(source)
    if isinstance(source, Tensor):
        if not torch.isfinite(source).all():
            raise ImageError("a tensor with NaN or infinity", hint="give floats in 0..1")
        return Picture.from_float(as_batch(source), bit_depth=16)
    return picture_from_pil(source)


def measure_edges(picture: Tensor | Picture) -> tuple[int, int]:
    """Return width and height."""
    if isinstance(picture, Picture):
        return picture.width, picture.height
    return picture.shape[-1], picture.shape[-2]
