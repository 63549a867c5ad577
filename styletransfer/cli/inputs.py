"""What the words CONTENT and STYLE stand for: files, folders, patterns, standard input."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

from ..errors import OptionError

STDIN = "-"
STATISTICS = ".safetensors"
NAMES = 4  # that may stand for a source


@dataclass(frozen=True)
class Source:
    """A file to read, or standard input.

    Attributes:
        path: None for standard input.
        folder: Where a pattern found the file, below the pattern's fixed part: "a/b" for x/a/b/c.jpg
            found by `x/**/*.jpg`; empty for all else.
    """

    path: Path | None
    folder: str = field(default="", compare=False)

    def __str__(self) -> str:
        return STDIN if self.path is None else str(self.path)

    @property
    def label(self) -> str:
        """What the source is called in messages."""
        return "<stdin>" if self.path is None else str(self.path)

    @property
    def stem(self) -> str:
        """What stands for the source in the names of outputs."""
        return self.name(0)

    def name(self, index: int) -> str:
        """Return one of the names that tell ever more: "1", "1_jpg", "a_1" and "a_1_jpg" for a/1.jpg."""
        if self.path is None:
            return "stdin"
        name = self.path.stem
        if index % 2 and self.extension:
            name = f"{name}_{self.extension}"
        return f"{self.path.parent.resolve().name}_{name}" if index >= 2 else name

    @property
    def extension(self) -> str:
        """The extension without its dot, lower case; standard input counts as PNG."""
        return "png" if self.path is None else self.path.suffix[1:].lower()

    @property
    def is_statistics(self) -> bool:
        """Whether this is a file of style statistics, not a picture."""
        return self.path is not None and self.path.suffix == STATISTICS


def expand_contents(word: str, extensions: Collection[str]) -> tuple[list[Source], bool]:
    """List what CONTENT stands for.

    Args:
        word: A file, a folder, a pattern such as `photos/**/*.jpg`, or `-` for standard input.
        extensions: Of the files to take from folders and patterns, lower case with their dot.

    Returns:
        The sources, sorted by name, and whether the word may stand for many.

    Raises:
        OptionError: There is nothing of that name.
    """
    if word == STDIN:
        return [Source(None)], False
    sources = _expand(word, extensions)
    return sources, [source.path for source in sources] != [Path(word)]


def expand_styles(words: Sequence[str], extensions: Collection[str]) -> list[Source]:
    """List what all the words STYLE stand for: as CONTENT, statistics files too, standard input not.

    Raises:
        OptionError: There is nothing of one of the names.
    """
    if STDIN in words:
        raise OptionError("a STYLE cannot be -", hint="only CONTENT is read from standard input")
    wanted = {*extensions, STATISTICS}
    return [source for word in words for source in _expand(word, wanted)]


def _expand(word: str, extensions: Collection[str]) -> list[Source]:
    path = Path(word)
    if path.is_dir():
        return _select(path.iterdir(), extensions) or _fail(f"{word} holds no pictures")
    if path.exists():
        return [Source(path)]
    if glob.has_magic(word):
        pattern = path.expanduser()
        found = map(Path, glob.iglob(str(pattern), recursive=True))  # noqa: PTH207  Path.glob is relative only
        fixed = _find_fixed_part(pattern)
        return _select(found, extensions, fixed) or _fail(f"no picture matches {word}")
    return _fail(f"{word}: no such file")


def _find_fixed_part(pattern: Path) -> Path:
    """Return the folder that a pattern starts from: `x` of `x/**/*.jpg`."""
    return Path(*takewhile(lambda part: not glob.has_magic(part), pattern.parts))


def _select(paths: Iterable[Path], extensions: Collection[str], root: Path | None = None) -> list[Source]:
    """Keep visible files of the extensions; a dot marks what is half-written or the system's own."""
    kept = sorted(
        path
        for path in paths
        if path.suffix.lower() in extensions and not path.name.startswith(".") and path.is_file()
    )
    return [Source(path, _name_folder(path.parent, root or path.parent)) for path in kept]


def _name_folder(folder: Path, root: Path) -> str:
    return "" if folder == root else str(folder.relative_to(root))


def _fail(message: str) -> NoReturn:
    raise OptionError(message, hint="name a file, a folder or a pattern in quotes")
