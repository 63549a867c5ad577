"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when the block ends without an exception.

    The data go to a hidden file in the same folder, which is synchronized to disk and then renamed. If
    anything fails, even if the process is killed, nothing half-written stands under the final name. A
    symbolic link keeps pointing where it did. Devices and pipes, such as /dev/stdout, are written directly.

    Args:
        path: The final name; a file of that name is replaced.

    Yields:
        The open binary file.

    Raises:
        OSError: The folder is missing or cannot be written to.
    """
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(path))
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    temporary = path.with_name(f".styletransfer-{secrets.token_hex(8)}.part")
    # The tempfile module would make the file private; a result gets the mode that umask asks for.
    file = temporary.open("xb")
    try:
        with file:  # Windows can neither rename nor remove an open file
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
