"""Options of the command line, made from the options dataclasses, and those that several commands share.

Type, default, range and help of `--alpha` come from `StylizeOptions.alpha`; none of them is written twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import click

from ..errors import OptionError
from ..options import (
    DEFAULT_MODEL,
    OutputOptions,
    ProcessOptions,
    RuntimeOptions,
    ShardOptions,
    StylizeOptions,
)

Options = TypeVar("Options")
Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def dataclass_option(
    options: type,
    field: str,
    *names: str,
    none: str | None = None,
    several: str | None = None,
    **attributes: Any,
) -> Decorator:
    """Declare the click option of one field of a dataclass.

    Args:
        options: The dataclass. A value that it refuses is a usage error of this option.
        field: Name of the field, from which type, default and help are taken.
        names: Names of the option; by default the field's name with dashes.
        none: Word by which a user says None, such as "full" in `--size full`.
        several: Sentence that says what several values do, if a user may give a list such as 0.5,1. The
            command then receives a tuple, also for one value.
        attributes: Further arguments of `click.option`, such as a metavar.
    """
    declared = next(item for item in dataclasses.fields(options) if item.name == field)
    kind = resolve_type(get_type_hints(options)[field])
    default = declared.default
    if none is not None:
        kind = accept_none(none, kind)
        default = none if default is None else default
    elif isinstance(default, tuple):
        default = ",".join(map(str, default))
    elif default is None:
        attributes.setdefault("show_default", "none")
    help_text = declared.metadata["help"]
    if several is not None:
        kind = split_values(kind)
        help_text = f"{help_text} {several}"

    def check(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        try:
            for each in (value,) if several is None else value:
                options(**{field: each})
        except OptionError as error:
            raise click.BadParameter(str(error), context, parameter) from error
        return value

    attributes.setdefault("help", help_text)
    names = names or (f"--{field.replace('_', '-')}",)
    return click.option(*names, field, type=kind, default=default, callback=check, **attributes)


def dataclass_options(options: type) -> Decorator:
    """Declare the click options of all fields of a dataclass."""
    return combine(*(dataclass_option(options, field.name) for field in dataclasses.fields(options)))


def build_options(options: type[Options], values: Mapping[str, Any]) -> Options:
    """Build a dataclass from those of a command's values that are its fields."""
    names = {field.name for field in dataclasses.fields(options)}  # type: ignore[arg-type]
    return options(**{name: value for name, value in values.items() if name in names})


def combine(*decorators: Decorator) -> Decorator:
    """Combine decorators into one; --help shows their options in this order."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def resolve_type(hint: Any) -> Any:
    """Return the click type for the type hint of a field; None in a union is ignored."""
    if get_origin(hint) in {Union, UnionType}:
        (hint,) = (member for member in get_args(hint) if member is not NoneType)
    if get_origin(hint) is Literal:
        return click.Choice(get_args(hint))
    return parse_numbers(get_args(hint)[0]) if get_origin(hint) is tuple else hint


def parse_numbers(kind: type) -> Callable[[Any], tuple[Any, ...]]:
    """Return a parser of numbers separated by commas, such as 2,1."""

    def parse(value: str) -> tuple[Any, ...]:
        try:
            return tuple(kind(part) for part in value.split(","))
        except ValueError as error:
            raise click.BadParameter(f"{value!r} is not a list of numbers such as 2,1") from error

    parse.__name__ = "n,n,..."  # click's metavar
    return parse


def split_values(kind: Any) -> Callable[[Any], tuple[Any, ...]]:
    """Return a parser of one value of a type, or of several separated by commas."""
    inner = click.types.convert_type(kind)

    def parse(value: Any) -> tuple[Any, ...]:
        parts = value.split(",") if isinstance(value, str) else [value]  # a default is no text
        return tuple(inner.convert(part, None, None) for part in parts)

    parse.__name__ = f"{inner.name},..."
    return parse


def accept_none(word: str, kind: Any) -> Callable[[Any], Any]:
    """Return a parser that converts a word to None and anything else by another type."""
    inner = click.types.convert_type(kind)

    def parse(value: Any) -> Any:
        if value == word:
            return None
        try:
            return inner.convert(value, None, None)
        except click.BadParameter as error:
            raise click.BadParameter(f"{error.message.rstrip('.')}, and not {word!r}") from error

    parse.__name__ = f"{inner.name}|{word}"
    return parse


model_option = click.option(
    "-m",
    "--model",
    default=DEFAULT_MODEL,
    metavar="NAME|PATH",
    help="Name of a model (see `styletransfer models list`) or path of a .safetensors file.",
)
device_option = dataclass_option(RuntimeOptions, "device", metavar="auto|cpu|cuda[:N]|mps")
threads_option = dataclass_option(ProcessOptions, "threads", none="auto", metavar="N|auto")
runtime_options = combine(
    device_option,
    dataclass_option(RuntimeOptions, "precision"),
    threads_option,
    dataclass_option(RuntimeOptions, "tile", none="auto", metavar="auto|N|0"),
    dataclass_option(RuntimeOptions, "max_memory", none="auto", metavar="2G|auto"),
)
style_size_option = dataclass_option(StylizeOptions, "style_size", none="auto", metavar="N|auto")
stroke_scale_option = dataclass_option(StylizeOptions, "stroke_scale", none="auto", metavar="K|auto")
vgg_option = click.option(
    "--vgg",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    show_default="the one that ships with the program",
    help="VGG-19 as a .safetensors file with at least relu3_1. Scores by different networks do not compare.",
)
vgg16_option = click.option(
    "--vgg16",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    show_default="none, without the deep layers",
    help="VGG-16 as a .safetensors file, whose deep layers judge large strokes too.",
)
cache_styles_option = click.option(
    "--cache-styles",
    is_flag=True,
    help="Keep the statistics of styles in the folder that `styletransfer env` names, and reuse them.",
)
if_exists_options = combine(
    dataclass_option(
        OutputOptions,
        "if_exists",
        show_default="error for one result; skip for several, so that a stopped run resumes",
    ),
    click.option("-f", "--force", is_flag=True, help="Short for --if-exists overwrite."),
)
shard_option = dataclass_option(ShardOptions, "shard", metavar="I/N", show_default="all of it")
json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON object per line.")
