"""Frames of libav to pictures and back: matrix, range, transfer, rotation, alpha and odd sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..media import Picture
from ..media.color_space_conversion import (
    HLG_TRANSFER,
    PQ_TRANSFER,
    convert_encoding,
    encoding_from_cicp,
)
from ..media.picture import with_bit_depth
from .libav import load_av

UNSPECIFIED = 2  # matrix coefficients, ITU-T H.273 table 4
HD_LINES = 720  # from here on, untagged video is BT.709, and below it BT.601
BT2020 = 9  # primaries
HDR_PEAK = 1000.0  # cd/m² that become white; the curve below is the same for all frames
BT709, LIMITED = 1, 1  # primaries, transfer and matrix; range as libav numbers it


class FrameConverter:
    """Converts decoded frames to pictures of one size.

    Args:
        width: Width of the pictures, as they are seen.
        height: Height of the pictures.
        alpha: Whether frames have an alpha channel to keep.
        bit_depth: Bits per channel of the pictures, 8 or 16.
    """

    def __init__(self, width: int, height: int, *, alpha: bool, bit_depth: int) -> None:
        self._size = width, height
        self._alpha, self._bit_depth = alpha, bit_depth

    def convert(self, frame: Any) -> Picture:
        """Convert one decoded frame, upright, to sRGB samples."""
        av = load_av()
        hdr = is_hdr(frame.color_trc)
        wide = hdr or self._bit_depth == 16
        format = {(0, 0): "rgb24", (0, 1): "rgba", (1, 0): "rgb48le", (1, 1): "rgba64le"}[wide, self._alpha]
        colorspace = None
        if frame.colorspace == UNSPECIFIED and not frame.format.is_rgb:
            lines = min(frame.width, frame.height)
            spaces = av.video.reformatter.Colorspace
            colorspace = spaces.ITU709 if lines >= HD_LINES else spaces.ITU601
        array = frame.reformat(
            format=format,
            src_colorspace=colorspace,
            dst_color_range=av.video.reformatter.ColorRange.JPEG,
            interpolation=_interpolation(),
            threads=1,
        ).to_ndarray()
        samples = to_channels(np.rot90(array, frame.rotation // 90))
        pixels, alpha = samples[:3], samples[3:] if self._alpha else None
        if hdr:
            pixels = self._map_tones(pixels.contiguous(), frame)
        picture = Picture(pixels.contiguous(), None if alpha is None else alpha.contiguous())
        picture = picture.with_bit_depth(self._bit_depth)
        return fit_picture(picture, *self._size)

    def _map_tones(self, pixels: Tensor, frame: Any) -> Tensor:
        """Convert samples of HDR to sRGB; diffuse white stays nearly white, highlights keep their order."""
        encoding = encoding_from_cicp(frame.color_primaries, frame.color_trc)
        encoding = encoding or encoding_from_cicp(BT2020, frame.color_trc)
        assert encoding is not None
        return convert_encoding(pixels, encoding, peak=HDR_PEAK)


def is_hdr(transfer: int) -> bool:
    """Tell whether a transfer characteristic is PQ or HLG."""
    return transfer in {PQ_TRANSFER, HLG_TRANSFER}


def to_channels(array: np.ndarray[Any, np.dtype[Any]]) -> Tensor:
    """Return an array [H, W, C] of integers as a tensor [C, H, W] with memory of its own."""
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1).contiguous()


def fit_picture(picture: Picture, width: int, height: int) -> Picture:
    """Scale a picture to a size, or return it if it has that size."""
    if (picture.width, picture.height) == (width, height):
        return picture

    white = 2**picture.bit_depth - 1

    def scale(samples: Tensor) -> Tensor:
        return interpolate(samples[None], (height, width), mode="bicubic", antialias=True)[0]

    def to_integers(values: Tensor) -> Tensor:
        return values.clamp_(0, white).round_().to(picture.pixels.dtype)

    pixels = picture.pixels.to(torch.float32)
    if picture.alpha is None:
        return Picture(to_integers(scale(pixels)))
    opacity = picture.alpha.to(torch.float32) / white
    smaller = scale(opacity)
    # Colors are weighted by opacity; where no pixel is opaque, the color is 0 / 0 and becomes black.
    mixed = (scale(pixels * opacity) / smaller).nan_to_num_(0, posinf=0, neginf=0)
    return Picture(to_integers(mixed), to_integers(smaller * white))


def build_frame(picture: Picture, format: str, width: int, height: int) -> Any:
    """Make a frame for an encoder: BT.709 of limited range, or RGB where the format is RGB.

    Args:
        picture: The picture.
        format: Pixel format of the encoder.
        width: Width of the frame; one more than the picture's repeats its last column.
        height: Height of the frame, alike.
    """
    av = load_av()
    pixel_format = av.VideoFormat(format)
    wide = any(component.bits > 8 for component in pixel_format.components)
    has_alpha = any(component.is_alpha for component in pixel_format.components)
    samples = with_bit_depth(picture.pixels, 16 if wide else 8)
    if has_alpha:
        samples = torch.cat((samples, _opacity(picture, samples)))
    array = samples.permute(1, 2, 0).contiguous().numpy()
    below, right = height - picture.height, width - picture.width
    if below or right:
        array = np.pad(array, ((0, below), (0, right), (0, 0)), mode="edge")
    source = {(0, 0): "rgb24", (0, 1): "rgba", (1, 0): "rgb48le", (1, 1): "rgba64le"}[wide, has_alpha]
    frame = av.VideoFrame.from_ndarray(array, format=source)
    if pixel_format.is_rgb:
        return frame.reformat(format=format, threads=1)
    converted = frame.reformat(
        format=format,
        dst_colorspace=av.video.reformatter.Colorspace.ITU709,
        dst_color_range=av.video.reformatter.ColorRange.MPEG,
        interpolation=_interpolation(),
        threads=1,
    )
    converted.color_primaries = converted.color_trc = BT709
    return converted


def _opacity(picture: Picture, samples: Tensor) -> Tensor:
    """Return the alpha channel in the depth of some samples, opaque if there is none."""
    if picture.alpha is not None:
        return with_bit_depth(picture.alpha, 8 if samples.dtype == torch.uint8 else 16)
    white = torch.full((1, *samples.shape[1:]), 255 if samples.dtype == torch.uint8 else 65535)
    return white.to(samples.dtype)


def _interpolation() -> Any:
    """Return the flags of libswscale that are nearest to exact: 42 ms a frame of 1080 lines, not 6."""
    flags = load_av().video.reformatter.Interpolation
    return flags.BICUBIC | flags.ACCURATE_RND | flags.FULL_CHR_H_INT | flags.FULL_CHR_H_INP
