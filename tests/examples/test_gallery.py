"""Example pictures: each has a free license, and together they stay small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
PICTURES = sorted(
    f"{kind}/{path.name}" for kind in ("content", "style") for path in (EXAMPLES / kind).iterdir()
)
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([^`]+)` \|(.+)\|$", re.MULTILINE)
REFERENCES = dict(re.findall(r"^\[(.+?)\]: (\S+)$", README, re.MULTILINE))
FREE = re.compile(r"public domain|CC0|CC BY 2\.0|MIT")


def test_the_license_table_lists_every_file_once_and_no_other() -> None:
    assert sorted(file for file, _ in ROW.findall(README)) == PICTURES


@pytest.mark.parametrize(("file", "cells"), ROW.findall(README))
def test_every_row_names_author_free_license_and_source(file: str, cells: str) -> None:
    _, author, license, source = (cell.strip() for cell in cells.split("|"))
    assert author
    assert FREE.search(license)
    link = re.search(r"\]\((.+?)\)|\]\[(.+?)\]", source)
    assert link
    target = link[1] or REFERENCES[link[2]]
    if not target.startswith("https://"):
        assert (EXAMPLES / target).is_file()


@pytest.mark.parametrize("file", PICTURES)
def test_the_gallery_shows_every_picture(file: str) -> None:
    assert f"]: {file}\n" in README or f"({file})" in README


@pytest.mark.parametrize("file", PICTURES)
def test_pictures_are_plain_color_jpegs_of_a_handy_size(file: str) -> None:
    with Image.open(EXAMPLES / file) as picture:
        assert picture.format == "JPEG"
        assert picture.mode == "RGB"
        assert 400 <= max(picture.size) <= 640


def test_together_the_examples_stay_under_two_megabytes() -> None:
    assert sum((EXAMPLES / file).stat().st_size for file in PICTURES) < 2_000_000
