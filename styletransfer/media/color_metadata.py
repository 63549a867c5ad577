"""Color descriptions in the metadata of files, other than ICC profiles."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import torch
from PIL import ExifTags, Image

from .color_profiles import find_profile_tag, profile_space
from .color_space_conversion import (
    ADOBE_RGB_GAMMA,
    ADOBE_RGB_PRIMARIES,
    D65,
    HLG_TRANSFER,
    LEVELS,
    PQ_TRANSFER,
    SRGB_PRIMARIES,
    ColorEncoding,
    Primaries,
    encoding_from_cicp,
    encoding_from_gamma,
)

# A gamma this close to 1 / 2.2 is taken for the curve of sRGB, as libpng does: many encoders write
# gAMA 45455 for sRGB.
SRGB_GAMMA, GAMMA_TOLERANCE = 1 / 2.2, 0.05
# TIFF 6.0, section 20, and the color space tag of EXIF 2.32.
TRANSFER_FUNCTION, WHITE_POINT, PRIMARY_CHROMATICITIES = 301, 318, 319
EXIF_ADOBE_RGB = 2  # what some cameras write there, although EXIF 2.32 reserves it
MAX_METADATA = 2**24  # bytes of a profile or of the metadata of AVIF and HEIC; usual ones are much smaller
UNSPECIFIED = b"\2\2"  # primaries and transfer function of H.273, tables 2 and 3
BMP_CALIBRATED, BMP_EMBEDDED_PROFILE = 0, 0x4D424544


def read_color_encoding(image: Image.Image, file: BinaryIO) -> ColorEncoding | None:
    """Return the color encoding of a file from those descriptions that Pillow does not read.

    They are cICP of PNG, which has precedence over an ICC profile, the header of BMP, and the nclx
    description of AVIF and HEIC.

    Args:
        image: What Pillow read from the header of the file. The profile of a BMP is added to its info.
        file: The file, seekable.

    Returns:
        The encoding, which has precedence over a profile; None if there is no such description.
    """
    if image.format == "PNG":
        return _encoding_from_cicp_chunk(_find_png_chunk(file, b"cICP"))
    if image.format == "BMP":
        image.info["icc_profile"], encoding = read_bmp_color(file)
        return encoding
    if image.format in {"AVIF", "HEIF"} and not has_profile(image):
        return _encoding_of_heif(file)
    return None


def encoding_of_image(image: Image.Image, exif: Image.Exif) -> ColorEncoding | None:
    """Return the color encoding of an image from the metadata that Pillow read.

    They are PQ or HLG in an ICC profile, gAMA, cHRM and sRGB of PNG, the tags of TIFF, and Adobe RGB in EXIF.

    Args:
        image: An image, loaded or not.
        exif: Its EXIF data.

    Returns:
        The encoding; None if an ICC profile counts, which has precedence, or there is no description.
    """
    if image.mode in {"CMYK", "LAB"}:
        return None
    if has_profile(image):
        return hdr_encoding_from_profile(image.info["icc_profile"])
    if {"srgb", "gamma", "chromaticity"} & image.info.keys():
        return _encoding_of_png(image)
    tags = getattr(image, "tag_v2", None)
    return (tags and encoding_from_tiff_tags(tags.get)) or encoding_from_exif(exif)


def hdr_encoding_from_profile(profile: bytes) -> ColorEncoding | None:
    """Return the encoding of a profile for PQ or HLG, whose highlights have to be tone-mapped.

    Source: ICC.1:2022 (profile version 4.4), 9.2.17 (cicpTag).
    """
    tag = find_profile_tag(profile, b"cicp")
    if tag is None or len(tag) < 12 or tag[9] not in {PQ_TRANSFER, HLG_TRANSFER}:
        return None
    return encoding_from_cicp(tag[8], tag[9], full_range=tag[11] != 0)


def has_profile(image: Image.Image) -> bool:
    """Return whether an image carries an ICC profile that can be parsed."""
    return profile_space(image.info.get("icc_profile")) is not None


def encoding_from_exif(exif: Image.Exif) -> ColorEncoding | None:
    """Return Adobe RGB (1998) if EXIF names it, otherwise None.

    Source: DCF 2.0 (2010), 3.3.4: the interoperability index "R03" marks its optional color space.
    """
    index = exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
    if isinstance(index, bytes):
        index = index.decode("latin-1")
    named = isinstance(index, str) and index.rstrip("\0 ") == "R03"
    if named or exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace) == EXIF_ADOBE_RGB:
        return encoding_from_gamma(ADOBE_RGB_GAMMA, ADOBE_RGB_PRIMARIES)
    return None


def encoding_from_tiff_tags(get: Callable[[int], Any]) -> ColorEncoding | None:
    """Return the encoding that the tags TransferFunction and PrimaryChromaticities of a TIFF describe.

    Args:
        get: Returns the value of a tag, or None.
    """
    curves = _curves_from_tiff_table(get(TRANSFER_FUNCTION))
    points = _flatten_rationals(get(PRIMARY_CHROMATICITIES))
    if curves is None and len(points) != 6:
        return None
    primaries = SRGB_PRIMARIES
    if len(points) == 6:
        white = _flatten_rationals(get(WHITE_POINT))
        pairs = (points[0:2], points[2:4], points[4:6], white if len(white) == 2 else D65)
        primaries = Primaries(*((x, y) for x, y in pairs))
    encoding = encoding_from_gamma(None, primaries)
    if encoding is None or curves is None:
        return encoding
    return encoding._replace(curves=curves)


def _curves_from_tiff_table(table: Any) -> torch.Tensor | None:
    """Interpolate a TransferFunction, one or three tables of 2**BitsPerSample entries, to 65536 entries."""
    if table is None or not hasattr(table, "__len__"):
        return None
    table = table.ravel() if hasattr(table, "ravel") else table  # tifffile gives an array [3, N]
    values = torch.tensor([float(value) for value in table], dtype=torch.float64).div_(65535)
    for count in (1, 3):
        length, rest = divmod(len(values), count)
        if not rest and length >= 2 and length & (length - 1) == 0:
            curves = values.clamp(0, 1).view(1, count, length)
            curves = torch.nn.functional.interpolate(curves, LEVELS, mode="linear", align_corners=True)
            return curves[0]
    return None


def _flatten_rationals(value: Any) -> list[float]:
    """Return the numbers of a tag: Pillow gives rationals, tifffile numerators and denominators."""
    if value is None or not hasattr(value, "__len__"):
        return []
    numbers = [float(number) for number in value]
    if all(isinstance(number, int) for number in value) and len(numbers) in {4, 12}:
        return [a / b if b else 0.0 for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    return numbers


def _find_png_chunk(file: BinaryIO, wanted: bytes) -> bytes | None:
    """Return the data of a chunk that stands before the pixels of a PNG."""
    file.seek(8)
    kind = b""
    while kind != b"IDAT":
        start = file.read(8)
        if len(start) < 8:
            return None
        length, kind = struct.unpack(">I4s", start)
        if kind == wanted:
            return file.read(length)
        file.seek(length + 4, 1)
    return None


def _encoding_from_cicp_chunk(data: bytes | None) -> ColorEncoding | None:
    """Return the encoding of a cICP chunk; None if it is absent, malformed, reserved or unspecified.

    Source: PNG specification, third edition (W3C 2025), 4.3 (precedence) and 11.3.2.6.
    """
    if data is None or len(data) != 4 or data[2] != 0 or data[:2] == UNSPECIFIED:
        return None
    return encoding_from_cicp(data[0], data[1], full_range=data[3] != 0)


def _encoding_of_png(image: Image.Image) -> ColorEncoding | None:
    """Return what the chunks sRGB, gAMA and cHRM say (PNG, third edition, 11.3.2.1, 11.3.2.2, 11.3.2.5)."""
    gamma, points = image.info.get("gamma"), image.info.get("chromaticity")
    if "srgb" in image.info or (not gamma and points is None):
        return None
    primaries = SRGB_PRIMARIES
    if points is not None:
        white, red, green, blue = ((points[i], points[i + 1]) for i in range(0, 8, 2))
        primaries = Primaries(red, green, blue, white)
    return encoding_from_gamma(_exponent(gamma) if gamma else None, primaries)


def _exponent(gamma: float) -> float | None:
    """Return the exponent of linear light for one of encoding; None for the curve of sRGB."""
    return None if abs(gamma / SRGB_GAMMA - 1) <= GAMMA_TOLERANCE else 1 / gamma


def read_bmp_color(file: BinaryIO) -> tuple[bytes | None, ColorEncoding | None]:
    """Return the profile or the encoding that a header of BMP of version 4 or 5 describes.

    Source: BITMAPV4HEADER and BITMAPV5HEADER of the Windows API. Differs: white is that of sRGB, because
    writers disagree whether the end points add up to white; and a gamma below 1 is taken for its inverse.
    """
    file.seek(14)
    header = file.read(124)
    (size, kind) = struct.unpack_from("<I52xI", header) if len(header) >= 108 else (0, 0)
    if size >= 124 and kind == BMP_EMBEDDED_PROFILE and len(header) == 124:
        offset, length = struct.unpack_from("<II", header, 112)
        file.seek(14 + offset)
        return file.read(min(length, MAX_METADATA)), None
    if size < 108 or kind != BMP_CALIBRATED:
        return None, None
    ends, gammas = struct.unpack_from("<9i", header, 60), struct.unpack_from("<3I", header, 96)
    triples = (ends[0:3], ends[3:6], ends[6:9])
    if not all(gammas) or not all(sum(triple) > 0 for triple in triples):
        return None, None
    red, green, blue = ((x / (x + y + z), y / (x + y + z)) for x, y, z in triples)
    gamma = sum(gammas) / 3 / 65536
    exponent = _exponent(1 / gamma if gamma > 1 else gamma)
    return None, encoding_from_gamma(exponent, Primaries(red, green, blue, D65))


def _encoding_of_heif(file: BinaryIO) -> ColorEncoding | None:
    """Return what the box `colr` of the primary picture of an AVIF or HEIC file says.

    Source: ISO/IEC 23008-12 (HEIF), 6.5.5 and 9.3, and ISO/IEC 14496-12, 12.1.5 (nclx).
    """
    meta = b""
    file.seek(0)
    while not meta:
        start = file.read(8)
        if len(start) < 8:
            return None
        size, kind = struct.unpack(">I4s", start)
        if kind == b"meta" and 8 < size <= MAX_METADATA:
            meta = file.read(size - 8)
        elif size < 8:
            return None
        else:
            file.seek(size - 8, 1)
    try:
        boxes = dict(_iterate_boxes(meta[4:]))
        primary = struct.unpack_from(">I" if boxes[b"pitm"][0] else ">H", boxes[b"pitm"], 4)[0]
        properties = dict(_iterate_boxes(boxes[b"iprp"]))
        described = list(_iterate_boxes(properties[b"ipco"]))
        for index in _associated_properties(properties[b"ipma"], primary):
            kind, data = described[index - 1]
            if kind == b"colr" and data[:4] == b"nclx":
                primaries, transfer = struct.unpack_from(">HH", data, 4)
                return encoding_from_cicp(primaries, transfer)
    except (struct.error, KeyError, IndexError):
        pass
    return None


def _iterate_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the types and the contents of the boxes that data consist of."""
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        if size < 8:
            return
        yield kind, data[position + 8 : position + size]
        position += size


def _associated_properties(ipma: bytes, item: int) -> Iterator[int]:
    """Yield the numbers, from 1, of the properties that a box `ipma` associates with an item."""
    version, wide = ipma[0], ipma[3] & 1
    (count,) = struct.unpack_from(">I", ipma, 4)
    position = 8
    for _ in range(count):
        (current,) = struct.unpack_from(">I" if version else ">H", ipma, position)
        position += 4 if version else 2
        associations, position = ipma[position], position + 1
        for _ in range(associations):
            index = struct.unpack_from(">H", ipma, position)[0] & 0x7FFF if wide else ipma[position] & 0x7F
            position += 2 if wide else 1
            if current == item:
                yield index
