"""Paths of files in object stores, s3:// and gs://, which pyarrow reads and writes.

This module alone imports pyarrow, and only when such a path is used.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator, Iterable
from functools import cache
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ..errors import ImageError, OptionError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

SCHEMES = ("s3", "gs")
# Requests that fail are repeated by pyarrow, and then the whole operation is, after .2, .4, .8 s and so on.
ATTEMPTS = 5
FIRST_PAUSE = 0.2
BYTES_AT_A_TIME = 8 * 2**20
GCS_SECONDS = 15  # in which Google's client repeats a request that fails

Result = TypeVar("Result")


class RemotePath(PosixPath):
    """A path such as s3://bucket/folder/cat.jpg, with those methods of a path that planning needs.

    Names, suffixes and parents are those of any path. It is read and written as a whole.
    """

    is_known_file = False  # a folder's listing has found it as a file

    def __str__(self) -> str:
        scheme, _, rest = super().__str__().partition(":/")
        return f"{scheme}://{rest.lstrip('/')}"

    def exists(self, **_: Any) -> bool:
        """Whether there is an object, or a folder that holds some."""
        return self.is_known_file or self._type() != "NotFound"

    def is_file(self, **_: Any) -> bool:
        """Whether it is an object."""
        return self.is_known_file or self._type() == "File"

    def is_dir(self, **_: Any) -> bool:
        """Whether it is a folder, which in an object store is the beginning of other names."""
        return self._type() == "Directory"

    def resolve(self, strict: bool = False) -> RemotePath:
        """Return the path, which is absolute."""
        return self

    def iterdir(self) -> Generator[RemotePath, None, None]:
        """List a folder by few requests; an empty or missing one has no entries."""
        from pyarrow.fs import FileSelector

        selector = FileSelector(self._key, allow_not_found=True)
        for info in self._call(lambda: self._system.get_file_info(selector)):
            path = self / info.base_name
            path.is_known_file = info.is_file
            yield path

    def read_bytes(self) -> bytes:
        """Read the object.

        Raises:
            ImageError: It is missing or cannot be read.
        """

        def read() -> bytes:
            with self._system.open_input_stream(self._key) as stream:
                return bytes(stream.read())

        return self._call(read)

    def write_bytes(self, data: Any) -> int:
        """Write the object, which appears whole or not at all.

        Raises:
            ImageError: It cannot be written.
        """

        def write() -> None:
            with self._system.open_output_stream(self._key) as stream:
                stream.write(data)
            self._check_size(len(data))

        self._call(write)
        return len(data)

    def download(self, target: Path) -> None:
        """Copy the object to a file of this machine, in pieces.

        Raises:
            ImageError: It is missing or cannot be read.
        """

        def read() -> None:
            with self._system.open_input_stream(self._key) as stream, target.open("wb") as file:
                shutil.copyfileobj(stream, file, BYTES_AT_A_TIME)

        self._call(read)

    def upload(self, source: Path) -> None:
        """Write the object from a file of this machine, in pieces; it appears whole or not at all.

        Raises:
            ImageError: It cannot be written.
        """

        def write() -> None:
            with source.open("rb") as file, self._system.open_output_stream(self._key) as stream:
                shutil.copyfileobj(file, stream, BYTES_AT_A_TIME)
            self._check_size(source.stat().st_size)

        self._call(write)

    def open(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse to be read as a local file.

        Raises:
            OptionError: Always.
        """
        raise OptionError(f"{self} is not on this machine", hint="stylize with --engine ray reads it")

    @property
    def _system(self) -> FileSystem:
        scheme, bucket, *_ = self.parts
        return _open_system(f"{scheme}//{bucket}")

    @property
    def _key(self) -> str:
        """Bucket and key, as pyarrow wants them."""
        return "/".join(self.parts[1:])

    def _type(self) -> str:
        name: str = self._call(lambda: self._system.get_file_info(self._key).type.name)
        return name

    def _check_size(self, expected: int) -> None:
        size = self._system.get_file_info(self._key).size
        if size != expected:
            raise OSError(f"{size} of {expected} bytes arrived")

    def _call(self, function: Callable[[], Result]) -> Result:
        """Call a function that sends requests; repeat it if it fails, unless the object is missing."""
        attempts = 1 if self.parts[0] == "gs:" else ATTEMPTS  # Google's client repeats for itself
        for attempt in range(attempts):
            try:
                return function()
            except ValueError as error:  # the address names no bucket
                raise ImageError(f"{self}: {error}") from error
            except FileNotFoundError as error:
                raise ImageError(f"{self}: no such file") from error
            except OSError as error:
                if attempt == attempts - 1:
                    reason = " ".join(str(error).split()).partition(" error_info=")[0]  # Google's repeats it
                    raise ImageError(
                        f"{self}: not within reach ({reason})", hint="look at the network and the credentials"
                    ) from error
                time.sleep(FIRST_PAUSE * 2**attempt)
        raise AssertionError


def parse_path(text: str) -> Path:
    """Return the path of a text, remote if it begins like a URL of an object store."""
    scheme, separator, _ = text.partition("://")
    return RemotePath(text) if separator and scheme in SCHEMES else Path(text)


def list_existing(paths: Iterable[Path]) -> Callable[[Path], bool]:
    """Return a function like `Path.exists` for some paths that lists each remote folder once."""
    folders = {path.parent for path in paths if isinstance(path, RemotePath)}
    known = {path for folder in folders for path in folder.iterdir()}
    return lambda path: path in known if isinstance(path, RemotePath) else path.exists()


@cache
def _open_system(bucket: str) -> FileSystem:
    try:
        from pyarrow.fs import FileSystem
    except ModuleNotFoundError as error:
        raise OptionError(
            f"{bucket} needs pyarrow", hint="run `pip install 'styletransfer[ray]'` on all machines"
        ) from error
    # Its own limit is 15 minutes, in which it cannot be interrupted.
    address = f"{bucket}?retry_limit_seconds={GCS_SECONDS}" if bucket.startswith("gs:") else bucket
    system, _ = FileSystem.from_uri(address)  # finds out the region, and reads AWS_ENDPOINT_URL
    return system
