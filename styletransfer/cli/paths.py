"""Paths: input files by name, folder or pattern, the names of output files, the folders of this program."""

from __future__ import annotations

import glob
import os
import string
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

from ..cluster.remote_path import RemotePath, list_existing, parse_path
from ..errors import ImageError, OptionError, OutputExistsError, WeightsError
from ..options import IfExists
from .configured_command import PREFIX

STDIN = "-"
STDOUT = "-"
_SEPARATORS = os.sep + (os.altsep or "")
STATISTICS_SUFFIX = ".safetensors"
NAME_VARIANTS = 4  # see `InputFile.name`


@dataclass(frozen=True)
class InputFile:
    """A file to read, or standard input.

    Attributes:
        path: Path of the file; None for standard input.
        folder: Folder in which a pattern found the file, relative to the pattern's fixed part: "a/b" for
            x/a/b/c.jpg found by `x/**/*.jpg`. It is empty for anything else.
    """

    path: Path | None
    folder: str = field(default="", compare=False)

    def __str__(self) -> str:
        return STDIN if self.path is None else str(self.path)

    @property
    def label(self) -> str:
        """Name of the input in messages."""
        return "<stdin>" if self.path is None else str(self.path)

    @property
    def stem(self) -> str:
        """Name of the input in the names of outputs."""
        return self.name(0)

    def name(self, index: int) -> str:
        """Return one of four names, each longer than the last: "1", "1_jpg", "a_1", "a_1_jpg" for a/1.jpg."""
        if self.path is None:
            return "stdin"
        name = self.path.stem
        if index % 2 and self.extension:
            name = f"{name}_{self.extension}"
        return f"{self.path.parent.resolve().name}_{name}" if index >= 2 else name

    @property
    def extension(self) -> str:
        """Extension without its dot, in lower case; standard input counts as PNG."""
        return "png" if self.path is None else self.path.suffix[1:].lower()

    @property
    def relative_name(self) -> str:
        """Name of the input below the folder that it was found in, wherever that folder is mounted."""
        return STDIN if self.path is None else f"{self.folder}/{self.path.name}"

    @property
    def is_statistics(self) -> bool:
        """Whether this is a file of style statistics and not a picture."""
        return self.path is not None and self.path.suffix == STATISTICS_SUFFIX


def expand_contents(argument: str, extensions: Collection[str]) -> tuple[list[InputFile], bool]:
    """Expand the argument CONTENT.

    Args:
        argument: A file, a folder, a pattern such as `photos/**/*.jpg`, or `-` for standard input.
        extensions: Extensions of the files to take from folders and patterns, in lower case with their dot.

    Returns:
        The inputs, sorted by name, and whether the argument may stand for several.

    Raises:
        OptionError: There is no such file, or none in the folder.
    """
    if argument == STDIN:
        return [InputFile(None)], False
    inputs = _expand(argument, extensions)
    return inputs, [each.path for each in inputs] != [parse_path(argument)]


def expand_styles(arguments: Sequence[str], extensions: Collection[str]) -> list[InputFile]:
    """Expand the arguments STYLE like CONTENT; they may be files of statistics but not standard input.

    Raises:
        OptionError: There is no such file, or none in a folder.
    """
    if STDIN in arguments:
        raise OptionError("a STYLE cannot be -", hint="only CONTENT is read from standard input")
    wanted = {*extensions, STATISTICS_SUFFIX}
    return [each for argument in arguments for each in _expand(argument, wanted)]


def _expand(argument: str, extensions: Collection[str]) -> list[InputFile]:
    path = parse_path(argument)
    if path.is_dir():
        return _select(path.iterdir(), extensions) or _fail(f"{argument} holds no pictures")
    if path.exists():
        return [InputFile(path)]
    if glob.has_magic(argument):
        pattern = path.expanduser()
        found = _match(pattern)
        return _select(found, extensions, _find_fixed_part(pattern)) or _fail(
            f"no picture matches {argument}"
        )
    return _fail(f"{argument}: no such file")


def describe_unreadable(arguments: Sequence[str], remedies: Mapping[str, str]) -> list[str]:
    """Count the picture files in folders and patterns that cannot be read, one line per extension.

    Args:
        arguments: Files, folders or patterns; those that are no folders and no patterns are passed over.
        remedies: What to do about such files, by extension in lower case with its dot.
    """
    counts: Counter[str] = Counter()
    for argument in dict.fromkeys(arguments):
        path = Path(argument)
        if path.is_dir():
            found = list(path.iterdir())
        elif glob.has_magic(argument) and not path.exists():
            found = _match(path.expanduser())
        else:
            continue
        counts.update(each.path.suffix.lower() for each in _select(found, remedies) if each.path)
    return [_describe_count(extension, count, remedies[extension]) for extension, count in counts.items()]


def _describe_count(extension: str, count: int, remedy: str) -> str:
    name = extension[1:].upper()
    if count == 1:
        return f"1 {name} file cannot be read: {remedy}"
    return f"{count} {name} files cannot be read: {remedy.replace(' it ', ' them ')}"


def _match(pattern: Path) -> list[Path]:
    """List what matches a pattern. A folder that `**` reaches by several links counts once."""
    found = dict.fromkeys(_iterate_matches(pattern))
    if "**" not in pattern.parts:
        return list(found)
    unique: dict[tuple[Path, str], Path] = {}
    for path in found:
        unique.setdefault((path.parent.resolve(), path.name), path)
    return list(unique.values())


def _iterate_matches(pattern: Path) -> Iterator[Path]:
    parts = pattern.parts
    if "**" not in parts:
        yield from map(Path, glob.iglob(str(pattern)))  # noqa: PTH207  Path.glob is relative only
        return
    index = parts.index("**")
    rest = parts[index + 1 :] or ("*",)
    for start in glob.iglob(str(Path(*parts[:index]))):  # noqa: PTH207
        for folder in _walk(Path(start)):
            yield from _iterate_matches(Path(glob.escape(str(folder)), *rest))


def _walk(top: Path) -> Iterator[Path]:
    """Yield a folder and all visible folders below it, every one once, those behind links last."""
    visited: set[tuple[int, int]] = set()
    real, linked = deque([top]), deque[Path]()
    while real or linked:
        folder = real.popleft() if real else linked.popleft()
        try:
            status = folder.stat()
            entries = sorted(folder.iterdir()) if folder.is_dir() else []
        except OSError:  # it is gone, or may not be read
            continue
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        yield folder
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_dir():
                (linked if entry.is_symlink() else real).append(entry)


def _find_fixed_part(pattern: Path) -> Path:
    """Return the folder that a pattern starts from: `x` of `x/**/*.jpg`."""
    return Path(*takewhile(lambda part: not glob.has_magic(part), pattern.parts))


def _select(paths: Iterable[Path], extensions: Collection[str], root: Path | None = None) -> list[InputFile]:
    """Keep the visible files with the extensions; hidden files are temporary or belong to the system."""
    kept = sorted(
        path
        for path in paths
        if path.suffix.lower() in extensions and not path.name.startswith(".") and path.is_file()
    )
    return [InputFile(path, _name_folder(path.parent, root or path.parent)) for path in kept]


def _name_folder(folder: Path, root: Path) -> str:
    return "" if folder == root else str(folder.relative_to(root))


def _fail(message: str) -> NoReturn:
    raise OptionError(message, hint="name a file, a folder or a pattern in quotes")


def resolve_template(output: str | None, default: str) -> str:
    """Return the template of output names for the option --output.

    Args:
        output: A file, an existing folder, a path that ends in a separator (a folder to create), a template
            with fields in braces, or None.
        default: Template of the names inside a folder, and of all names for None.
    """
    if output is None:
        return default
    if parse_path(output).is_dir():
        return str(parse_path(output.replace("{", "{{").replace("}", "}}")) / default)
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
    return parse_path(filled)


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
    outputs: Sequence[Path],
    policy: IfExists,
    exists: Callable[[Path], bool] | None = None,
    *,
    reserved: Collection[Path] = (),
) -> list[Path | None]:
    """Apply the option --if-exists to outputs that exist already.

    Args:
        outputs: Paths of the results.
        policy: The option.
        exists: Tells whether a path exists.
        reserved: Further names that no result may be given, because other processes write them.

    Returns:
        The path to write for every output, or None for an output to skip.

    Raises:
        OutputExistsError: An output exists and the policy is "error".
    """
    exists = list_existing(outputs) if exists is None else exists
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
    taken = {*outputs, *reserved}
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
    if isinstance(folder, RemotePath):
        return
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder", hint="choose another output")
    if not os.access(folder, os.W_OK):
        raise ImageError(f"{folder} cannot be written", hint="choose another output")


def find_style_folder() -> Path:
    """Return the folder in which --cache-styles keeps statistics, which need not exist and may be deleted."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("styletransfer", appauthor=False)) / "styles"


def find_weights_folder() -> Path | None:
    """Return the folder that STYLETRANSFER_WEIGHTS names, which is searched for models first.

    Raises:
        WeightsError: The folder does not exist.
    """
    text = os.environ.get(f"{PREFIX}_WEIGHTS")
    if not text:
        return None
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"{PREFIX}_WEIGHTS is {text}, which is not a folder", hint="correct or unset it")
    return folder


def decode_name(path: Path) -> str:
    """Return the name of a file as valid Unicode, whatever bytes it consists of."""
    return os.fsencode(path.name).decode("utf-8", "replace")
