"""Which pictures an evaluation is about: pairs of content and style, and outputs made of them elsewhere."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import OptionError

ROLES = {"content", "style"}


@dataclass(frozen=True)
class Pair:
    """A content, the style it is to be given, and what the two are called together."""

    name: str
    content: Path
    style: Path


def combine_pairs(contents: Sequence[Path], styles: Sequence[Path]) -> list[Pair]:
    """Pair every content with every style."""
    return [Pair(f"{content.stem}_{style.stem}", content, style) for content in contents for style in styles]


def read_pairs(source: Path, extensions: Collection[str]) -> list[Pair]:
    """Read pairs from a folder or a list.

    Args:
        source: A folder with `NAME.content.EXT` and `NAME.style.EXT` for every pair, or a CSV file with the
            columns `content` and `style` and, if wanted, `name`; its paths are relative to itself.
        extensions: Of pictures, lower case with their dot.

    Raises:
        OptionError: There is no such folder or list, it holds no pair, or half a pair.
    """
    if source.is_dir():
        return _find_pairs(source, extensions)
    if not source.is_file():
        raise OptionError(f"{source}: no such folder or list of pairs")
    return _read_list(source)


def find_outputs(
    folder: Path, pairs: Sequence[Pair], extensions: Collection[str]
) -> dict[str, dict[Pair, Path]]:
    """Find outputs of other methods: files `NAME.METHOD.EXT` of the pairs' names.

    Returns:
        Method -> pair -> file, methods and files by name. A method may lack some of the pairs.

    Raises:
        OptionError: There is none.
    """
    by_name = {pair.name: pair for pair in pairs}
    found: dict[str, dict[Pair, Path]] = {}
    for name, method, path in sorted(_list_parts(folder, extensions), key=lambda part: part[:2]):
        if name in by_name and method not in ROLES:
            found.setdefault(method, {})[by_name[name]] = path
    if not found:
        example = f"{pairs[0].name}.METHOD.jpg"
        raise OptionError(f"{folder}: no outputs of these pairs", hint=f"they are named like {example}")
    return found


def _find_pairs(folder: Path, extensions: Collection[str]) -> list[Pair]:
    parts: dict[str, dict[str, Path]] = {}
    for name, role, path in _list_parts(folder, extensions):
        if role in ROLES:
            parts.setdefault(name, {})[role] = path
    for name, roles in parts.items():
        if missing := ROLES - roles.keys():
            raise OptionError(f"{folder}: {name} has no {missing.pop()}", hint="add the picture")
    if not parts:
        raise OptionError(f"{folder}: no pairs", hint="they are named NAME.content.jpg and NAME.style.jpg")
    return [Pair(name, roles["content"], roles["style"]) for name, roles in sorted(parts.items())]


def _list_parts(folder: Path, extensions: Collection[str]) -> list[tuple[str, str, Path]]:
    """List the pictures NAME.PART.EXT of a folder as (NAME, PART, path)."""
    parts = []
    for path in folder.iterdir():
        name, _, part = path.stem.rpartition(".")
        if name and not name.startswith(".") and path.suffix.lower() in extensions:
            parts.append((name, part, path))
    return parts


def _read_list(path: Path) -> list[Pair]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OptionError(f"{path}: no readable list of pairs ({error})", hint="give a CSV file") from error
    if not rows or ROLES - rows[0].keys():
        raise OptionError(f"{path}: no list of pairs", hint="its columns are content, style and perhaps name")
    pairs = []
    for number, row in enumerate(rows, start=2):
        if not row["content"] or not row["style"]:
            raise OptionError(f"{path}: line {number} has no {'style' if row['content'] else 'content'}")
        pair = combine_pairs([path.parent / row["content"]], [path.parent / row["style"]])[0]
        pairs.append(Pair(row.get("name") or pair.name, pair.content, pair.style))
    return pairs
