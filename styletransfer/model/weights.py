"""Save and load networks, each with the provenance that makes it worth trusting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from ..errors import WeightsError
from .architecture import Architecture
from .autoencoder import Autoencoder
from .files import compute_sha256, read_tensors, write_tensors
from .manifest import find_model

FORMAT = "styletransfer-autoencoder-1"


def save_model(model: Autoencoder, path: Path, provenance: Mapping[str, object] | None = None) -> None:
    """Write a network as safetensors, with its architecture and origin in the header.

    Args:
        model: Any autoencoder of this program.
        path: Ends in .safetensors by convention.
        provenance: What it was trained on, how long, by which options; must be JSON.
    """
    metadata = {"format": FORMAT, "architecture": model.architecture.to_json()}
    if provenance:
        metadata["provenance"] = json.dumps(provenance)
    write_tensors(path, model.state_dict(), metadata)


def load_model(model: str | Path = "default", *, weights_folder: Path | None = None) -> Autoencoder:
    """Load a network in evaluation mode, on the CPU, in float32.

    Args:
        model: A name of `available_models()` or the path of a weights file.
        weights_folder: A folder to search for named weights before all others.

    Raises:
        WeightsError: Unknown name; missing or corrupt file; a file that is not what the manifest lists.
    """
    path = find_model(model, weights_folder=weights_folder)
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT or "architecture" not in metadata:
        raise WeightsError(f"{path}: holds no model of this program", hint="see `styletransfer models list`")
    network = Autoencoder(Architecture.from_json(metadata["architecture"]))
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{path}: its tensors do not fit its architecture") from error
    return network.eval().requires_grad_(False)


def describe_weights(path: str | Path) -> dict[str, object]:
    """Read from the header of a weights file what it is and how it was trained.

    Raises:
        WeightsError: The file is missing, corrupt or no model of this program.
    """
    model = load_model(path)
    _, metadata = read_tensors(Path(path))
    return {
        "file": str(path),
        "sha256": compute_sha256(Path(path)),
        "parameters": count_parameters(model),
        "architecture": json.loads(metadata["architecture"]),
        **json.loads(metadata.get("provenance", "{}")),
    }


def fingerprint_model(model: str | Path = "default", *, weights_folder: Path | None = None) -> str:
    """Return the SHA-256 of a model's weights file: the identity that style statistics carry."""
    return compute_sha256(find_model(model, weights_folder=weights_folder))


def count_parameters(module: nn.Module) -> int:
    """Count the trainable numbers of a network."""
    return sum(parameter.numel() for parameter in module.parameters())
