"""Pictures of another size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..errors import ImageError
from .picture import Picture


def resize_picture(picture: Picture, long_edge: int) -> Picture:
    """Scale a picture so that its longer edge has a given length; itself where it has it already.

    Bicubic, with antialiasing where it shrinks. Colors are weighted by alpha, so that what hides under
    transparent pixels does not bleed into its neighbours.

    Args:
        picture: Of any size.
        long_edge: Pixels, at least 1. The other edge keeps the aspect, and has at least 1 pixel.

    Raises:
        ImageError: `long_edge` is below 1.
    """
    if long_edge < 1:
        raise ImageError(f"the long edge is {long_edge}", hint="it must be at least 1")
    longest = max(picture.width, picture.height)
    if longest == long_edge:
        return picture
    size = tuple(max(1, round(edge * long_edge / longest)) for edge in (picture.height, picture.width))
    white = 2**picture.bit_depth - 1
    dtype = picture.pixels.dtype
    if picture.alpha is None:
        # One channel at a time: as floats, all three of a large picture would be large indeed.
        channels = [_round(_resize(channel, size), white, dtype) for channel in picture.pixels.chunk(3)]
        return Picture(torch.cat(channels))
    opacity = picture.alpha.to(torch.float32) / white
    # Bicubic weights overshoot alike in color and opacity, hence clamping comes after the division.
    small_opacity = _resize(opacity, size)
    channels = [
        _round(_resize(channel.to(torch.float32) * opacity, size) / small_opacity, white, dtype)
        for channel in picture.pixels.chunk(3)
    ]
    return Picture(torch.cat(channels), _round(small_opacity * white, white, dtype))


def _resize(channel: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resample [1, H, W] to [1, *size], float32."""
    return interpolate(channel.to(torch.float32).unsqueeze(0), size, mode="bicubic", antialias=True)[0]


def _round(values: Tensor, white: int, dtype: torch.dtype) -> Tensor:
    # Where nothing is opaque, color is 0 / 0: black.
    return values.nan_to_num_(0, posinf=0, neginf=0).clamp_(0, white).round_().to(dtype)
