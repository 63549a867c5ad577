"""Find, check, load and save networks: the shipped models by name, weights files by path."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

from torch import nn

from ..errors import OptionError, WeightsError
from ..files import compute_sha256, read_tensors, write_tensors
from .autoencoder import Architecture, Autoencoder
from .coupling_network import CouplingArchitecture, CouplingNetwork

Network: TypeAlias = Autoencoder | CouplingNetwork
FORMATS = {Autoencoder: "styletransfer-autoencoder-1", CouplingNetwork: "styletransfer-coupling-1"}
MANIFEST = Path(__file__).with_name("manifest.json")
PACKAGE = Path(__file__).parents[1]
# Folders that hold the weights of the shipped models: in an installed package, in a source checkout.
WEIGHTS_FOLDERS = (PACKAGE / "weights", PACKAGE.parent / "weights")


@dataclass(frozen=True)
class ModelEntry:
    """One shipped model, as the manifest lists it.

    Attributes:
        name: Name that the user types.
        file: Name of the weights file.
        sha256: Hash of the weights file.
        bytes: Size of the weights file.
        parameters: Number of trainable parameters.
        license: SPDX identifier of the license of the weights.
        architecture: Description of the architecture.
        trained_on: Description of the training data and the training time.
        description: One line for `models list`.
    """

    name: str
    file: str
    sha256: str
    bytes: int
    parameters: int
    license: str
    architecture: str
    trained_on: str
    description: str


class LoadedModel(NamedTuple):
    """A network with the identity of its weights.

    Attributes:
        network: The network in evaluation mode, on the CPU, in float32.
        fingerprint: SHA-256 of the weights file. Style statistics carry it, because other weights cannot
            use them.
        provenance: What the file records of its training.
    """

    network: Network
    fingerprint: str
    provenance: dict[str, Any]


@cache
def available_models() -> tuple[ModelEntry, ...]:
    """List the shipped models, the default one first."""
    entries = json.loads(MANIFEST.read_text(encoding="utf-8"))["models"]
    return tuple(ModelEntry(**entry) for entry in entries)


def find_entry(name: str) -> ModelEntry:
    """Return the manifest's entry of a model.

    Raises:
        WeightsError: There is no model of this name; the message lists the names.
    """
    for entry in available_models():
        if entry.name == name:
            return entry
    names = ", ".join(entry.name for entry in available_models())
    raise WeightsError(
        f"no model is called {name!r}", hint=f"choose {names}, or give the path of a .safetensors file"
    )


def is_weights_path(model: str | Path) -> bool:
    """Tell whether a model is given by the path of its weights and not by its name."""
    path = Path(model)
    return path.suffix == ".safetensors" or len(path.parts) > 1


def find_weights(model: str | Path, *, weights_folder: Path | None = None) -> Path:
    """Find the weights file of a model; its content is not checked.

    Args:
        model: A name of `available_models()`, or a path (anything that ends in .safetensors or has a folder).
        weights_folder: A folder to search before the package's own.

    Raises:
        WeightsError: The name is unknown or the file is missing.
    """
    if is_weights_path(model):
        if not Path(model).is_file():
            raise WeightsError(f"{model}: no such weights file", hint="see `styletransfer models list`")
        return Path(model)
    entry = find_entry(str(model))
    folders = WEIGHTS_FOLDERS if weights_folder is None else (weights_folder, *WEIGHTS_FOLDERS)
    for folder in folders:
        if (folder / entry.file).is_file():
            return folder / entry.file
    raise WeightsError(
        f"the weights {entry.file} are missing from {folders[0]}", hint="install styletransfer again"
    )


def verify_model(model: str | Path, *, weights_folder: Path | None = None) -> Path:
    """Find the weights of a model and compare those of a shipped one with the manifest.

    Args:
        model: A name of `available_models()` or the path of a weights file.
        weights_folder: A folder to search before the package's own.

    Returns:
        The path of the weights file.

    Raises:
        WeightsError: The file is missing or is not, byte for byte, the one that was released.
    """
    path = find_weights(model, weights_folder=weights_folder)
    if not is_weights_path(model):
        _check_hash(find_entry(str(model)), path, compute_sha256(path))
    return path


def load_model(model: str | Path = "default", *, weights_folder: Path | None = None) -> LoadedModel:
    """Load a network together with its fingerprint; the file is read once.

    Args:
        model: A name of `available_models()` or the path of a weights file.
        weights_folder: A folder to search before the package's own.

    Raises:
        WeightsError: The name is unknown; the file is missing, corrupt or not the one that was released.
    """
    path = find_weights(model, weights_folder=weights_folder)
    tensors, metadata, fingerprint = read_tensors(path)
    if not is_weights_path(model):
        _check_hash(find_entry(str(model)), path, fingerprint)
    network: Network
    match metadata.get("format"), metadata.get("architecture"):
        case "styletransfer-autoencoder-1", str(architecture):
            network = Autoencoder(Architecture.from_json(architecture))
        case "styletransfer-coupling-1", str(architecture):
            network = CouplingNetwork(CouplingArchitecture.from_json(architecture))
        case _:
            raise WeightsError(f"{path}: not a model of this program", hint="see `styletransfer models list`")
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{path}: its tensors do not fit its architecture") from error
    provenance = json.loads(metadata.get("provenance", "{}"))
    return LoadedModel(network.eval().requires_grad_(False), fingerprint, provenance)


def load_autoencoder(model: str | Path = "default", *, weights_folder: Path | None = None) -> Autoencoder:
    """Load a network that must be an autoencoder. Arguments and errors are those of `load_model`.

    Raises:
        WeightsError: The model has another architecture.
    """
    network = load_model(model, weights_folder=weights_folder).network
    if not isinstance(network, Autoencoder):
        raise WeightsError(f"the model {model} is no autoencoder", hint="name another one")
    return network


def save_model(model: Network, path: Path, provenance: Mapping[str, object] | None = None) -> None:
    """Write a network as safetensors, with its architecture and provenance in the header.

    Args:
        model: The network to save.
        path: The file, which ends in .safetensors by convention.
        provenance: Training data, time and options; must be JSON.
    """
    metadata = {"format": FORMATS[type(model)], "architecture": model.architecture.to_json()}
    if provenance:
        metadata["provenance"] = json.dumps(provenance)
    write_tensors(path, model.state_dict(), metadata)


def describe_weights(path: str | Path) -> dict[str, object]:
    """Return what a weights file holds and how it was trained.

    Raises:
        WeightsError: The file is missing, corrupt or not a model of this program.
    """
    network, fingerprint, provenance = load_model(path)
    return {
        "file": str(path),
        "sha256": fingerprint,
        "parameters": count_parameters(network),
        "architecture": json.loads(network.architecture.to_json()),
        **provenance,
    }


def count_parameters(module: nn.Module) -> int:
    """Return the number of trainable parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def load_torchvision_model(name: str) -> nn.Module:
    """Load a network of torchvision with its default weights, which are downloaded unless they are cached.

    Raises:
        OptionError: torchvision cannot be imported, or has no network of this name.
        WeightsError: The weights cannot be downloaded.
    """
    try:
        from torchvision import models  # imported here only, because it doubles the time to start
    except ImportError as error:
        raise OptionError(f"torchvision cannot be imported ({error})") from error
    if name not in models.list_models():
        raise OptionError(
            f"{name} is not a model of this program or of torchvision", hint="or give a .safetensors file"
        )
    try:
        with redirect_stdout(sys.stderr):  # torch.hub writes there that it downloads
            return cast(nn.Module, models.get_model(name, weights="DEFAULT").eval())
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"the weights of {name} cannot be downloaded ({reason})", hint="connect once to download them"
        ) from error


def _check_hash(entry: ModelEntry, path: Path, found: str) -> None:
    if found != entry.sha256:
        raise WeightsError(
            f"{path}: SHA-256 is {found[:12]}…, the manifest says {entry.sha256[:12]}…",
            hint="the file is damaged or was changed: install styletransfer again",
        )
