"""The API page: its snippets run, and it mentions every public name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from styletransfer import spectrum

PAGE = Path(__file__).parents[2] / "docs" / "spectrum.md"


def test_the_snippets_run(capsys: pytest.CaptureFixture[str]) -> None:
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(snippets) > 8
    namespace: dict[str, object] = {}
    with torch.random.fork_rng():
        for snippet in snippets:
            exec(compile(snippet, str(PAGE), "exec"), namespace)
    assert "LayerLipschitz" in capsys.readouterr().out


@pytest.mark.parametrize("name", spectrum.__all__)
def test_every_public_name_is_described(name: str) -> None:
    assert hasattr(spectrum, name)
    assert name in PAGE.read_text(encoding="utf-8")
