"""ICC profiles at 8 bits: any color space that Pillow's LittleCMS knows, to sRGB."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import lru_cache
from itertools import chain, product

from PIL import Image, ImageCms

Conversion = Callable[[Image.Image], Image.Image]

GREY_MODES = {"1", "L", "LA", "La"}
# What photo editors do by default: whites stay white, and shadows are not crushed.
INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return the sRGB profile that is embedded in what is written; the same bytes on every day."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # LittleCMS writes the time of creation here (ICC.1:2022, table 17).
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)


def plan_conversion(image: Image.Image) -> tuple[str, Conversion]:
    """Decide how an 8-bit image becomes sRGB.

    An embedded profile is followed (relative colorimetric, black point compensated) if it fits the
    image's mode; a broken one, or a CMYK profile in an RGB picture, is ignored. CMYK without a profile
    is converted by the plain formula R = (1 - C)(1 - K).

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
    translucent = image.has_transparency_data
    grey = image.mode in GREY_MODES
    if grey and space == "GRAY":
        transform = _transform(_open_profile(profile), "L", "RGB")
        if transform is not None:
            return ("RGBA", _with_alpha(transform)) if translucent else ("RGB", _after("L", transform))
    transform = None
    if space == "RGB" and not is_srgb(profile):
        mode = "RGBA" if translucent else "RGB"
        transform = _transform(_open_profile(profile), mode, mode)
    mode = "RGBA" if translucent else "L" if grey and transform is None else "RGB"
    return mode, _convert_to(mode) if transform is None else _after(mode, transform)


def profile_space(profile: bytes | None) -> str | None:
    """Return the color space of a profile, "RGB", "GRAY", "CMYK", ...; None if it is broken or absent."""
    opened = _open_profile(profile)
    return None if opened is None else opened.profile.xcolor_space.strip()


@lru_cache(maxsize=16)
def is_srgb(profile: bytes) -> bool:
    """Tell whether an RGB profile moves no color by more than one step of 255: then none is moved."""
    levels = range(0, 256, 51)
    lattice = bytes(chain.from_iterable(product(levels, repeat=3)))
    probe = Image.frombytes("RGB", (len(lattice) // 3, 1), lattice)
    transform = _transform(_open_profile(profile), "RGB", "RGB")
    if transform is None:
        return True
    moved = transform(probe).tobytes()
    return all(abs(before - after) <= 1 for before, after in zip(lattice, moved, strict=True))


def _open_profile(profile: bytes | None) -> ImageCms.ImageCmsProfile | None:
    if not profile:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (OSError, ImageCms.PyCMSError):
        return None


def _transform(source: ImageCms.ImageCmsProfile | None, mode: str, target_mode: str) -> Conversion | None:
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
        if strip.mode == "La":  # Pillow converts premultiplied grey to nothing but LA
            strip = strip.convert("LA")
        return strip if strip.mode == mode else strip.convert(mode)

    return convert


def _after(mode: str, transform: Conversion) -> Conversion:
    convert = _convert_to(mode)
    return lambda strip: transform(convert(strip))


def _with_alpha(transform: Conversion) -> Conversion:
    """Transform the grey of a strip and put its alpha back: LittleCMS has no grey with alpha."""
    to_la = _convert_to("LA")

    def convert(strip: Image.Image) -> Image.Image:
        grey, alpha = to_la(strip).split()
        colored = transform(grey)
        colored.putalpha(alpha)
        return colored

    return convert
