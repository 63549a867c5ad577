"""Where frames come from: videos, animations, folders of pictures, pipes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from ...errors import VideoError
from ...media.formats import printable_name
from .animation_file import AnimationFile, is_animation, is_moving
from .frame_folder import FrameFolder
from .frame_source import Damage, FrameSource, Selection, SourceFrame, SourceInfo
from .video_file import VideoFile, find_video, open_input

__all__ = [
    "Damage",
    "FrameSource",
    "Selection",
    "SourceFrame",
    "SourceInfo",
    "VideoFile",
    "find_video",
    "is_moving",
    "open_input",
    "open_source",
]

PEEK = 65536  # bytes in which the index of an MP4 file that can be streamed begins


def open_source(
    source: Path | Sequence[Path] | BinaryIO,
    name: str,
    *,
    rate: Fraction | None = None,
    threads: int = 0,
    spool: BinaryIO | None = None,
) -> FrameSource:
    """Open an input by its content, whatever its name is.

    Args:
        source: A video or an animation, the files of frames, or a pipe.
        name: Name for messages.
        rate: Frames per second of inputs that state none.
        threads: Threads that decode; 0 for libav's choice.
        spool: A file that receives a copy of what a pipe gives, from which other streams are copied later.

    Raises:
        VideoError: It cannot be read, or has no video.
    """
    if isinstance(source, Path):
        if not source.is_file():
            raise VideoError(f"{source}: no such file")
        if is_animation(source):
            return AnimationFile(source, printable_name(source))
        return VideoFile(source, printable_name(source), rate=rate, threads=threads)
    if isinstance(source, Sequence):
        return FrameFolder(source, name, rate)
    pipe = PipeReader(source, spool)
    if pipe.needs_seeking():
        if spool is None:
            raise VideoError(
                f"{name}: this MP4 file has its index at the end and cannot be read from a pipe",
                hint="give the file itself, or Matroska",
            )
        pipe.drain()
        return VideoFile(Path(spool.name), name, rate=rate, threads=threads)
    return VideoFile(pipe, name, rate=rate, threads=threads)


class PipeReader:
    """A pipe as libav reads it: without seeking, and copied to a file on the way if there is one."""

    def __init__(self, pipe: BinaryIO, spool: BinaryIO | None) -> None:
        self._pipe, self._spool = pipe, spool
        self._ahead = b""
        while len(self._ahead) < PEEK and (part := self._take(PEEK - len(self._ahead))):
            self._ahead += part

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes; none at the end."""
        if self._ahead:
            part, self._ahead = self._ahead[:size], self._ahead[size:]
            return part
        return self._take(size)

    def needs_seeking(self) -> bool:
        """Tell whether this is MP4 or QuickTime whose samples come before their index."""
        if self._ahead[4:8] not in {b"ftyp", b"wide", b"mdat", b"free", b"skip"}:
            return False
        index, samples = self._ahead.find(b"moov"), self._ahead.find(b"mdat")
        return index < 0 or 0 <= samples < index

    def drain(self) -> None:
        """Read to the end, for the copy."""
        while self._take(1 << 20):
            pass
        if self._spool is not None:
            self._spool.flush()

    def _take(self, size: int) -> bytes:
        part = self._pipe.read1(size) if hasattr(self._pipe, "read1") else self._pipe.read(size)
        if self._spool is not None:
            self._spool.write(part)
        return part
