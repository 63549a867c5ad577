"""PyAV, the only door to FFmpeg's libraries, and its errors as errors for users."""

from __future__ import annotations

from typing import Any

from ..errors import MemoryLimitError, StyleTransferError, VideoError, is_out_of_memory

MAX_REASON_LENGTH = 200  # characters quoted from an exception


def load_av() -> Any:
    """Import PyAV.

    Raises:
        VideoError: The extra is not installed.
    """
    try:
        import av
        import av.video.reformatter
    except ImportError as error:
        raise VideoError(
            "PyAV is needed to read and write videos", hint='run `pip install "styletransfer[video]"`'
        ) from error
    return av


def is_libav_error(error: BaseException) -> bool:
    """Tell whether FFmpeg's libraries raised an error."""
    return isinstance(error, load_av().error.FFmpegError)


def explain_libav(error: Exception, name: str, doing: str, hint: str | None = None) -> StyleTransferError:
    """Turn an exception of PyAV into an error for the user.

    Args:
        error: The exception.
        name: The printable name of the file.
        doing: What could not be done, such as "cannot be read".
        hint: What the user can do.
    """
    if isinstance(error, StyleTransferError):
        return error
    if is_out_of_memory(error):
        return MemoryLimitError(f"{name}: too little memory for this video", hint="reduce it by --size")
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    reason = str(reason)[:MAX_REASON_LENGTH]
    return VideoError(f"{name}: {doing} ({reason[:1].lower() + reason[1:]})", hint=hint)
