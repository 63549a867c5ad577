"""Options of the command line made from the fields of an options dataclass.

Type, default, range and, where it reads well, help of `--alpha` are those of `StylizeOptions.alpha`: none of
them is typed twice.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import click

from ..errors import OptionError

Options = TypeVar("Options")
Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def field_option(
    options: type, field: str, *names: str, none: str | None = None, **attributes: Any
) -> Decorator:
    """Declare the option of one field of a dataclass.

    Args:
        options: The dataclass; a value that it refuses is a usage error of this option.
        field: Its field, from which type, default and help come.
        names: Of the option; by default the field's own with dashes.
        none: The word by which a user says None, such as "full" in `--size full`.
        attributes: Further arguments of `click.option`; a help that suits the command line better, a metavar.
    """
    kind = resolve_type(get_type_hints(options)[field])
    default = next(item.default for item in dataclasses.fields(options) if item.name == field)
    if none is not None:
        kind = allow_word_for_none(none, kind)
        default = none if default is None else default
    elif isinstance(default, tuple):
        default = ",".join(map(str, default))
    elif default is None:
        attributes.setdefault("show_default", "none")

    def check(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        try:
            options(**{field: value})
        except OptionError as error:
            raise click.BadParameter(str(error), context, parameter) from error
        return value

    attributes.setdefault("help", describe_fields(options).get(field))
    names = names or (f"--{field.replace('_', '-')}",)
    return click.option(*names, field, type=kind, default=default, callback=check, **attributes)


def field_options(options: type) -> Decorator:
    """Declare the options of all fields of a dataclass."""
    return chain(*(field_option(options, field.name) for field in dataclasses.fields(options)))


def build_options(options: type[Options], values: Mapping[str, Any]) -> Options:
    """Make a dataclass of those of a command's values that are its fields."""
    names = {field.name for field in dataclasses.fields(options)}  # type: ignore[arg-type]
    return options(**{name: value for name, value in values.items() if name in names})


def chain(*decorators: Decorator) -> Decorator:
    """Make one decorator of several; --help shows them in this order."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def describe_fields(options: type) -> dict[str, str]:
    """Read the description of every field from the `Attributes:` of a dataclass's docstring."""
    _, _, attributes = (inspect.getdoc(options) or "").partition("Attributes:\n")  # python -OO has none
    entries = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", attributes, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text) for name, text in entries}


def resolve_type(hint: Any) -> Any:
    """Turn the type of a field, None aside, into what click parses it by."""
    if get_origin(hint) in {Union, UnionType}:
        (hint,) = (member for member in get_args(hint) if member is not NoneType)
    if get_origin(hint) is Literal:
        return click.Choice(get_args(hint))
    return parse_numbers(get_args(hint)[0]) if get_origin(hint) is tuple else hint


def parse_numbers(kind: type) -> Callable[[Any], tuple[Any, ...]]:
    """Make a parser of numbers with commas between them, such as 2,1; TOML has lists for them."""

    def parse(value: Any) -> tuple[Any, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        try:
            return tuple(kind(part) for part in parts)
        except (TypeError, ValueError) as error:
            raise click.BadParameter(f"{value!r} is no list of numbers such as 2,1") from error

    parse.__name__ = "n,n,..."  # click's metavar
    return parse


def allow_word_for_none(word: str, kind: Any) -> Callable[[Any], Any]:
    """Make a parser that gives None for a word and asks another type about anything else."""
    inner = click.types.convert_type(kind)

    def parse(value: Any) -> Any:
        return None if value == word else inner.convert(value, None, None)

    parse.__name__ = f"{inner.name}|{word}"
    return parse
