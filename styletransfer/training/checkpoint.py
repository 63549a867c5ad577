"""Checkpoints: the whole state of a run in one safetensors file, written atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import StyleTransferError
from ..files import read_tensors, write_tensors

FORMAT = "styletransfer-checkpoint-2"
CHECKPOINT = "checkpoint.safetensors"
# What stood in place of options that are younger than a checkpoint; all others of them were off.
BEFORE = {"optimizer": "adam", "octave_decay": 1.0}


def save_checkpoint(
    path: Path,
    *,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    run: dict[str, Any],
    progress: dict[str, Any],
) -> None:
    """Write everything that a run needs to go on as if it had never stopped.

    Args:
        path: The file; replaced atomically.
        modules: The network in training, the running average of its weights, whatever else changes; by name.
        optimizer: Its state per parameter is saved, its settings follow from the recipe and the step.
        run: The recipe and the data, JSON, compared on resuming.
        progress: Counters, JSON: step, skipped steps, seconds.
    """
    tensors = {
        f"{part}.{name}": tensor
        for part, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    metadata = {
        "format": FORMAT,
        "run": json.dumps(run),
        "progress": json.dumps(progress),
    }
    write_tensors(path, {name: tensor.detach().cpu() for name, tensor in tensors.items()}, metadata)


def load_checkpoint(
    path: Path,
    *,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    run: dict[str, Any],
) -> dict[str, Any]:
    """Restore what `save_checkpoint` wrote and return its progress.

    Raises:
        WeightsError: The file is missing or corrupt.
        StyleTransferError: It is of another program or recipe; the message names the first difference.
    """
    tensors, metadata, _ = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise StyleTransferError(f"{path}: no checkpoint of this program")
    saved = json.loads(metadata["run"])
    saved = BEFORE | saved
    for name, value in json.loads(json.dumps(run)).items():  # tuples as the lists that JSON makes of them
        if saved.get(name) != value and (name in saved or value):
            raise StyleTransferError(
                f"{path}: the run was started with {name} {saved.get(name)}, not {value}",
                hint="resume with the same recipe, or start anew from its weights with --init",
            )
    for part, module in modules.items():
        module.load_state_dict(select(tensors, part))
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in select(tensors, "optimizer").items():
        index, _, field = name.partition(".")
        state.setdefault(int(index), {})[field] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    progress: dict[str, Any] = json.loads(metadata["progress"])
    return progress


def select(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors below a prefix, without it."""
    start = prefix + "."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
