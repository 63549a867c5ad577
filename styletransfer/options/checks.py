"""Declarations and checks that the dataclasses of options share."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import field
from numbers import Integral, Real
from typing import Any, get_args

from ..errors import OptionError


def option(default: Any, help: str) -> Any:
    """Declare an option as a dataclass field with its help text, which every interface shows."""
    return field(default=default, metadata={"help": help})


def check_choice(name: str, value: object, choices: object) -> None:
    """Raise OptionError unless a value is a member of a Literal type."""
    allowed = get_args(choices)
    if not isinstance(value, str) or value not in allowed:
        raise OptionError(f"{name} is {value!r}", hint=f"choose one of {', '.join(map(str, allowed))}")


def check_range(
    name: str, value: float, low: float, high: float = math.inf, *, open_low: bool = False
) -> None:
    """Raise OptionError unless low <= value <= high (low < value if `open_low`); NaN never passes."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise OptionError(f"{name} is {value!r}", hint="give a number")
    inside = (low < value if open_low else low <= value) and value <= high
    if not inside:
        bound = f"{'above' if open_low else 'at least'} {low}" + (
            "" if high == math.inf else f" and at most {high}"
        )
        raise OptionError(f"{name} is {value}", hint=f"it must be {bound}")


def check_integer(name: str, value: int, low: int, high: float = math.inf) -> None:
    """Raise OptionError unless a value is a whole number with low <= value <= high."""
    check_range(name, value, low, high)
    if not isinstance(value, Integral):
        raise OptionError(f"{name} is {value}", hint="give a whole number")


def check_boolean(name: str, value: object) -> None:
    """Raise OptionError unless a value is True or False."""
    if not isinstance(value, bool):
        raise OptionError(f"{name} is {value!r}", hint="choose True or False")


def check_kind(name: str, value: object, kinds: tuple[type, ...], hint: str) -> None:
    """Raise OptionError unless a value is an instance of one of some classes."""
    if not isinstance(value, kinds):
        raise OptionError(f"{name} is {value!r}", hint=hint)


def as_numbers(values: Any) -> Any:
    """Convert a sequence, an array or a tensor of numbers to a tuple; anything else stays as it is."""
    try:  # the numbers of NumPy's and torch's arrays become Python's
        numbers = tuple(each.item() if hasattr(each, "item") else each for each in values)
    except (TypeError, ValueError, RuntimeError):  # no sequence, or one of more than numbers
        return values
    return values if isinstance(values, str) else numbers


def check_numbers(name: str, numbers: object, low: float, high: float, *, hint: str) -> None:
    """Raise OptionError unless a value is a sequence of numbers with low <= number <= high."""
    if isinstance(numbers, str) or not isinstance(numbers, Sequence) or not numbers:
        raise OptionError(f"{name} is {numbers!r}", hint=hint)
    for number in numbers:
        check_range(f"a number of {name}", number, low, high)


def check_style_weights(weights: Sequence[float]) -> None:
    """Raise OptionError unless weights are non-negative numbers that are not all zero."""
    if isinstance(weights, str) or not isinstance(weights, Sequence):
        raise OptionError(f"style_weights is {weights!r}", hint="give one number per style, such as (2, 1)")
    for weight in weights:
        check_range("a style weight", weight, 0, 1e9)
    if not sum(weights) > 0:
        raise OptionError("all style weights are zero", hint="give at least one weight above 0")


def parse_bytes(text: str) -> int:
    """Read an amount of memory such as 700M, 2G or 1.5GB; units are powers of 1024.

    Raises:
        OptionError: The text is not an amount of memory, or it is less than 1M.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    amount = float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " ") if match else 0
    if amount < 2**20:
        raise OptionError(f"{text!r} is not an amount of memory", hint="write 700M or 2G")
    return int(amount)
