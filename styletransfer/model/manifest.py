"""The models that come with the program: what they are, where they lie, whether they are intact."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import platformdirs

from ..errors import WeightsError
from .files import compute_sha256

PACKAGE = Path(__file__).parents[1]
MANIFEST = Path(__file__).with_name("manifest.json")


@dataclass(frozen=True)
class ModelEntry:
    """One model of the manifest.

    Attributes:
        name: What the user types.
        file: Name of the weights file.
        sha256: Of the file.
        bytes: Size of the file.
        parameters: Numbers in the network.
        licence: Of the weights, an SPDX identifier.
        architecture: In words.
        trained_on: Data and duration in words.
        description: One line for `models list`.
    """

    name: str
    file: str
    sha256: str
    bytes: int
    parameters: int
    licence: str
    architecture: str
    trained_on: str
    description: str


@cache
def available_models() -> tuple[ModelEntry, ...]:
    """List the models of the manifest, the default one first."""
    entries = json.loads(MANIFEST.read_text(encoding="utf-8"))["models"]
    return tuple(ModelEntry(**entry) for entry in entries)


def find_entry(name: str) -> ModelEntry:
    """Look a model up by name.

    Raises:
        WeightsError: There is no such model; the message lists those there are.
    """
    for entry in available_models():
        if entry.name == name:
            return entry
    names = ", ".join(entry.name for entry in available_models())
    raise WeightsError(
        f"no model is called {name!r}", hint=f"choose {names}, or give the path of a .safetensors file"
    )


def plan_folders(weights_folder: Path | None = None) -> tuple[Path, ...]:
    """List the folders that may hold named weights, the first one to be searched first."""
    folders = [
        PACKAGE / "weights",  # an installed package
        PACKAGE.parent / "weights",  # a source checkout
        Path(platformdirs.user_cache_dir("styletransfer")) / "weights",
    ]
    return tuple(folders if weights_folder is None else [weights_folder, *folders])


def is_weights_path(model: str | Path) -> bool:
    """Tell whether a model is given as a file and not by name."""
    path = Path(model)
    return path.suffix == ".safetensors" or len(path.parts) > 1


def find_model(model: str | Path, *, weights_folder: Path | None = None) -> Path:
    """Find the weights file of a model by name or path and check those the manifest knows.

    Args:
        model: A name, or a path (anything that ends in .safetensors or has a folder).
        weights_folder: A folder to search before all others.

    Raises:
        WeightsError: The name is unknown, the file is missing, or its hash is not the manifest's.
    """
    path = Path(model)
    if is_weights_path(path):
        if not path.is_file():
            raise WeightsError(f"{path}: no such weights file", hint="see `styletransfer models list`")
        return path
    entry = find_entry(str(model))
    for folder in plan_folders(weights_folder):
        candidate = folder / entry.file
        if candidate.is_file():
            check_entry(entry, candidate)
            return candidate
    folders = plan_folders(weights_folder)
    raise WeightsError(
        f"the weights {entry.file} are missing from {folders[0]}", hint="install styletransfer again"
    )


def verify_model(name: str, *, weights_folder: Path | None = None) -> Path:
    """Check the weights of a named model against the manifest and return where they lie.

    Raises:
        WeightsError: They are missing or differ from what was released.
    """
    find_entry(name)
    return find_model(name, weights_folder=weights_folder)


def check_entry(entry: ModelEntry, path: Path) -> None:
    """Raise WeightsError unless a file is, byte for byte, the one the manifest lists."""
    found = compute_sha256(path)
    if found != entry.sha256:
        raise WeightsError(
            f"{path}: SHA-256 is {found[:12]}…, the manifest says {entry.sha256[:12]}…",
            hint="the file is damaged or was changed: install styletransfer again",
        )
