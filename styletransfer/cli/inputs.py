"""Expand the arguments CONTENT and STYLE to input files: files, folders, patterns, standard input."""

from __future__ import annotations

import glob
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

from ..errors import OptionError

STDIN = "-"
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
    return inputs, [each.path for each in inputs] != [Path(argument)]


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
    path = Path(argument)
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
