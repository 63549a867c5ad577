"""One export of the shipped model, which all tests share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import styletransfer

PACKAGE_PARENT = Path(styletransfer.__file__).parents[1]


class Exported(NamedTuple):
    """A folder that `styletransfer export` wrote, and what it said."""

    folder: Path
    description: dict[str, Any]
    notes: str


def run_program(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with this package in a folder, away from the configuration of whoever runs the tests."""
    environment = {key: value for key, value in os.environ.items() if "STYLETRANSFER" not in key}
    paths = [str(PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment |= {"PYTHONPATH": os.pathsep.join(paths), "XDG_CONFIG_HOME": str(folder)}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="session")
def extra() -> None:
    """Skip tests where what the export needs is not installed."""
    for each in ("onnx", "onnxruntime"):
        pytest.importorskip(each, reason="needs the extra `export`")


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, extra: None) -> Exported:
    """Run the command in a process of its own, in which warnings are not hidden."""
    folder = tmp_path_factory.mktemp("export")
    words = ["-W", "always", "-m", "styletransfer", "export", "-o", "graphs", "--json", "--threads", "1"]
    done = run_program(*words, folder=folder)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return Exported(folder / "graphs", json.loads(line), done.stderr)


def open_graphs(folder: Path) -> Any:
    """Open the two graphs of an export in onnxruntime."""
    from styletransfer.export.comparison import GraphRunner

    style, content = ((folder / f"{name}.onnx").read_bytes() for name in ("style", "content"))
    return GraphRunner(style, content, threads=1)
