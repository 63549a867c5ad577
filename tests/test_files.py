"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from styletransfer.files import open_atomic


@pytest.fixture
def as_on_windows(monkeypatch: pytest.MonkeyPatch) -> list[BinaryIO]:
    """Let no file be renamed or removed while one of those in the list is open."""
    opened: list[BinaryIO] = []
    replace, unlink = os.replace, Path.unlink

    def check() -> None:
        if not all(file.closed for file in opened):
            raise PermissionError(13, "The process cannot access the file because it is being used")

    def replace_closed(source: Path, target: Path) -> None:
        check()
        replace(source, target)

    def unlink_closed(path: Path, *args: Any, **kwargs: Any) -> None:
        check()
        unlink(path, *args, **kwargs)

    monkeypatch.setattr("os.replace", replace_closed)
    monkeypatch.setattr(Path, "unlink", unlink_closed)
    return opened


def test_the_file_is_closed_before_it_takes_its_name(tmp_path: Path, as_on_windows: list[BinaryIO]) -> None:
    with open_atomic(tmp_path / "a.png") as file:
        as_on_windows.append(file)
        file.write(b"whole")
    assert (tmp_path / "a.png").read_bytes() == b"whole"


def test_the_file_is_closed_before_it_is_removed(tmp_path: Path, as_on_windows: list[BinaryIO]) -> None:
    def fail() -> None:
        with open_atomic(tmp_path / "a.png") as file:
            as_on_windows.append(file)
            raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        fail()
    assert not list(tmp_path.iterdir())
