"""Click options that are made from the fields of a dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner, Result

from styletransfer.cli.click_options import Decorator, build_options, dataclass_option, dataclass_options
from styletransfer.errors import OptionError
from styletransfer.options.checks import check_range, option


@dataclass(frozen=True, kw_only=True)
class Recipe:
    minutes: float = option(7.5, "Minutes of boiling in total.")
    salt: int | None = option(None, "Grams of salt.")
    herbs: tuple[int, ...] = option((2, 1), "Proportions of the herbs.")
    heat: Literal["low", "high"] | None = option(None, "Heat of the plate.")

    def __post_init__(self) -> None:
        if self.salt is not None:
            check_range("salt", self.salt, 1)


def invoke(decorator: Decorator, *words: str) -> Result:
    def cook(**values: Any) -> None:
        click.echo(repr(build_options(Recipe, values)))

    return CliRunner().invoke(click.command(decorator(cook)), words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), Recipe()),
        (("--minutes", "3", "--salt", "2"), Recipe(minutes=3.0, salt=2)),
        (("--herbs", "1,2,3", "--heat", "low"), Recipe(herbs=(1, 2, 3), heat="low")),
    ],
)
def test_values_become_the_dataclass(words: tuple[str, ...], expected: Recipe) -> None:
    assert invoke(dataclass_options(Recipe), *words).stdout == f"{expected!r}\n"


@pytest.mark.parametrize(
    "words", [("--salt", "0"), ("--herbs", "1,x"), ("--heat", "mid"), ("--minutes", "long")]
)
def test_what_the_dataclass_refuses_is_a_usage_error_of_the_option(words: tuple[str, ...]) -> None:
    result = invoke(dataclass_options(Recipe), *words)
    assert result.exit_code == 2
    assert words[0] in result.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [((), (None,)), (("--salt", "4"), (4,)), (("--salt", "4,unsalted, 2"), (4, None, 2))],
)
def test_an_option_may_have_several_values(words: tuple[str, ...], expected: tuple[int | None, ...]) -> None:
    several = dataclass_option(Recipe, "salt", none="unsalted", several="Several make a series.")

    def cook(salt: tuple[int | None, ...]) -> None:
        click.echo(repr(salt))

    command = click.command(several(cook))
    assert CliRunner().invoke(command, words).stdout == f"{expected!r}\n"
    assert "Grams of salt. Several make a series." in CliRunner().invoke(command, ["--help"]).stdout
    result = CliRunner().invoke(command, ["--salt", "4,0"])
    assert result.exit_code == 2
    assert "salt is 0" in result.stderr


def test_a_word_stands_for_none() -> None:
    salt = dataclass_option(Recipe, "salt", "-s", "--salt", none="unsalted")
    assert invoke(salt, "-s", "unsalted").stdout == f"{Recipe()!r}\n"
    assert invoke(salt, "-s", "4").stdout == f"{Recipe(salt=4)!r}\n"
    assert invoke(salt, "-s", "none").exit_code == 2


def test_help_comes_from_the_field() -> None:
    page = invoke(dataclass_options(Recipe), "--help").stdout
    assert "Minutes of boiling in total." in page
    assert "[low|high]" in page


def test_build_options_checks() -> None:
    with pytest.raises(OptionError, match="salt is 0"):
        build_options(Recipe, {"salt": 0, "unrelated": 1})
