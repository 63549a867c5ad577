"""Conversion to sRGB by embedded ICC profiles.

LittleCMS in Pillow converts 8-bit pictures only. 16-bit pictures are converted here if their profile consists
of curves and a matrix, as those of cameras, screens and editing spaces do (Adobe RGB, Display P3, ProPhoto,
gray gammas). With profiles of another kind, such as the tables of a scanner, they keep 8 bits of precision.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import lru_cache
from itertools import chain, product
from typing import NamedTuple

import torch
from PIL import Image, ImageCms
from torch import Tensor

from .color_space_conversion import LEVELS, convert_by_matrix
from .picture import with_bit_depth
from .pil_tensor import copy_channels, image_from_channels

Conversion = Callable[[Image.Image], Image.Image]

GRAY_MODES = {"1", "L", "LA", "La"}
# The defaults of photo editors: white stays white, and shadows keep their detail.
INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return the sRGB profile that is embedded in written files; its bytes do not depend on the date."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # LittleCMS stores the time of creation here (ICC.1:2022, table 17).
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)


def plan_conversion(image: Image.Image, profile: bytes | None) -> tuple[str, Conversion]:
    """Decide how an 8-bit image is converted to sRGB.

    The profile is applied (relative colorimetric, with black point compensation) if it fits the mode
    of the image. A broken profile, or one of another color space, is ignored. CMYK without a profile is
    converted by R = (1 - C)(1 - K).

    Args:
        image: An image of any mode of 8 bits.
        profile: The ICC profile to apply, or None.

    Returns:
        The mode of the result, "L", "RGB" or "RGBA", and a function that converts any strip of the image.
    """
    space = profile_space(profile)
    if image.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return "RGB", _transform(lab, "LAB", "RGB") or _convert_to("RGB")
    if image.mode == "CMYK":
        transform = _transform(_open_profile(profile), "CMYK", "RGB") if space == "CMYK" else None
        return "RGB", transform or _convert_to("RGB")
    has_alpha = image.has_transparency_data
    gray = image.mode in GRAY_MODES
    if gray and space == "GRAY":
        transform = _transform(_open_profile(profile), "L", "RGB")
        if transform is not None:
            return (
                ("RGBA", _transform_beside_alpha(transform)) if has_alpha else ("RGB", _after("L", transform))
            )
    transform = None
    if space == "RGB" and not is_srgb(profile):
        mode = "RGBA" if has_alpha else "RGB"
        transform = _transform(_open_profile(profile), mode, mode)
    mode = "RGBA" if has_alpha else "L" if gray and transform is None else "RGB"
    return mode, _convert_to(mode) if transform is None else _after(mode, transform)


def profile_space(profile: bytes | None) -> str | None:
    """Return the color space of a profile, such as "RGB", "GRAY" or "CMYK"; None without a usable one."""
    opened = _open_profile(profile)
    return None if opened is None else opened.profile.xcolor_space.strip()


def find_profile_tag(profile: bytes, name: bytes) -> bytes | None:
    """Return the data of a tag of an ICC profile, such as b"cicp"; None if it is absent or out of range."""
    try:
        return _parse_tags(profile).get(name)
    except struct.error:
        return None


def _parse_tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = (struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(min(count, 100)))
    return {name: profile[start : start + size] for name, start, size in entries}


@lru_cache(maxsize=16)
def is_srgb(profile: bytes) -> bool:
    """Return whether an RGB profile changes no color by more than 1 of 255, so that it can be skipped."""
    levels = range(0, 256, 51)
    lattice = bytes(chain.from_iterable(product(levels, repeat=3)))
    probe = Image.frombytes("RGB", (len(lattice) // 3, 1), lattice)
    transform = _transform(_open_profile(profile), "RGB", "RGB")
    if transform is None:
        return True
    converted = transform(probe).tobytes()
    return all(abs(before - after) <= 1 for before, after in zip(lattice, converted, strict=True))


def _open_profile(profile: bytes | None) -> ImageCms.ImageCmsProfile | None:
    if not profile:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (OSError, ImageCms.PyCMSError):
        return None


def _transform(source: ImageCms.ImageCmsProfile | None, mode: str, target_mode: str) -> Conversion | None:
    """Return the transform of a profile to sRGB; None if there is no profile or it cannot be used."""
    if source is None:
        return None
    srgb = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
    try:
        transform = ImageCms.buildTransform(source, srgb, mode, target_mode, INTENT, FLAGS)
    except ImageCms.PyCMSError:
        return None
    return transform.apply


def _convert_to(mode: str) -> Conversion:
    def convert(strip: Image.Image) -> Image.Image:
        if strip.mode == "La":  # Pillow converts premultiplied gray only to LA
            strip = strip.convert("LA")
        return strip if strip.mode == mode else strip.convert(mode)

    return convert


def _after(mode: str, transform: Conversion) -> Conversion:
    """Return a conversion to `mode` followed by a transform."""
    convert = _convert_to(mode)
    return lambda strip: transform(convert(strip))


def _transform_beside_alpha(transform: Conversion) -> Conversion:
    """Return a conversion that transforms gray and keeps alpha, because LittleCMS has no gray with alpha."""
    to_la = _convert_to("LA")

    def convert(strip: Image.Image) -> Image.Image:
        gray, alpha = to_la(strip).split()
        colored = transform(gray)
        colored.putalpha(alpha)
        return colored

    return convert


class MatrixProfile(NamedTuple):
    """A color space that is described by curves and primaries.

    Attributes:
        curves: Linear light in 0..1 of each 16-bit sample, [C, 65536], float64; C is 1 (gray) or 3.
        primaries: Matrix from linear RGB to CIE XYZ under D50, [3, 3], float64; None for gray.
    """

    curves: Tensor
    primaries: Tensor | None


def convert_to_srgb(pixels: Tensor, profile: bytes | None, *, gray: bool) -> Tensor:
    """Convert samples from the color space of their profile to sRGB.

    Args:
        pixels: Samples [3, H, W], uint8 or uint16; they may be overwritten.
        profile: The embedded ICC profile. If it is None, broken or of another color space than the picture,
            the samples are returned unchanged.
        gray: Whether the picture is gray, so that its three channels are equal.
    """
    space = profile_space(profile)
    if profile is None or space not in ({"GRAY", "RGB"} if gray else {"RGB"}):
        return pixels
    if space == "RGB" and is_srgb(profile):
        return pixels
    parsed = parse_matrix_profile(profile) if pixels.dtype == torch.uint16 else None
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
        tags = _parse_tags(profile)
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
    _, convert = plan_conversion(image, profile)
    narrow = torch.empty(pixels.shape, dtype=torch.uint8)
    copy_channels(image, narrow.chunk(3), convert=convert)
    return with_bit_depth(narrow, 8 if pixels.dtype == torch.uint8 else 16)
