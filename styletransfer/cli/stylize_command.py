"""Command lines of `styletransfer stylize`: the words that make a picture of a sheet again."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Collection, Sequence
from typing import Any

from ..options import DEFAULT_MODEL, RuntimeOptions, StylizeOptions
from .paths import InputFile

# Options that change a result; the others of `RuntimeOptions` change only how fast and in how much memory.
RUNTIME_NAMES = ("device", "precision")


def compose_stylize_command(
    content: InputFile,
    styles: Sequence[InputFile],
    options: StylizeOptions,
    runtime: RuntimeOptions,
    model: str,
    told: Collection[str] = (),
) -> str:
    """Compose the command line that stylizes one picture, quoted for a POSIX shell.

    It names what differs from the defaults, so that it is short and a reader sees what was chosen.

    Args:
        content: The content, a file.
        styles: One style, or several that are blended.
        options: How the result looks.
        runtime: Where it is computed.
        model: Name of the model or path of its weights.
        told: Names of options that are given even where they have their default, and that the name of the
            result tells too: "stroke_scale" makes photo_painting_stroke-scale-2.png.
    """
    words = ["styletransfer", "stylize", *(_protect(str(each)) for each in (content, *styles))]
    for field in dataclasses.fields(StylizeOptions):
        value = getattr(options, field.name)
        if value != field.default or field.name in told:
            words += [name_option(field.name), format_value(value)]
    for field in dataclasses.fields(RuntimeOptions):
        if field.name in RUNTIME_NAMES and getattr(runtime, field.name) != field.default:
            words += [name_option(field.name), str(getattr(runtime, field.name))]
    if model != DEFAULT_MODEL:
        words += ["--model", model]
    if told:
        values = (f"{name.replace('_', '-')}-{format_value(getattr(options, name))}" for name in told)
        words += ["-o", "_".join(("{content}", "{style}", *values)) + ".png"]
    return shlex.join(words)


def name_option(field: str) -> str:
    """Return the option of a field: "--stroke-scale" of "stroke_scale"."""
    return f"--{field.replace('_', '-')}"


def format_value(value: Any) -> str:
    """Write the value of an option as a user gives it: 0.5, 2,1 or auto."""
    if isinstance(value, tuple):
        return ",".join(map(format_value, value))
    if value is None:
        return "auto"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _protect(path: str) -> str:
    """Return a path that cannot be taken for an option or for standard input."""
    return f"./{path}" if path.startswith("-") else path
