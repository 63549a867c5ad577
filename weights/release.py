"""Release the model of a training run: `python weights/release.py RUN/model.safetensors NAME`.

The weights are copied into this folder and get an entry in the package's manifest. If the entry replaces
another, it keeps the texts that describe the model; edit them in `styletransfer/model/manifest.json`.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from styletransfer.files import compute_sha256
from styletransfer.model import (
    Architecture,
    CouplingArchitecture,
    ModelEntry,
    count_parameters,
    load_model,
)
from styletransfer.model.weights import MANIFEST

WEIGHTS = Path(__file__).parent


def release(source: Path, name: str) -> ModelEntry:
    """Copy a weights file into this folder and list it in the manifest.

    Args:
        source: The weights file of a run.
        name: Name of the model.

    Returns:
        The new entry of the manifest.
    """
    model = load_model(source).network
    target = WEIGHTS / f"{name}.safetensors"
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
    print(release(Path(sys.argv[1]), sys.argv[2]))
