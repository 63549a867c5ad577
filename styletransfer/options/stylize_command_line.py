"""Command lines of `styletransfer stylize`: the words that make a picture of a sheet or of the page again."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Collection, Sequence
from typing import Any

from .runtime_and_output import DEFAULT_MODEL, OutputOptions, RuntimeOptions
from .stylizing import StylizeOptions

# Options that change a result; the others change only how fast it is made, in how much memory, and whether.
RUNTIME_NAMES = ("device", "precision")
OUTPUT_NAMES = ("bit_depth", "quality")


def compose_stylize_command(
    content: str,
    styles: Sequence[str],
    options: StylizeOptions,
    runtime: RuntimeOptions,
    model: str,
    *,
    masks: Sequence[str] = (),
    output: OutputOptions | None = None,
    told: Collection[str] = (),
) -> str:
    """Compose the command line that stylizes one picture, quoted for a POSIX shell.

    It names what differs from the defaults, so that it is short and a reader sees what was chosen.

    Args:
        content: Path of the content.
        styles: Paths of one style, or of several that are blended.
        options: How the result looks.
        runtime: Where it is computed.
        model: Name of the model or path of its weights.
        masks: Paths of masks, or "alpha".
        output: How the result is written; None for the defaults.
        told: Names of options that are given even where they have their default, and that the name of the
            result tells too: "stroke_scale" makes photo_painting_stroke-scale-2.png.
    """
    words = ["styletransfer", "stylize", *(_protect(each) for each in (content, *styles))]
    for mask in masks:
        words += ["--mask", mask]
    for field in dataclasses.fields(StylizeOptions):
        value = getattr(options, field.name)
        if value != field.default or field.name in told:
            words.append(name_option(field.name))
            words += [] if value is True else [format_value(value)]
    for names, group in ((RUNTIME_NAMES, runtime), (OUTPUT_NAMES, output or OutputOptions())):
        for each in dataclasses.fields(group):
            if each.name in names and getattr(group, each.name) != each.default:
                words += [name_option(each.name), str(getattr(group, each.name))]
    if model != DEFAULT_MODEL:
        words += ["--model", model]
    if told:
        values = (f"{name.replace('_', '-')}-{format_value(getattr(options, name))}" for name in told)
        words += ["-o", "_".join(("{content}", "{style}", *values)) + ".png"]
    elif output is not None and output.output is not None:
        words += ["-o", _protect(output.output)]
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
