"""Conversion of 16-bit pictures to sRGB by ICC profiles that consist of curves and a matrix.

LittleCMS in Pillow converts 8-bit pictures only. Profiles of cameras, screens and editing spaces (Adobe RGB,
Display P3, ProPhoto, gray gammas) are of this kind. Pictures with profiles of another kind, such as the
tables of a scanner, are converted with 8 bits of precision.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import torch
from torch import Tensor

from .color_encoding import LEVELS, convert_by_matrix
from .color_profiles import is_srgb, plan_conversion, profile_space, srgb_profile
from .picture import with_bit_depth
from .pil_tensor import copy_channels, image_from_channels


class MatrixProfile(NamedTuple):
    """A color space that is described by curves and primaries.

    Attributes:
        curves: Linear light in 0..1 of each 16-bit sample, [C, 65536], float64; C is 1 (gray) or 3.
        primaries: Matrix from linear RGB to CIE XYZ under D50, [3, 3], float64; None for gray.
    """

    curves: Tensor
    primaries: Tensor | None


def convert_to_srgb(pixels: Tensor, profile: bytes | None, *, gray: bool) -> Tensor:
    """Convert 16-bit samples from the color space of their profile to sRGB.

    Args:
        pixels: Samples [3, H, W], uint16; they may be overwritten.
        profile: The embedded ICC profile. If it is None, broken or of another color space than the picture,
            the samples are returned unchanged.
        gray: Whether the picture is gray, so that its three channels are equal.
    """
    space = profile_space(profile)
    if profile is None or space not in ({"GRAY", "RGB"} if gray else {"RGB"}):
        return pixels
    if space == "RGB" and is_srgb(profile):
        return pixels
    parsed = parse_matrix_profile(profile)
    if parsed is None:
        return _convert_at_8_bits(pixels, profile)
    if parsed.primaries is None:
        matrix = torch.eye(3)
    else:
        srgb = parse_matrix_profile(srgb_profile())
        assert srgb is not None
        assert srgb.primaries is not None
        matrix = torch.linalg.solve(srgb.primaries, parsed.primaries)
    return convert_by_matrix(pixels, parsed.curves, matrix)


def parse_matrix_profile(profile: bytes) -> MatrixProfile | None:
    """Parse the curves and primaries of an ICC profile; return None if it has none or is broken.

    Source: ICC.1:2022 (profile version 4.4), section 7 (tag table), 10.6 (curveType), 10.18
    (parametricCurveType), 10.31 (XYZType), F.2 and F.3 (the models).
    """
    try:
        (count,) = struct.unpack_from(">I", profile, 128)
        entries = (struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(min(count, 100)))
        tags = {name: profile[start : start + size] for name, start, size in entries}
        if b"A2B0" in tags or profile[20:24] != b"XYZ ":
            return None
        if profile[16:20] == b"GRAY":
            return MatrixProfile(_parse_curve(tags[b"kTRC"]).unsqueeze(0), None)
        curves = torch.stack([_parse_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")])
        columns = [_parse_fixed(tags[name], 8, 3) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    except (struct.error, KeyError, ValueError):
        return None
    return MatrixProfile(curves, torch.tensor(columns, dtype=torch.float64).T)


def _parse_fixed(tag: bytes, offset: int, count: int) -> list[float]:
    """Read s15Fixed16 numbers."""
    return [number / 65536 for number in struct.unpack_from(f">{count}i", tag, offset)]


def _parse_curve(tag: bytes) -> Tensor:
    """Tabulate a curve: linear light in 0..1 of each 16-bit sample, [65536], float64."""
    x = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    if tag[:4] == b"para":
        return _tabulate_parametric(x, tag).clamp(0, 1)
    if tag[:4] != b"curv":
        raise ValueError("unknown type of curve")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return x
    points = struct.unpack_from(f">{count}H", tag, 12)
    if count == 1:
        return x.pow(points[0] / 256)
    table = torch.tensor(points, dtype=torch.float64) / 65535
    position = x * (count - 1)
    below = position.floor().long().clamp(max=count - 2)
    return torch.lerp(table[below], table[below + 1], position - below)


def _tabulate_parametric(x: Tensor, tag: bytes) -> Tensor:
    (kind,) = struct.unpack_from(">H", tag, 8)
    g, *rest = _parse_fixed(tag, 12, (1, 3, 4, 5, 7)[kind] if kind < 5 else 0)
    # Every kind is a case of the last one: (a x + b)^g + e for x >= d and c x + f below, a x + b >= 0.
    a, b, c, d, e, f = 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if kind == 1:
        a, b = rest
    elif kind == 2:
        a, b, e = rest
    elif kind == 3:
        a, b, c, d = rest
    elif kind == 4:
        a, b, c, d, e, f = rest
    return torch.where(x >= d, (a * x + b).clamp(min=0).pow(g) + e, c * x + f)


def _convert_at_8_bits(pixels: Tensor, profile: bytes) -> Tensor:
    image = image_from_channels(with_bit_depth(pixels, 8))
    image.info["icc_profile"] = profile
    _, convert = plan_conversion(image)
    narrow = torch.empty(pixels.shape, dtype=torch.uint8)
    copy_channels(image, narrow.chunk(3), convert=convert)
    return with_bit_depth(narrow, 16)
