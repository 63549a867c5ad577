"""The file formats of pictures: how each is recognized and what it can hold."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError, features

from ..errors import ImageError, MemoryLimitError, StyleTransferError, is_out_of_memory

HEADER_SIZE = 64  # bytes of a file that identify its format
CAMERA_RAW_HINT = "export it as TIFF or JPEG"
MAX_REASON_LENGTH = 200  # characters quoted from an exception


@dataclass(frozen=True)
class ImageFormat:
    """One file format.

    Attributes:
        name: The name of the format in messages.
        extensions: File name extensions in lower case, the usual one first.
        matches: Returns whether a file that starts with these `HEADER_SIZE` bytes has this format.
        feature: The optional part of Pillow that reads and writes it; None if Pillow always can.
        plugin: The module that adds the format to Pillow; None if it needs none.
        install: What to install for the plugin.
        pillow_name: The name that Pillow gives the format; None if it is `name`.
        bit_depths: Bits per sample that can be written; empty for a format that is only read.
        max_edge: The longest edge that the format can store, in pixels.
    """

    name: str
    extensions: tuple[str, ...]
    matches: Callable[[bytes], bool]
    feature: str | None = None
    plugin: str | None = None
    install: str = ""
    pillow_name: str | None = None
    bit_depths: tuple[int, ...] = (8,)
    max_edge: int = 2**31 - 1

    @property
    def remedy(self) -> str:
        """What makes an unavailable format available."""
        if self.plugin is not None:
            return f"run `pip install {self.install}`, or convert it to JPEG or PNG"
        return f"convert it to one of {', '.join(readable_names())}"

    @property
    def available(self) -> bool:
        """Whether this build of Pillow has the format, or its plugin is installed."""
        if self.plugin is not None:
            return find_spec(self.plugin) is not None
        if self.feature is None:
            return True
        # An older Pillow warns if it is asked for a feature that it does not know.
        known = self.feature in features.modules or self.feature in features.codecs
        return known and bool(features.check(self.feature))


HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are BigTIFF

FORMATS = (
    ImageFormat(
        "JPEG",
        (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        lambda header: header.startswith(b"\xff\xd8\xff"),
        feature="jpg",
        max_edge=65_500,
    ),
    ImageFormat(
        "PNG",
        (".png",),
        lambda header: header.startswith(b"\x89PNG\r\n\x1a\n"),
        feature="zlib",
        bit_depths=(8, 16),
    ),
    ImageFormat(
        "WEBP",
        (".webp",),
        lambda header: header[:4] == b"RIFF" and header[8:12] == b"WEBP",
        feature="webp",
        max_edge=16_383,
    ),
    ImageFormat(
        "TIFF", (".tif", ".tiff"), lambda header: header.startswith(TIFF_SIGNATURES), bit_depths=(8, 16)
    ),
    ImageFormat("BMP", (".bmp",), lambda header: header.startswith(b"BM")),
    ImageFormat("GIF", (".gif",), lambda header: header.startswith((b"GIF87a", b"GIF89a")), bit_depths=()),
    ImageFormat(
        "AVIF",
        (".avif",),
        lambda header: header[4:8] == b"ftyp" and b"avif" in header[8:],
        feature="avif",
        max_edge=65_536,
    ),
    ImageFormat(
        "HEIC",
        (".heic", ".heif", ".hif"),
        lambda header: header[4:8] == b"ftyp" and header[8:12] in HEIF_BRANDS,
        plugin="pillow_heif",
        install='"styletransfer[heif]"',
        pillow_name="HEIF",
        bit_depths=(),
    ),
    ImageFormat(
        "JPEG XL",
        (".jxl",),
        lambda header: header.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")),
        plugin="pillow_jxl",
        install="pillow-jxl-plugin",
        pillow_name="JXL",
        bit_depths=(),
    ),
    ImageFormat(
        "PNM",
        (".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm"),
        lambda header: header[:1] == b"P" and header[1:2] in b"1234567Ff" and header[2:3] in b" \t\n\r#",
        bit_depths=(),
    ),
    # TGA has no signature. It comes last, because what makes sense as its header may be another format.
    ImageFormat("TGA", (".tga",), lambda header: _is_tga(header), bit_depths=()),
)
CAMERA_RAW_EXTENSIONS = (
    *(".dng", ".raw", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".raf", ".orf", ".rw2"),
    *(".pef", ".srw", ".x3f", ".mrw", ".3fr", ".fff", ".iiq", ".mos", ".mef", ".erf", ".dcr", ".kdc", ".rwl"),
)
OTHER_PICTURE_EXTENSIONS = (
    *(".psd", ".psb", ".xcf", ".kra", ".afphoto", ".ai", ".eps", ".svg", ".pdf", ".jp2", ".j2k", ".jpx"),
    *(".exr", ".hdr", ".ico", ".icns", ".dds", ".pcx", ".qoi", ".cur", ".wmf", ".emf", ".sgi", ".ras"),
)
VIDEO_STARTS = (b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"FLV\1")
VIDEO_BRANDS = {
    *(b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1"),
    *(b"qt  ", b"M4V ", b"3gp4", b"3gp5"),
}
# The first bytes of the raw images of cameras; `tiff_decoding` recognizes those that start like any TIFF.
CAMERA_RAW_STARTS = (
    b"FUJIFILMCCD-RAW",
    *(b"IIRO", b"IIRS", b"MMOR"),  # Olympus
    b"IIU\0",  # Panasonic
    b"FOVb",  # Sigma
    b"\0MRM",  # Minolta
    b"II\x1a\0\0\0HEAP",  # Canon CRW
)


def readable_names() -> list[str]:
    """Return the names of the formats that `read_picture` can read."""
    return [form.name for form in FORMATS if form.available]


def readable_extensions() -> tuple[str, ...]:
    """Return the file name extensions that `read_picture` can read, in lower case with the dot."""
    return tuple(extension for form in FORMATS if form.available for extension in form.extensions)


def unreadable_extensions() -> dict[str, str]:
    """Return extensions of picture files that `read_picture` cannot read, each with what to do about it.

    A folder may hold such files; they should be counted and named there instead of passed over.
    """
    formats = (form for form in FORMATS if not form.available)
    missing = {extension: form.remedy for form in formats for extension in form.extensions}
    raw = dict.fromkeys(CAMERA_RAW_EXTENSIONS, CAMERA_RAW_HINT)
    others = dict.fromkeys(OTHER_PICTURE_EXTENSIONS, "export it as TIFF, PNG or JPEG")
    return {**others, **raw, **missing}


def writable_extensions() -> tuple[str, ...]:
    """Return the file name extensions that `write_picture` can write, in lower case with the dot."""
    writable = (form for form in FORMATS if form.available and form.bit_depths)
    return tuple(extension for form in writable for extension in form.extensions)


def identify_format(header: bytes) -> ImageFormat | None:
    """Return the format of a file from its first `HEADER_SIZE` bytes; its name is not considered."""
    return next((form for form in FORMATS if form.matches(header)), None)


def is_camera_raw(header: bytes) -> bool:
    """Return whether a file starts like the raw image of a camera that is no plain TIFF."""
    marked = header.startswith(TIFF_SIGNATURES) and header[8:12].startswith((b"CR", b"IIII", b"MMMM"))
    return marked or header.startswith(CAMERA_RAW_STARTS) or header[4:12] == b"ftypcrx "


def is_video(header: bytes) -> bool:
    """Return whether a file starts like a video: MP4, MOV, Matroska, WebM, AVI, MPEG or FLV."""
    media = header[4:8] == b"ftyp" and header[8:12] in VIDEO_BRANDS
    return media or header[:4] + header[8:12] == b"RIFFAVI " or header.startswith(VIDEO_STARTS)


def _is_tga(header: bytes) -> bool:
    """Return whether the first bytes make sense as the header of a TGA file."""
    if len(header) < 18:
        return False
    map_kind, kind, map_depth, width, height, depth, descriptor = struct.unpack("<xBB4xB4xHHBB", header[:18])
    return (
        kind in {1, 2, 3, 9, 10, 11}
        and map_kind == int(kind in {1, 9})
        and map_depth in ({15, 16, 24, 32} if map_kind else {0})
        and depth in ({8, 16} if kind in {1, 3, 9, 11} else {15, 16, 24, 32})
        and width > 0 < height
        and descriptor & 0xC0 == 0
    )


def read_jpeg_xl_size(file: BinaryIO) -> tuple[int, int]:
    """Return the width and the height of a JPEG XL file, whose plugin decodes as soon as it opens a file.

    Raises:
        ValueError: The file holds no codestream.

    Source: ISO/IEC 18181-1, D.2 (SizeHeader), and 18181-2 (the boxes of the container).
    """
    file.seek(0)
    start = file.read(2)
    if start != b"\xff\x0a":
        file.seek(0)
        kind = b""
        while kind not in {b"jxlc", b"jxlp"}:
            box = file.read(8)
            if len(box) < 8:
                raise ValueError("it holds no codestream")
            size, kind = struct.unpack(">I4s", box)
            size = struct.unpack(">Q", file.read(8))[0] - 8 if size == 1 else size
            if kind not in {b"jxlc", b"jxlp"}:
                if size < 8:
                    raise ValueError("it holds no codestream")
                file.seek(size - 8, 1)
        file.seek(4 if kind == b"jxlp" else 0, 1)  # the number of the part
        file.seek(2, 1)
    bits = int.from_bytes(file.read(12), "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    multiple_of_8 = take(1)

    def take_edge() -> int:
        return 8 * (1 + take(5)) if multiple_of_8 else 1 + take((9, 13, 18, 30)[take(2)])

    height = take_edge()
    ratio = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[take(3)]
    return (height * ratio[0] // ratio[1] if ratio[0] else take_edge()), height


def resolve_format(target: str | Path | None, format: str | None = None) -> ImageFormat:
    """Find the format to write: `format` if it is given, otherwise that of the file name.

    Args:
        target: The file to write; None for a stream, which needs `format`.
        format: A format or an extension, in any case, with or without the dot: "png", ".JPG", "tiff".

    Raises:
        ImageError: No format is given, or it is unknown, can only be read, or is missing from this Pillow.
    """
    extension = f".{format.lstrip('.').lower()}" if format else Path(target or "").suffix.lower()
    subject = "a stream" if target is None else printable_name(target)
    choices = f"choose one of {' '.join(writable_extensions())}"
    if extension == ".":
        extension = ""
    for form in FORMATS:
        if extension in form.extensions or extension == f".{form.name.lower()}":
            if not form.bit_depths:
                raise ImageError(f"{subject}: {form.name} can be read but not written", hint=choices)
            if not form.available:
                raise ImageError(f"{subject}: this Pillow has no {form.name}", hint=choices)
            return form
    problem = (
        f"the picture format {extension!r} is unknown" if extension else "the picture format is not named"
    )
    raise ImageError(f"{subject}: {problem}", hint=choices)


def check_writable_format(
    target: str | Path | None,
    *,
    format: str | None = None,
    bit_depth: int = 8,
    size: tuple[int, int] | None = None,
) -> None:
    """Raise the errors of `write_picture` that can be known before a long computation.

    A picture with an alpha channel can be written in every format, see `write_picture`.

    Args:
        target: The file to write; None for a stream, which needs `format`.
        format: The format, if the file name does not tell it.
        bit_depth: Bits per sample that the file must hold.
        size: Width and height of the picture, if they are known.

    Raises:
        ImageError: The format is unknown or cannot hold this bit depth or size.
    """
    form = resolve_format(target, format)
    subject = "a stream" if target is None else printable_name(target)
    if bit_depth not in form.bit_depths:
        raise ImageError(
            f"{subject}: {form.name} cannot hold {bit_depth} bits per channel", hint="choose .png or .tiff"
        )
    if size is not None and max(size) > form.max_edge:
        raise ImageError(
            f"{subject}: {size[0]}x{size[1]} pixels, but an edge in {form.name} is at most {form.max_edge}",
            hint="choose .png or .tiff",
        )


def check_pixel_count(name: str, width: int, height: int, max_pixels: int) -> None:
    """Raise ImageError if a picture has more pixels than the caller accepts.

    Args:
        name: The printable name of the file.
        width: Pixels from left to right.
        height: Pixels from top to bottom.
        max_pixels: The largest accepted product of both.
    """
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: {width}x{height} pixels are more than the limit of {max_pixels}",
            hint="reduce it first",
        )


def printable_name(source: object) -> str:
    """Return the name of a path or a stream for a message of one line.

    Characters that cannot be printed, such as line breaks, are escaped. A stream without a name is called
    "<stream>".
    """
    name = str(source) if isinstance(source, str | Path) else getattr(source, "name", None)
    if not isinstance(name, str):
        return "<stream>"
    return name if name.isprintable() else ascii(name)


def explain_reading(error: Exception, name: str, max_pixels: int) -> StyleTransferError:
    """Turn an exception that was raised while a picture was read into an error for the user.

    Args:
        error: What the decoder or the operating system raised.
        name: The printable name of the file.
        max_pixels: The limit that a decompression bomb exceeded.
    """
    if is_out_of_memory(error):
        return MemoryLimitError(f"{name}: too little memory for this picture", hint="reduce it first")
    if isinstance(error, Image.DecompressionBombError):
        return ImageError(f"{name}: more pixels than the limit of {max_pixels}", hint="reduce it first")
    if isinstance(error, OSError) and error.strerror:  # set by the operating system, not by decoders
        return ImageError(f"{name}: {error.strerror.lower()}", hint="check the path")
    reason = "its header makes no sense" if isinstance(error, UnidentifiedImageError) else _one_line(error)
    return ImageError(f"{name}: the picture is damaged ({reason})", hint="export or download it again")


def explain_writing(error: Exception, name: str) -> StyleTransferError:
    """Turn an exception that was raised while a picture was written into an error for the user.

    Args:
        error: What the encoder or the operating system raised.
        name: The printable name of the file.
    """
    if is_out_of_memory(error):
        return MemoryLimitError(f"{name}: too little memory to write this picture", hint="reduce it")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else _one_line(error)
    return ImageError(f"{name}: cannot be written: {reason.lower()}", hint="check the folder")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:MAX_REASON_LENGTH] or type(error).__name__
