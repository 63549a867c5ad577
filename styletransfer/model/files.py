"""Safetensors files: the only format of weights and statistics; pickle is never loaded."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from ..errors import StyleTransferError, WeightsError


def compute_sha256(path: Path) -> str:
    """Hash the bytes of a file.

    Raises:
        WeightsError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read all tensors of a safetensors file and the metadata of its header.

    Raises:
        WeightsError: The file is missing, truncated or of another format.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            # Copied out of the memory map, so that the file may be replaced while the tensors live.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path}: no readable safetensors file ({error})") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file beside its final name and rename it, so that it is whole or absent.

    Raises:
        StyleTransferError: The folder cannot be written.
    """
    data = safetensors.torch.save(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, dict(metadata)
    )
    write_atomically(path, data)


def write_atomically(path: Path, data: bytes) -> None:
    """Write bytes to a temporary file in the same folder, then rename it to its name."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(0o666 & ~umask)  # mkstemp's 0600 is for secrets, not for results
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StyleTransferError(f"{path}: cannot write ({error.strerror or error})") from error
