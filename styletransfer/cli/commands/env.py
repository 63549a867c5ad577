"""`styletransfer env`: versions, devices and folders for a bug report."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata

import click

from styletransfer import __version__

from ...errors import StyleTransferError
from ..click_options import json_option
from ..configured_command import PREFIX, Command, find_configuration
from ..console import Console
from ..paths import find_style_folder, find_weights_folder

PACKAGES = ("torch", "torchvision", "pillow", "safetensors", "click")


@click.command(cls=Command)
@json_option
@click.pass_obj
def env(console: Console, as_json: bool) -> None:
    """Show versions, devices and folders for a bug report."""
    facts = collect_facts()
    if as_json:
        console.result(json.dumps(facts))
        return
    width = max(map(len, facts))
    for key, value in facts.items():
        console.result(f"{key:{width}}  {', '.join(value) if isinstance(value, list) else value}")


def collect_facts() -> dict[str, str | int | list[str]]:
    """Collect what distinguishes this installation; broken parts are described and raise no error."""
    import torch

    from ...media import readable_extensions, writable_extensions

    configuration, styles = find_configuration(), find_style_folder()
    variables = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith(PREFIX))
    return {
        "styletransfer": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: find_version(package) for package in PACKAGES},
        "devices": list_devices(),
        "threads": torch.get_num_threads(),
        "models": list_models(),
        "configuration": str(configuration) + ("" if configuration.is_file() else " (does not exist)"),
        "style cache": str(styles) + ("" if styles.is_dir() else " (does not exist)"),
        "variables": variables,
        "reads": [extension[1:] for extension in readable_extensions()],
        "writes": [extension[1:] for extension in writable_extensions()],
    }


def find_version(package: str) -> str:
    """Return the installed version of a package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def list_devices() -> list[str]:
    """List the devices that --device accepts, with their names."""
    import torch

    indices = range(torch.cuda.device_count())
    cuda = [f"cuda:{index} {torch.cuda.get_device_name(index)}" for index in indices]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *cuda, *mps]


def list_models() -> list[str]:
    """List the models with the paths of their weights, or with what is wrong with them."""
    from ...model import available_models, verify_model

    lines = []
    for entry in available_models():
        try:
            lines.append(f"{entry.name} {verify_model(entry.name, weights_folder=find_weights_folder())}")
        except StyleTransferError as error:
            lines.append(f"{entry.name}: {error}")
    return lines
