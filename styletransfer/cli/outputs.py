"""Plan the names of output files before any work is done and any file is written."""

from __future__ import annotations

import os
import string
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from ..errors import ImageError, OptionError, OutputExistsError
from ..options import IfExists

STDOUT = "-"
_SEPARATORS = os.sep + (os.altsep or "")


def resolve_template(output: str | None, default: str) -> str:
    """Return the template of output names for the option --output.

    Args:
        output: A file, an existing folder, a path that ends in a separator (a folder to create), a template
            with fields in braces, or None.
        default: Template of the names inside a folder, and of all names for None.
    """
    if output is None:
        return default
    if Path(output).is_dir():
        return str(Path(output.replace("{", "{{").replace("}", "}}")) / default)
    return output + default if output.endswith(tuple(_SEPARATORS)) else output


def fill_template(template: str, fields: Mapping[str, str]) -> Path:
    """Fill the fields of a template.

    A separator after an empty field is dropped: "{folder}/x.png" becomes x.png and not /x.png.

    Raises:
        OptionError: The template has a field that does not exist, or an unpaired brace.
    """
    known = " ".join(f"{{{name}}}" for name in fields)
    hint = f"the fields are {known}; write {{{{ and }}}} for braces"
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise OptionError(f"output {template!r}: {error}", hint=hint) from error
    for _, name, form, conversion in parts:
        if name is not None and (name not in fields or form or conversion):
            raise OptionError(f"output {template!r} has an unknown field {{{name}}}", hint=hint)
    filled = ""
    after_empty = False
    for literal, name, _, _ in parts:
        filled += literal.lstrip(_SEPARATORS) if after_empty else literal
        value = "" if name is None else fields[name]
        after_empty = name is not None and not value
        filled += value
    return Path(filled)


def check_distinct(outputs: Sequence[Path], fields: str) -> None:
    """Check that no two results have the same name.

    Args:
        outputs: Paths of all results.
        fields: Fields of the template that tell results apart, for the hint.

    Raises:
        OptionError: Two results have the same name.
    """
    resolved = [path.resolve() for path in outputs]
    path, count = Counter(resolved).most_common(1)[0]
    if count > 1:
        output = outputs[resolved.index(path)]
        raise OptionError(
            f"{count} results would all be written to {output}",
            hint=f"{suggest_folder(output)}, or tell them apart by the fields {fields}",
        )


def suggest_folder(output: Path) -> str:
    """Say how to name a folder; a path without an extension was probably meant to be one."""
    return "name a folder" if output.suffix else f"for a folder, end its name in a slash: {output}{os.sep}"


def check_outputs(outputs: Sequence[Path], inputs: Collection[Path]) -> None:
    """Check that no result would overwrite an input and that all folders can be written.

    Raises:
        OptionError: A result has the name of an input.
        ImageError: A folder cannot be written or made.
    """
    resolved = [path.resolve() for path in outputs]
    originals = {path.resolve() for path in inputs}
    for output, path in zip(outputs, resolved, strict=True):
        if path in originals:
            raise OptionError(f"{output} is an input and would be overwritten", hint="choose another output")
    for folder in dict.fromkeys(path.parent for path in resolved):
        _check_folder(folder)


def apply_if_exists(
    outputs: Sequence[Path], policy: IfExists, exists: Callable[[Path], bool] = Path.exists
) -> list[Path | None]:
    """Apply the option --if-exists to outputs that exist already.

    Returns:
        The path to write for every output, or None for an output to skip.

    Raises:
        OutputExistsError: An output exists and the policy is "error".
    """
    present = {path: None for path in outputs if exists(path)}  # a dictionary keeps the order
    if policy == "error" and present:
        more = f" and {len(present) - 1} more" if len(present) > 1 else ""
        raise OutputExistsError(
            f"{next(iter(present))}{more} exists already", hint="overwrite with -f or see --if-exists"
        )
    if policy == "overwrite" or not present:
        return list(outputs)
    if policy == "skip":
        return [None if path in present else path for path in outputs]
    taken = set(outputs)
    renamed = [_find_free_name(path, taken, exists) if path in present else path for path in outputs]
    return list(renamed)


def check_contact_sheet(path: Path, inputs: Collection[Path], *, force: bool) -> None:
    """Find out before a long computation whether a contact sheet can be written.

    Raises:
        OptionError: Its format is unknown, or it has the name of an input.
        OutputExistsError: It exists and `force` is False.
    """
    from ..media import check_writable_format

    try:
        check_writable_format(path)
    except ImageError as error:  # still an error of an option, because nothing is written yet
        raise OptionError(error.message, hint=error.hint) from error
    check_outputs([path], inputs)
    apply_if_exists([path], "overwrite" if force else "error")


def _find_free_name(path: Path, taken: set[Path], exists: Callable[[Path], bool]) -> Path:
    """Append the first free number to a name and mark the new name as taken."""
    number = 1
    while exists(free := path.with_stem(f"{path.stem}_{number}")) or free in taken:
        number += 1
    taken.add(free)
    return free


def _check_folder(folder: Path) -> None:
    """Check that a folder, or its nearest existing parent, can be written."""
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder", hint="choose another output")
    if not os.access(folder, os.W_OK):
        raise ImageError(f"{folder} cannot be written", hint="choose another output")
