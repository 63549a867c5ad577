"""Convolutions of any network that a user can name: our models, weights files, torchvision's models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import OptionError
from .configuration import find_weights_folder
from .report import Report

if TYPE_CHECKING:
    from torch import nn

    Convolution = nn.Conv2d | nn.ConvTranspose2d

Padding = Literal["zeros", "reflect", "replicate", "circular"]


def read_convolutions(report: Report, network: str, padding: Padding) -> dict[str, Convolution]:
    """Find the convolutions of a network, in the order in which it holds them.

    Args:
        report: Is told what had to be assumed.
        network: A model's name, a .safetensors file, or the name of a torchvision model.
        padding: Assumed where a file holds nothing but weights.

    Raises:
        WeightsError: The file or the weights are missing or damaged.
        OptionError: No network goes by this name, or it holds no convolution.
    """
    from ..model import available_models, load_model
    from ..model.zoo import load_torchvision

    if network in {entry.name for entry in available_models()}:
        layers = _find_convolutions(load_model(network, weights_folder=find_weights_folder()))
    elif network.endswith(".safetensors"):
        layers = _read_file(report, Path(network), padding)
    else:
        layers = _find_convolutions(load_torchvision(network))
        report.note(f"{network} of torchvision with its default weights")
    if not layers:
        raise OptionError(f"{network}: holds no two-dimensional convolution")
    return layers


def _find_convolutions(model: nn.Module) -> dict[str, Convolution]:
    from torch import nn

    convolutions = nn.Conv2d | nn.ConvTranspose2d
    return {name: module for name, module in model.named_modules() if isinstance(module, convolutions)}


def _read_file(report: Report, path: Path, padding: Padding) -> dict[str, Convolution]:
    """Read a file as the model of this program that it is, or as loose weights."""
    from ..model import load_model
    from ..files import read_tensors
    from ..spectrum import build_convolution

    tensors, metadata = read_tensors(path)
    if "architecture" in metadata:
        return _find_convolutions(load_model(path))
    layers: dict[str, Convolution] = {
        name.removesuffix(".weight"): build_convolution(weight, padding)
        for name, weight in tensors.items()
        if weight.ndim == 4 and weight.is_floating_point()
    }
    report.note(f"{path}: weights only; assuming stride 1 and {padding} padding of half a kernel")
    return layers
