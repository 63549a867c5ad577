"""Statistics of styles kept from run to run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from styletransfer.cli.paths import find_style_folder
from styletransfer.model import StyleStatistics
from styletransfer.style_measurer import StyleMeasurer

from .conftest import Run
from .pictures import write_content


@pytest.fixture(autouse=True)
def measured(
    content: Path, style: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[object, ...]]:
    """Keep the cache in a folder of the test, and count what is measured."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    calls: list[tuple[object, ...]] = []
    measure = StyleMeasurer._measure

    def count(self: StyleMeasurer, *arguments: Any) -> StyleStatistics:
        calls.append(arguments)
        return measure(self, *arguments)

    monkeypatch.setattr(StyleMeasurer, "_measure", count)
    return calls


def stylize(run: Run, *words: str) -> bytes:
    result = run("stylize", "cat.png", "waves.png", "-f", "--cache-styles", "--no-metadata", *words)
    assert result.exit_code == 0, result.stderr
    return Path("cat_waves.png").read_bytes()


def entries() -> list[Path]:
    return sorted(find_style_folder().glob("*"))


def test_a_style_is_measured_once_and_the_pixels_are_the_same(run: Run, measured: list[object]) -> None:
    first, second = stylize(run), stylize(run)
    assert first == second
    assert len(measured) == len(entries()) == 1


def test_nothing_is_kept_unasked(run: Run) -> None:
    assert run("stylize", "cat.png", "waves.png").exit_code == 0
    assert not find_style_folder().exists()


def test_whatever_changes_the_numbers_is_another_entry(run: Run, other_model: str) -> None:
    stylize(run)
    stylize(run, "--style-size", "8")
    stylize(run, "--stroke-scale", "2")
    stylize(run, "-m", other_model)
    stylize(run, "--precision", "bf16")
    write_content(Path("waves.png"), (32, 32), seed=2)
    stylize(run)
    assert len(entries()) == 6


def test_a_name_does_not_matter(run: Run, measured: list[object]) -> None:
    stylize(run)
    Path("waves.png").rename("x.png")
    run("stylize", "cat.png", "x.png", "--cache-styles")
    assert len(measured) == 1


@pytest.mark.parametrize("damage", [b"", b"no safetensors"])
def test_a_damaged_entry_is_made_again(run: Run, measured: list[object], damage: bytes) -> None:
    first = stylize(run)
    (entry,) = entries()
    entry.write_bytes(damage)
    assert stylize(run) == first
    assert len(measured) == 2
    assert stylize(run) == first
    assert len(measured) == 2


@pytest.mark.skipif(os.name != "posix", reason="a file in the place of a folder")
def test_where_nothing_can_be_written_nothing_is_kept(run: Run, measured: list[object]) -> None:
    find_style_folder().parent.parent.mkdir(parents=True)
    find_style_folder().parent.touch()
    assert stylize(run) == stylize(run)
    assert len(measured) == 2


def test_a_style_that_is_no_picture_is_the_usual_error(run: Run) -> None:
    Path("waves.png").write_bytes(b"no picture")
    result = run("stylize", "cat.png", "waves.png", "--cache-styles", "-q")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: waves.png: ")
    assert entries() == []


def test_env_names_the_folder(run: Run) -> None:
    assert json.loads(run("env", "--json").stdout)["style cache"] == f"{find_style_folder()} (does not exist)"
