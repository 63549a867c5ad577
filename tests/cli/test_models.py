"""`models`, and what a run says of weights that are missing or were changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from styletransfer.files import compute_sha256
from styletransfer.model import (
    Architecture,
    Autoencoder,
    available_models,
    count_parameters,
    save_model,
    verify_model,
)

from .conftest import Run
from .pictures import read_size

DEFAULT = available_models()[0]


@pytest.fixture
def tampered(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put weights with one other bit where the program searches first."""
    path = Path("weights", DEFAULT.file)
    path.parent.mkdir()
    data = bytearray(verify_model(DEFAULT.name).read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    monkeypatch.setenv("STYLETRANSFER_WEIGHTS", "weights")
    return path


def test_list(run: Run) -> None:
    lines = run("models", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [entry.name for entry in available_models()]
    records = [json.loads(line) for line in run("models", "list", "--json").stdout.splitlines()]
    assert records[0]["sha256"] == DEFAULT.sha256


def test_info(run: Run) -> None:
    page = run("models", "info").stdout
    for text in (
        DEFAULT.license,
        DEFAULT.sha256,
        DEFAULT.trained_on,
        DEFAULT.description,
        str(DEFAULT.bytes),
    ):
        assert text in page
    assert json.loads(run("models", "info", DEFAULT.name, "--json").stdout)["license"] == DEFAULT.license


def test_path(run: Run) -> None:
    path = Path(run("models", "path").stdout.strip())
    assert compute_sha256(path) == DEFAULT.sha256


def test_verify(run: Run) -> None:
    result = run("models", "verify")
    assert result.exit_code == 0
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [
        entry.name for entry in available_models()
    ]


@pytest.mark.parametrize("words", [["info", "absent"], ["path", "absent"], ["verify", "absent"]])
def test_unknown_names_list_the_known(run: Run, words: list[str]) -> None:
    result = run("models", *words)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"error: no model is called 'absent'; choose {DEFAULT.name}")


def test_the_shipped_model_stylizes(run: Run, content: Path, style: Path) -> None:
    assert run("stylize", "cat.png", "waves.png", "-m", DEFAULT.name).exit_code == 0
    assert read_size("cat_waves.png") == (24, 16)


def test_weights_are_searched_first_where_the_variable_says(run: Run, tampered: Path) -> None:
    shutil.copy(verify_model(DEFAULT.name), tampered)
    assert Path(run("models", "path").stdout.strip()) == tampered


def test_tampered_weights_are_never_used(run: Run, tampered: Path, content: Path, style: Path) -> None:
    for words in (
        ["models", "verify", DEFAULT.name],
        ["models", "path"],
        ["stylize", "cat.png", "waves.png", "-m", DEFAULT.name],
    ):
        result = run(*words)
        assert result.exit_code == 3
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"error: {tampered}: SHA-256 is ")
    assert not Path("cat_waves.png").exists()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (None, "no such weights file"),
        (b"", "not a readable safetensors"),
        (b"PK\x03\x04 pickled", "not a readable safetensors"),
    ],
)
def test_a_weights_file_that_is_none(
    run: Run, content: Path, style: Path, data: bytes | None, problem: str
) -> None:
    if data is not None:
        Path("mine.safetensors").write_bytes(data)
    result = run("stylize", "cat.png", "waves.png", "-m", "mine.safetensors")
    assert result.exit_code == 3
    assert problem in result.stderr


def test_a_weights_folder_that_is_none(run: Run, content: Path, style: Path) -> None:
    result = run("stylize", "cat.png", "waves.png", STYLETRANSFER_WEIGHTS="absent")
    assert result.exit_code == 3
    assert "STYLETRANSFER_WEIGHTS is absent" in result.stderr


def test_export_of_a_run(run: Run) -> None:
    folder = Path("runs/mine")
    folder.mkdir(parents=True)
    network = Autoencoder(Architecture((4, 6), (1, 1)))
    save_model(network, folder / "model.safetensors", {"step": 7, "recipe": {"crop": 128}})
    assert run("models", "export", str(folder), "-o", "mine.safetensors").stdout == "mine.safetensors\n"
    facts = json.loads(run("models", "info", "mine.safetensors", "--json").stdout)
    assert facts["step"] == 7
    assert facts["parameters"] == count_parameters(network)
    assert "crop" in run("models", "info", "mine.safetensors").stdout
    again = run("models", "export", str(folder), "-o", "mine.safetensors")
    assert again.exit_code == 1
    assert "--force" in again.stderr
    assert run("models", "export", str(folder), "-o", "mine.safetensors", "-f").exit_code == 0


def test_export_of_no_run(run: Run) -> None:
    Path("empty").mkdir()
    assert run("models", "export", "empty", "-o", "mine.safetensors").exit_code == 3
    assert not Path("mine.safetensors").exists()
