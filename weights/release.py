"""Release the model of a training run: `python weights/release.py RUN/model.safetensors NAME`.

The weights are copied into this folder and get an entry in the package's manifest. If the entry replaces
another, it keeps the texts that describe the model; edit them in `styletransfer/model/manifest.json`. With
`--average 0.5`, the mean of the run's weights and those of the model that it replaces is released.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import torch

from styletransfer.files import compute_sha256, read_tensors, write_tensors
from styletransfer.model import (
    Architecture,
    CouplingArchitecture,
    ModelEntry,
    count_parameters,
    load_model,
)
from styletransfer.model.weights import MANIFEST

WEIGHTS = Path(__file__).parent


def release(source: Path, name: str, share: float = 1.0) -> ModelEntry:
    """Copy a weights file into this folder and list it in the manifest.

    Args:
        source: The weights file of a run.
        name: Name of the model.
        share: Share of the run in the weights. The rest, if there is one, is that of the present model, from
            which the run started. Scores of a mean can be better than the mean of the scores.

    Returns:
        The new entry of the manifest.

    Source: Wortsman et al. 2022 (arXiv 2109.01903), the mean of the weights before and after fine-tuning.
    """
    model = load_model(source).network
    target = WEIGHTS / f"{name}.safetensors"
    if share < 1:
        trained, present = read_tensors(source), read_tensors(target)
        mixed = {key: torch.lerp(present.tensors[key], each, share) for key, each in trained.tensors.items()}
        write_tensors(target, mixed, trained.metadata)
    else:
        shutil.copyfile(source, target)
    listed = json.loads(MANIFEST.read_text(encoding="utf-8"))["models"] if MANIFEST.exists() else []
    texts: dict[str, str] = next((entry for entry in listed if entry["name"] == name), {})
    entry = ModelEntry(
        name=name,
        file=target.name,
        sha256=compute_sha256(target),
        bytes=target.stat().st_size,
        parameters=count_parameters(model),
        license=texts.get("license", "MIT"),
        architecture=describe(model.architecture),
        trained_on=texts.get("trained_on", ""),
        description=texts.get("description", ""),
    )
    others = [other for other in listed if other["name"] != name]
    entries = sorted([asdict(entry), *others], key=lambda one: one["name"] != "default")
    MANIFEST.write_text(json.dumps({"models": entries}, indent=2) + "\n", encoding="utf-8")
    return entry


def describe(architecture: Architecture | CouplingArchitecture) -> str:
    """Describe an architecture in one line."""
    if isinstance(architecture, CouplingArchitecture):
        pooled = sum(pool > 1 for pool in architecture.pools)
        return (
            f"{len(architecture.hidden)} invertible couplings of {architecture.channels} channels at full "
            f"size, {pooled} of them with pooled context, one bounded transport of the features"
        )
    return (
        f"encoder and decoder, widths {'/'.join(map(str, architecture.widths))}, "
        f"{sum(architecture.convolutions)} + {sum(architecture.decoder_depths)} convolutions, a transfer at "
        f"each of {len(architecture.widths)} scales and of the picture's colors, patches matched at "
        f"{sum(strength > 0 for strength in architecture.match_strengths)} scales"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="Weights file of a run.")
    parser.add_argument("name", help="Name of the model.")
    parser.add_argument("--average", type=float, default=1.0, metavar="SHARE", help="Share of the run.")
    arguments = parser.parse_args()
    print(release(arguments.source, arguments.name, arguments.average))
