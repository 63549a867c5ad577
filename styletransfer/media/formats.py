"""The file formats of pictures: how each is recognised, and what it can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import features

from ..errors import ImageError


@dataclass(frozen=True)
class ImageFormat:
    """One file format.

    Attributes:
        name: Pillow's name for it.
        extensions: As they stand in file names, the usual one first.
        matches: Tells from the first 64 bytes of a file whether it is one.
        feature: The part of Pillow that reads and writes it; None where that is Pillow itself.
        bit_depths: The depths that can be written; none for a format that is only read.
        max_edge: The longest edge that the format can count, in pixels.
    """

    name: str
    extensions: tuple[str, ...]
    matches: Callable[[bytes], bool]
    feature: str | None = None
    bit_depths: tuple[int, ...] = (8,)
    max_edge: int = 2**31 - 1

    @property
    def available(self) -> bool:
        """Whether this build of Pillow has the format."""
        if self.feature is None:
            return True
        # Of a name that it does not know, an older Pillow warns.
        known = self.feature in features.modules or self.feature in features.codecs
        return known and bool(features.check(self.feature))


TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are BigTIFF

FORMATS = (
    ImageFormat(
        "JPEG",
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        lambda head: head.startswith(b"\xff\xd8\xff"),
        feature="jpg",
        max_edge=65_500,
    ),
    ImageFormat(
        "PNG",
        (".png",),
        lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"),
        feature="zlib",
        bit_depths=(8, 16),
    ),
    ImageFormat(
        "WEBP",
        (".webp",),
        lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
        feature="webp",
        max_edge=16_383,
    ),
    ImageFormat("TIFF", (".tif", ".tiff"), lambda head: head.startswith(TIFF_SIGNATURES), bit_depths=(8, 16)),
    ImageFormat("BMP", (".bmp",), lambda head: head.startswith(b"BM")),
    ImageFormat("GIF", (".gif",), lambda head: head.startswith((b"GIF87a", b"GIF89a")), bit_depths=()),
    ImageFormat(
        "AVIF",
        (".avif",),
        lambda head: head[4:8] == b"ftyp" and b"avif" in head[8:],
        feature="avif",
        max_edge=65_536,
    ),
)


def readable_extensions() -> tuple[str, ...]:
    """Return the file name extensions that `read_picture` understands here, lower case, with the dot."""
    return tuple(extension for form in FORMATS if form.available for extension in form.extensions)


def writable_extensions() -> tuple[str, ...]:
    """Return the file name extensions that `write_picture` can write here, lower case, with the dot."""
    writable = (form for form in FORMATS if form.available and form.bit_depths)
    return tuple(extension for form in writable for extension in form.extensions)


def identify_format(header: bytes) -> ImageFormat | None:
    """Tell the format of a file by its first 64 bytes; its name is not asked."""
    return next((form for form in FORMATS if form.matches(header)), None)


def is_heif(header: bytes) -> bool:
    """Tell whether a file begins like the HEIC photographs that telephones make."""
    return header[4:8] == b"ftyp" and header[8:12] in {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1"}


def resolve_format(target: str | Path | None, format: str | None = None) -> ImageFormat:
    """Find the format to write: the one that is named, or else the one of the file name.

    Args:
        target: The file to write; None for a stream, which needs `format`.
        format: A format or an extension, in any case, with or without dot: "png", ".JPG", "tiff".

    Raises:
        ImageError: There is none, it is unknown, cannot be written or is missing from this Pillow.
    """
    extension = f".{format.lstrip('.').lower()}" if format else Path(target or "").suffix.lower()
    subject = "a stream" if target is None else readable_name(target)
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
    what = f"the picture format {extension!r} is unknown" if extension else "the picture format is not named"
    raise ImageError(f"{subject}: {what}", hint=choices)


def check_writable_format(
    target: str | Path | None,
    *,
    format: str | None = None,
    bit_depth: int = 8,
    size: tuple[int, int] | None = None,
) -> None:
    """Raise now what `write_picture` would raise later: to be called before a long computation.

    An alpha channel is no obstacle: see `write_picture`.

    Args:
        target: The file to write; None for a stream, which needs `format`.
        format: The format, where it is not to be taken from the file name.
        bit_depth: Bits per sample that the file must hold.
        size: Width and height of the picture, where they are known.

    Raises:
        ImageError: The format is unknown, cannot hold the depth, or counts no edge that long.
    """
    form = resolve_format(target, format)
    subject = "a stream" if target is None else readable_name(target)
    if bit_depth not in form.bit_depths:
        raise ImageError(
            f"{subject}: {form.name} cannot hold {bit_depth} bits per channel", hint="choose .png or .tiff"
        )
    if size is not None and max(size) > form.max_edge:
        raise ImageError(
            f"{subject}: {size[0]}x{size[1]} pixels, but an edge in {form.name} is at most {form.max_edge}",
            hint="choose .png or .tiff",
        )


def readable_name(path: object) -> str:
    """Return the name of a file as it can stand in a message of one line."""
    name = str(path)
    return name if name.isprintable() else ascii(name)
