"""The options as JSON, from which the page builds its controls; an option that is added appears by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..options import StylizeOptions, change_options

KINDS: dict[object, str] = {bool: "boolean", int: "integer", float: "number"}


def describe_options() -> list[dict[str, Any]]:
    """Describe the fields of `StylizeOptions`.

    Returns:
        One object per field: its name, its kind ("number" in 0..1, "integer", "boolean", "choice" or
        "numbers"), whether it may be null, its choices, its default and its help text.
    """
    hints = get_type_hints(StylizeOptions)
    described = []
    for field in dataclasses.fields(StylizeOptions):
        hint = hints[field.name]
        members = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
        (inner,) = (member for member in members if member is not NoneType)
        is_choice = get_origin(inner) is Literal
        described.append(
            {
                "name": field.name,
                "kind": "choice" if is_choice else KINDS.get(inner, "numbers"),
                "optional": NoneType in members,
                "choices": list(get_args(inner)) if is_choice else [],
                "default": field.default,
                "help": field.metadata["help"],
            }
        )
    return described


def read_options(given: Mapping[str, Any]) -> StylizeOptions:
    """Return the options that a client gave; others have their defaults.

    JavaScript writes 1 for 1.0. Recorded settings and the keys of what is remembered must not depend on that.

    Raises:
        OptionError: There is no such option, or a value is out of its range.
    """
    kinds = {option["name"]: option["kind"] for option in describe_options()}
    read = {}
    for name, value in given.items():
        if kinds.get(name) == "number":
            value = _to_float(value)
        elif kinds.get(name) == "numbers" and isinstance(value, list):
            value = tuple(map(_to_float, value))
        read[name] = value
    return change_options(StylizeOptions(), read)


def _to_float(value: Any) -> Any:
    is_small = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
    return float(value) if is_small else value
