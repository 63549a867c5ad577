"""`env` and `completion`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest
import torch

from styletransfer import __version__
from styletransfer.cli.configured_command import find_configuration

from .conftest import Run


def test_env_tells_installations_apart(run: Run) -> None:
    facts = json.loads(run("env", "--json", STYLETRANSFER_ALPHA="0.5").stdout)
    assert facts["styletransfer"] == __version__
    assert facts["python"] == platform.python_version()
    assert facts["torch"] == torch.__version__.partition("+")[0]
    assert facts["devices"][0] == "cpu"
    assert facts["configuration"] == f"{find_configuration()} (does not exist)"
    assert facts["variables"] == ["STYLETRANSFER_ALPHA=0.5"]
    assert {"png", "jpg", "webp"} <= set(facts["writes"]) < set(facts["reads"])


def test_env_survives_what_it_is_to_find(run: Run) -> None:
    result = run("env", STYLETRANSFER_WEIGHTS="absent")
    assert result.exit_code == 0
    assert "STYLETRANSFER_WEIGHTS is absent, which is not a folder" in result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(run: Run, shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert f"_STYLETRANSFER_COMPLETE={shell}_complete" in result.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["styletransfer", "sty"], {"stylize", "style-stats"}),
        (["styletransfer", "stylize", "--preserve-color", ""], {"none", "luma", "palette"}),
        (["styletransfer", "stylize", "--style-"], {"--style-weights", "--style-size", "--style-regions"}),
        (["styletransfer", "models", "ver"], {"verify"}),
    ],
)
def test_shells_get_completions(words: list[str], expected: set[str]) -> None:
    variables = {
        "_STYLETRANSFER_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    result = subprocess.run(
        [sys.executable, "-m", "styletransfer"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {line.partition(",")[2] for line in result.stdout.splitlines()} == expected
