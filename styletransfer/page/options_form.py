"""The options as data, from which the page builds its controls; an option that is added appears by itself."""

from __future__ import annotations

import dataclasses
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..options import StylizeOptions

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
