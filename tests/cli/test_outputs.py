"""Names of outputs: planned, checked and settled before any work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from styletransfer.cli.paths import (
    apply_if_exists,
    check_distinct,
    check_outputs,
    fill_template,
    resolve_template,
)
from styletransfer.errors import ImageError, OptionError, OutputExistsError

DEFAULT = "{content}_{style}.png"
FIELDS = {"content": "cat", "style": "waves"}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (None, "cat_waves.png"),
        ("x.jpg", "x.jpg"),
        ("new/", "new/cat_waves.png"),
        ("there", "there/cat_waves.png"),
        ("od{d", "od{d/cat_waves.png"),
        ("{style}/", "waves/cat_waves.png"),
        ("a/{style}/{content}.webp", "a/waves/cat.webp"),
        ("{{{content}}}.png", "{cat}.png"),
    ],
)
def test_file_folder_and_template(output: str | None, expected: str) -> None:
    Path("there").mkdir()
    Path("od{d").mkdir()
    assert fill_template(resolve_template(output, DEFAULT), FIELDS) == Path(expected)


@pytest.mark.parametrize(
    "template", ["{contnet}.png", "{0}.png", "{}.png", "{content", "{content.x}", "{style:>9}"]
)
def test_unknown_fields_are_named_with_the_known_ones(template: str) -> None:
    with pytest.raises(OptionError, match=r"the fields are \{content\} \{style\}"):
        fill_template(template, FIELDS)


def test_two_results_in_one_file() -> None:
    with pytest.raises(OptionError, match=r"2 results would all be written to a\.png; name a folder"):
        check_distinct([Path("a.png"), Path("b.png"), Path("x/../a.png")], "{content}")


@pytest.mark.parametrize(
    ("template", "folder", "expected"),
    [
        ("{folder}/{content}.png", "a/b", "a/b/cat.png"),
        ("{folder}/{content}.png", "", "cat.png"),
        ("out/{folder}/{content}.png", "", "out/cat.png"),
        ("{folder}{content}.png", "", "cat.png"),
        ("{folder}/{{{content}.png", "", "{cat.png"),
    ],
)
def test_an_empty_field_takes_its_separator_along(template: str, folder: str, expected: str) -> None:
    assert fill_template(template, {"folder": folder, **FIELDS}) == Path(expected)


def test_an_input_is_never_overwritten() -> None:
    Path("link.png").symlink_to("cat.png")
    with pytest.raises(OptionError, match=r"link\.png is an input"):
        check_outputs([Path("link.png")], [Path("cat.png")])


def test_a_file_is_no_folder() -> None:
    Path("cat.png").touch()
    with pytest.raises(ImageError, match=r"cat\.png is not a folder"):
        check_outputs([Path("cat.png/deeper/out.png")], [])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written() -> None:
    Path("locked").mkdir(mode=0o500)
    with pytest.raises(ImageError, match="locked cannot be written"):
        check_outputs([Path("locked/new/out.png")], [])


OUTPUTS = [Path("a.png"), Path("b.png"), Path("b_1.png")]
THERE = {Path("b.png"), Path("b_2.png")}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("overwrite", OUTPUTS),
        ("skip", [Path("a.png"), None, Path("b_1.png")]),
        ("rename", [Path("a.png"), Path("b_3.png"), Path("b_1.png")]),
    ],
)
def test_existing_outputs(policy: str, expected: list[Path | None]) -> None:
    assert apply_if_exists(OUTPUTS, policy, THERE.__contains__) == expected  # type: ignore[arg-type]


def test_an_existing_output_is_an_error_with_a_remedy() -> None:
    with pytest.raises(OutputExistsError, match=r"b\.png exists already; overwrite with -f"):
        apply_if_exists(OUTPUTS, "error", THERE.__contains__)
    with pytest.raises(OutputExistsError, match=r"a\.png and 2 more exist"):
        apply_if_exists(OUTPUTS, "error", lambda path: True)


def test_skipping_compares_every_output_once() -> None:
    compared = 0

    class Name(type(Path())):  # type: ignore[misc]
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return bool(super().__eq__(other))

        __hash__ = type(Path()).__hash__

    outputs = [Name(f"{number}.png") for number in range(1000)]
    assert apply_if_exists(outputs, "skip", lambda path: True) == [None] * 1000
    assert compared <= 2000, "quadratic: a folder of thousands of results would take seconds"
