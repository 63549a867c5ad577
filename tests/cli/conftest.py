"""Folders, pictures, a small model and two ways to run a command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import styletransfer
from styletransfer.cli import program
from styletransfer.model import Architecture, Autoencoder, save_model

from .pictures import write_content

Run = Callable[..., Result]
PACKAGE_PARENT = Path(styletransfer.__file__).parents[1]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, away from the configuration and the variables of whoever runs the tests."""
    for name in os.environ:
        if name.startswith("STYLETRANSFER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE_PARENT))  # of subprocesses, when not installed
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of untrained weights, small enough to stylize in milliseconds."""
    return save_untrained_model(tmp_path_factory.mktemp("weights") / "small.safetensors", seed=0)


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of other weights of the same architecture."""
    return save_untrained_model(tmp_path_factory.mktemp("weights") / "other.safetensors", seed=1)


@pytest.fixture
def run(model: str) -> Run:
    """Return a function that runs a command line in this process, by default with the small model."""

    def run_here(*words: str, input: bytes | None = None, **options: str) -> Result:
        takes_model = words[0] in {"stylize", "style-stats", "sheet", "texture"} and not {
            "-m",
            "--model",
        } & set(words)
        return CliRunner(catch_exceptions=False).invoke(
            program, [*words, *(["-m", model] if takes_model else [])], input=input, env=options
        )

    return run_here


@pytest.fixture
def content(folder: Path) -> Path:
    """Write one content picture of 24x16 pixels."""
    return write_content(folder / "cat.png", (24, 16))


@pytest.fixture
def style(folder: Path) -> Path:
    """Write one style picture of 32x32 pixels."""
    return write_content(folder / "waves.png", (32, 32), seed=1)


def save_untrained_model(path: Path, seed: int) -> str:
    """Save random weights of a small network."""
    torch.manual_seed(seed)
    save_model(Autoencoder(Architecture(widths=(4, 6, 8), convolutions=(1, 1, 1))), path)
    return str(path)
