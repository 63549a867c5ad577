"""The command `export`: its files, what it says, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cli.pictures import write_content
from PIL import Image

from styletransfer import Stylizer, __version__

from .conftest import Exported, run_program

DOCUMENT = Path(__file__).parents[2] / "docs" / "export.md"
WITHOUT_EXTRA = """
import sys
sys.modules["onnx"] = sys.modules["onnxruntime"] = None
from styletransfer.cli import main
main()
"""


def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return run_program("-m", "styletransfer", "export", *words, folder=folder)


def test_the_folder_describes_itself(exported: Exported) -> None:
    names = {path.name for path in exported.folder.iterdir()}
    assert names == {"style.onnx", "content.onnx", "model.json", "README.md"}
    description = json.loads((exported.folder / "model.json").read_text())
    assert exported.description == {"output": "graphs", **description}
    assert description["version"] == __version__
    assert description["fingerprint"] == Stylizer().fingerprint
    assert description["license"] == "MIT"
    assert description["largest_difference"] < 1
    for name, digest in description["sha256"].items():
        assert hashlib.sha256((exported.folder / name).read_bytes()).hexdigest() == digest


def test_graphs_carry_what_they_are(exported: Exported) -> None:
    import onnx

    for name in ("style", "content"):
        model = onnx.load(exported.folder / f"{name}.onnx")
        found = {each.key: each.value for each in model.metadata_props}
        assert {key: exported.description[key] for key in found} == found
        assert found.keys() == {"model", "fingerprint", "license", "version", "call"}
        assert [each.version for each in model.opset_import] == [18]
        inputs = {each.name: each.type.tensor_type for each in model.graph.input}
        assert {each.elem_type for each in inputs.values()} == {onnx.TensorProto.FLOAT}


def test_only_notes_go_to_the_terminal(exported: Exported) -> None:
    lines = exported.notes.splitlines()
    assert len(lines) == 2, exported.notes
    assert lines[0].startswith("model default")
    assert re.fullmatch(r"largest difference to the program: 0\.\d+ levels of 255", lines[1])


@pytest.mark.parametrize("document", ["docs/export.md", "README.md of the folder"])
def test_examples_run_as_they_are_written(exported: Exported, document: str, tmp_path: Path) -> None:
    path = DOCUMENT if document == "docs/export.md" else exported.folder / "README.md"
    text = path.read_text(encoding="utf-8")
    if path == DOCUMENT:
        code = re.search(r"```python\n(.*?)```", text, re.S)
        assert code is not None
        program = code[1]
    else:
        program = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    ") or not line)
    for name in ("style.onnx", "content.onnx"):
        (tmp_path / name).symlink_to(exported.folder / name)
    write_content(tmp_path / "content.jpg", (61, 47))
    write_content(tmp_path / "style.jpg", (64, 64), seed=1)
    done = run_program("-W", "error", "-c", program, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    wanted = Stylizer(device="cpu").stylize(tmp_path / "content.jpg", tmp_path / "style.jpg")
    with Image.open(tmp_path / "stylized.png") as found:
        difference = np.abs(np.asarray(found, dtype=float) - np.asarray(wanted, dtype=float))
    assert np.median(difference) <= 1  # the program is in mixed precision here


def test_an_earlier_export_is_kept(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "style.onnx").write_bytes(b"mine")
    done = run("-o", "graphs", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: graphs/style.onnx exists already; overwrite it with -f\n"
    assert [path.name for path in (tmp_path / "graphs").iterdir()] == ["style.onnx"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--format", "coreml"), 2, "'coreml' is not 'onnx'"),
        (("-m", "missing.safetensors"), 3, "no such weights file"),
        (("-o", "file"), 2, "is a file"),
    ],
)
def test_wrong_arguments_are_one_line(
    extra: None, tmp_path: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    (tmp_path / "file").touch()
    done = run(*words, folder=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_the_extra_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    done = run_program("-c", WITHOUT_EXTRA, "export", folder=tmp_path)
    assert done.returncode == 2
    hint = "run `pip install 'styletransfer[export]'`"
    assert done.stderr == f"error: export needs onnx and onnxruntime; {hint}\n"
