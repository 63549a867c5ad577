"""Files that appear whole or not at all, hashes of files, and safetensors, the only format of tensors."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from .errors import StyleTransferError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside a path and rename it to the path when the block succeeds.

    Nothing half-written is ever seen under the final name, even if the process is killed. A symbolic link
    keeps pointing where it did and its target is replaced. Devices and pipes such as /dev/stdout are written
    directly.

    Args:
        path: The file to write. Its folder must exist.

    Raises:
        OSError: The folder is missing or cannot be written to, or the path is a folder.
    """
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        with path.open("wb") as device:
            yield device
        return
    temporary = path.with_name(f".styletransfer-{secrets.token_hex(8)}.part")
    # tempfile would make the file private, but results get the mode that the umask gives.
    file = temporary.open("x+b")
    try:
        with file:  # Windows can neither rename nor remove an open file
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, data: bytes) -> None:
    """Write bytes to a file that appears whole or not at all, see `open_atomic`.

    Raises:
        StyleTransferError: The file cannot be written.
    """
    try:
        with open_atomic(path) as file:
            file.write(data)
    except OSError as error:
        raise StyleTransferError(f"{path}: cannot write ({error.strerror or error})") from error


class TensorFile(NamedTuple):
    """The contents of a safetensors file.

    Attributes:
        tensors: All tensors by name, on the CPU.
        metadata: The texts in the header.
        sha256: Hash of the file, in hexadecimal digits.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    sha256: str


def read_tensors(path: Path) -> TensorFile:
    """Read a safetensors file once: its tensors, its metadata and its hash.

    Raises:
        WeightsError: The file is missing, truncated or of another format.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except OSError as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error})") from error
    return parse_tensors(data, path)


def parse_tensors(data: bytes, path: Path) -> TensorFile:
    """Parse the bytes of a safetensors file.

    Args:
        data: The whole file.
        path: Where it was read, for the message.

    Raises:
        WeightsError: The file is truncated or of another format.
    """
    import safetensors
    import safetensors.torch

    try:
        tensors = safetensors.torch.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (ValueError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error})") from error
    metadata = header.pop("__metadata__", {})
    in_order = {name: tensors[name] for name in header}  # as the file lists them
    return TensorFile(in_order, metadata, hashlib.sha256(data).hexdigest())


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file that appears whole or not at all.

    Args:
        path: The file.
        tensors: The tensors by name, on the CPU.
        metadata: Texts for the header.

    Raises:
        StyleTransferError: The file cannot be written.
    """
    import safetensors.torch

    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_atomically(path, safetensors.torch.save(contiguous, dict(metadata)))


def compute_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits.

    Raises:
        WeightsError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error
