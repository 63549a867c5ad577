"""Checkpoints: the whole state of a run in one safetensors file, written atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import StyleTransferError
from ..model.files import read_tensors, write_tensors

FORMAT = "styletransfer-checkpoint-1"
CHECKPOINT = "checkpoint.safetensors"


def save_checkpoint(
    path: Path,
    *,
    model: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    run: dict[str, Any],
    progress: dict[str, Any],
) -> None:
    """Write everything that a run needs to go on as if it had never stopped.

    Args:
        path: The file; replaced atomically.
        model: The network in training.
        average: The running average of its weights.
        optimizer: Its state per parameter is saved, its settings follow from the recipe and the step.
        run: The recipe and the data, JSON, compared on resuming.
        progress: Counters, JSON: step, skipped steps, seconds.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
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
    model: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    run: dict[str, Any],
) -> dict[str, Any]:
    """Restore what `save_checkpoint` wrote and return its progress.

    Raises:
        WeightsError: The file is missing or corrupt.
        StyleTransferError: It is of another program or recipe; the message names the first difference.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise StyleTransferError(f"{path}: no checkpoint of this program")
    saved = json.loads(metadata["run"])
    for name, value in json.loads(json.dumps(run)).items():  # tuples as the lists that JSON makes of them
        if saved.get(name) != value:
            raise StyleTransferError(
                f"{path}: the run was started with {name} {saved.get(name)}, not {value}",
                hint="resume with the same recipe, or start anew from its weights with --init",
            )
    model.load_state_dict(select(tensors, "model"))
    average.load_state_dict(select(tensors, "average"))
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
