"""Expand the arguments CONTENT and STYLE to input files: files, folders, patterns, standard input."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable, Sequence
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
        found = map(Path, glob.iglob(str(pattern), recursive=True))  # noqa: PTH207  Path.glob is relative only
        fixed = _find_fixed_part(pattern)
        return _select(found, extensions, fixed) or _fail(f"no picture matches {argument}")
    return _fail(f"{argument}: no such file")


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
