"""One-line errors for exceptions of decoders, encoders and the operating system."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ..errors import ImageError, MemoryLimitError, StyleTransferError, is_out_of_memory

CAMERA_RAW_HINT = "export it as TIFF or JPEG"
MAX_REASON_LENGTH = 200  # characters quoted from an exception


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
