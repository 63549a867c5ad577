"""What the user reads when a file cannot be read or written: one line, whoever failed."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ..errors import ImageError, MemoryLimitError, StyleTransferError, is_out_of_memory
from .formats import readable_name


def source_name(source: object) -> str:
    """Return how a path or a stream is called in messages."""
    if isinstance(source, str | Path):
        return readable_name(source)
    name = getattr(source, "name", None)
    return readable_name(name) if isinstance(name, str) else "<stream>"


def explain_reading(error: Exception, name: str, max_pixels: int) -> StyleTransferError:
    """Turn what a decoder or the system raised while a file was read into an error for the user."""
    if is_out_of_memory(error):
        return MemoryLimitError(f"{name}: too little memory for this picture", hint="reduce it first")
    if isinstance(error, Image.DecompressionBombError):
        return ImageError(f"{name}: more pixels than the limit of {max_pixels}", hint="reduce it first")
    if isinstance(error, OSError) and error.strerror:  # the system has a text, decoders have none
        return ImageError(f"{name}: {error.strerror.lower()}", hint="check the path")
    reason = "its header makes no sense" if isinstance(error, UnidentifiedImageError) else _one_line(error)
    return ImageError(f"{name}: the picture is damaged ({reason})", hint="export or download it again")


def explain_writing(error: Exception, name: str) -> StyleTransferError:
    """Turn what an encoder or the system raised while a file was written into an error for the user."""
    if is_out_of_memory(error):
        return MemoryLimitError(f"{name}: too little memory to write this picture", hint="reduce it")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else _one_line(error)
    return ImageError(f"{name}: cannot be written: {reason.lower()}", hint="check the folder")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
