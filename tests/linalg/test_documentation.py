"""The API page: its snippets run, and it names everything that the package exports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from styletransfer import linalg

DOCUMENT = (Path(__file__).parents[2] / "docs" / "linalg.md").read_text(encoding="utf-8")
SECTIONS = re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)[1:]
SNIPPETS = {
    f"{section.splitlines()[0]} {number}": code
    for section in SECTIONS
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
}


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) >= 6


@pytest.mark.parametrize("code", SNIPPETS.values(), ids=SNIPPETS.keys())
def test_snippet_runs_and_prints_its_comments(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    exec(compile(code, "docs/linalg.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed == re.findall(r"print\(.*\)  # (.*)", code)


def test_exports_are_complete() -> None:
    public = {name for name, value in vars(linalg).items() if not name.startswith("_")}
    modules = {path.stem for path in Path(linalg.__file__).parent.glob("*.py")}
    assert set(linalg.__all__) <= public
    assert public - modules <= set(linalg.__all__)
    assert list(linalg.__all__) == sorted(linalg.__all__)


# Names of option types, which the page describes by their values.
TYPES = {"EighBackward", "TransferMethod"}


@pytest.mark.parametrize("name", sorted(set(linalg.__all__) - TYPES))
def test_page_names_every_export(name: str) -> None:
    assert re.search(rf"`{name}\b", DOCUMENT)
