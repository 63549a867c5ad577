"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replace_file(target: Path) -> Iterator[BinaryIO]:
    """Open a hidden file beside the target, which takes the target's name when the block ends well.

    Whatever goes wrong, a killed process included, nothing half-written is seen under the final name.
    A symbolic link keeps pointing where it did; devices and pipes (/dev/stdout) are written directly.

    Raises:
        OSError: The folder is missing or cannot be written to.
    """
    target = Path(os.path.realpath(target))
    if target.exists() and not target.is_file() and not target.is_dir():
        with target.open("wb") as file:
            yield file
        return
    if target.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(target))
    temporary = target.with_name(f".styletransfer-{secrets.token_hex(8)}.part")
    # Not tempfile: that makes files private, whereas results shall have the mode that umask says.
    file = temporary.open("xb")
    try:
        with file:  # Windows neither renames nor removes a file that is open
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)  # noqa: PTH105
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
