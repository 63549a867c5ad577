"""Conversion of 8-bit pictures to sRGB by their ICC profile, computed by LittleCMS in Pillow."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import lru_cache
from itertools import chain, product

from PIL import Image, ImageCms

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


def plan_conversion(image: Image.Image) -> tuple[str, Conversion]:
    """Decide how an 8-bit image is converted to sRGB.

    The embedded profile is applied (relative colorimetric, with black point compensation) if it fits the mode
    of the image. A broken profile, or one of another color space, is ignored. CMYK without a profile is
    converted by R = (1 - C)(1 - K).

    Returns:
        The mode of the result, "L", "RGB" or "RGBA", and a function that converts any strip of the image.
    """
    profile = image.info.get("icc_profile")
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
                ("RGBA", _transform_beside_alpha(transform))
                if has_alpha
                else ("RGB", _after("L", transform))
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
