"""Tar archives read and written as streams: one member at a time, in the order of the archive.

`tarfile` of the standard library alone passes over damage: where a header is broken or the file ends too
early, it says that the archive has ended, and the rest is lost in silence. Here that is an error, and so is
what follows the end, such as a second archive.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from .errors import StyleTransferError

BLOCK = 2**16


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class ArchiveMember(NamedTuple):
    """A member of an archive.

    Attributes:
        info: Its header: name, kind, time.
        data: Its bytes; empty for what is no regular file.
    """

    info: tarfile.TarInfo
    data: bytes


class _CheckedHeader(tarfile.TarInfo):
    """A header that must be whole; an archive ends with a block of zeros."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _CheckedHeader:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # a block of zeros
                raise
            reason = "it ends too early" if str(error) == "empty header" else str(error)
            raise tarfile.ReadError(reason) from error


def read_members(file: BinaryIO, name: str) -> Iterator[ArchiveMember]:
    """Read an archive from its beginning to its end, compressed or not; the file need not be seekable.

    One member at a time is in memory.

    Args:
        file: The archive.
        name: Its name, for messages.

    Raises:
        StyleTransferError: It is no tar archive, or damaged or cut off; members before that have been given.
    """
    try:
        with tarfile.open(fileobj=file, mode="r|*", tarinfo=_CheckedHeader) as archive:
            while (info := archive.next()) is not None:
                content = archive.extractfile(info) if info.isfile() else None
                yield ArchiveMember(info, b"" if content is None else content.read())
                archive.members = []  # type: ignore[attr-defined]  # it would keep the headers of all
            assert archive.fileobj is not None
            _check_end(archive.fileobj)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise StyleTransferError(f"{name}: not a readable tar archive ({error})") from error


def list_files(file: BinaryIO, name: str) -> Iterator[tarfile.TarInfo]:
    """List the headers of the files of an archive that is not compressed; their bytes are not read.

    Args:
        file: The archive, which is seekable. A file's bytes are the `size` bytes from `offset_data` on.
        name: Its name, for messages.

    Raises:
        StyleTransferError: It is compressed, no tar archive, or damaged or cut off.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=_CheckedHeader) as archive:
            while (info := archive.next()) is not None:
                if info.isfile() and not info.issparse():
                    yield info
                archive.members = []  # type: ignore[attr-defined]  # it would keep the headers of all
            file.seek(archive.offset)
            _check_end(file)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise StyleTransferError(f"{name}: not a readable tar archive ({error})") from error


def _check_end(file: _Readable) -> None:
    """Read what follows the last member: zeros, or the archive has not been read whole."""
    while block := file.read(BLOCK):
        if block.strip(b"\0"):
            raise tarfile.ReadError("data follows its end")


def is_plain_archive(path: Path) -> bool:
    """Return whether a file is a tar archive that is not compressed."""
    try:
        with tarfile.open(path, "r:"):
            return True
    except (tarfile.TarError, OSError):
        return False


class ArchiveWriter:
    """Writes members one after the other; use it as a context manager, which ends the archive.

    What is written depends on the members alone, and not on the time or the user.

    Args:
        file: Receives the archive.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._archive = tarfile.open(fileobj=file, mode="w")  # noqa: SIM115  closed by __exit__

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._archive.close()

    def add(self, name: str, member: ArchiveMember) -> None:
        """Add a file, or a folder, under a name.

        Args:
            name: The name.
            member: Its bytes, and a header from which kind and time are taken.
        """
        info = tarfile.TarInfo(name)
        info.mtime, info.size = int(member.info.mtime), len(member.data)
        info.type = tarfile.DIRTYPE if member.info.isdir() else tarfile.REGTYPE  # no holes, no links
        info.mode = 0o755 if member.info.isdir() else 0o644
        self._archive.addfile(info, io.BytesIO(member.data))
        self._archive.members = []  # type: ignore[attr-defined]
