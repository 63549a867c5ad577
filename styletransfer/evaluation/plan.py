"""Plan of an evaluation: the pairs of content and style, and the pictures to score for each pair."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..media import readable_extensions

ROLES = {"content", "style"}
CONTENT_ITSELF = "content itself"


@dataclass(frozen=True)
class Pair:
    """A content, a style, and a name for the two together."""

    name: str
    content: Path
    style: Path


@dataclass(frozen=True)
class Candidate:
    """One picture to score.

    Attributes:
        pair: Content and style that the picture was made from.
        method: Name of the method, the row of the table.
        output: File of the picture; None if the model is to make it.
        alpha: Strength of the style if the model makes the picture.
    """

    pair: Pair
    method: str
    output: Path | None = None
    alpha: float = 1.0

    @property
    def inputs(self) -> list[str]:
        """Names of all files that are read, the picture to score first."""
        paths = (self.output, self.pair.content, self.pair.style)
        return [str(path) for path in paths if path is not None]

    def describe(self, **results: Any) -> str:
        """Write the candidate and its results as one line of JSON."""
        return json.dumps(
            {
                "pair": self.pair.name,
                "method": self.method,
                "content": str(self.pair.content),
                "style": str(self.pair.style),
                "output": None if self.output is None else str(self.output),
                **results,
            }
        )


def combine_pairs(contents: Sequence[Path], styles: Sequence[Path]) -> list[Pair]:
    """Pair every content with every style."""
    return [Pair(f"{content.stem}_{style.stem}", content, style) for content in contents for style in styles]


def read_pairs(source: Path, extensions: Collection[str]) -> list[Pair]:
    """Read pairs from a folder or a CSV file.

    Args:
        source: A folder with the files `NAME.content.EXT` and `NAME.style.EXT` for every pair, or a CSV file
            with the columns `content` and `style` and optionally `name`. Paths in the CSV file are relative
            to its folder.
        extensions: Extensions of picture files, in lower case with their dot.

    Raises:
        OptionError: The folder or file does not exist, it has no pair, or a pair is incomplete.
    """
    if source.is_dir():
        return _find_pairs(source, extensions)
    if not source.is_file():
        raise OptionError(f"{source}: no such folder or list of pairs")
    return _read_list(source)


def find_outputs(
    folder: Path, pairs: Sequence[Pair], extensions: Collection[str]
) -> dict[str, dict[Pair, Path]]:
    """Find the outputs of other methods: the files `NAME.METHOD.EXT` with the names of the pairs.

    Returns:
        Method -> pair -> file, sorted by method and file name. A method may lack some of the pairs.

    Raises:
        OptionError: The folder has no output of these pairs.
    """
    by_name = {pair.name: pair for pair in pairs}
    found: dict[str, dict[Pair, Path]] = {}
    for name, method, path in sorted(_list_parts(folder, extensions), key=lambda part: part[:2]):
        if name in by_name and method not in ROLES:
            found.setdefault(method, {})[by_name[name]] = path
    if not found:
        example = f"{pairs[0].name}.METHOD.jpg"
        raise OptionError(f"{folder}: no outputs of these pairs", hint=f"name them like {example}")
    return found


def list_candidates(
    pairs: Sequence[Pair], outputs: Path | None, model_name: str | None, alphas: Sequence[float]
) -> list[Candidate]:
    """List the pictures to score, pair by pair: the content itself, other methods' outputs, the model's.

    Args:
        pairs: At least one pair.
        outputs: Folder with the outputs of other methods, if any; see `find_outputs`.
        model_name: Name of the model or path of its weights; None to score no model.
        alphas: Strengths of the style at which the model is scored.

    Raises:
        OptionError: The folder has no output of these pairs.
    """
    methods = {} if outputs is None else find_outputs(outputs, pairs, readable_extensions())
    name = "" if model_name is None else Path(model_name).stem
    candidates: list[Candidate] = []
    for pair in pairs:
        candidates.append(Candidate(pair, CONTENT_ITSELF, pair.content))
        for method, made in methods.items():
            if pair in made:
                candidates.append(Candidate(pair, method, made[pair]))
        for alpha in alphas if model_name is not None else ():
            row = name if alpha == 1 else f"{name} at alpha {alpha:g}"
            candidates.append(Candidate(pair, row, alpha=alpha))
    return candidates


def _find_pairs(folder: Path, extensions: Collection[str]) -> list[Pair]:
    parts: dict[str, dict[str, Path]] = {}
    for name, role, path in _list_parts(folder, extensions):
        if role in ROLES:
            parts.setdefault(name, {})[role] = path
    for name, roles in parts.items():
        if missing := ROLES - roles.keys():
            role = missing.pop()
            raise OptionError(f"{folder}: {name} has no {role}", hint=f"add {name}.{role}.jpg")
    if not parts:
        raise OptionError(f"{folder}: no pairs", hint="name them NAME.content.jpg and NAME.style.jpg")
    return [Pair(name, roles["content"], roles["style"]) for name, roles in sorted(parts.items())]


def _list_parts(folder: Path, extensions: Collection[str]) -> list[tuple[str, str, Path]]:
    """List the pictures NAME.PART.EXT in a folder as (NAME, PART, path)."""
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
        raise OptionError(
            f"{path}: not a readable list of pairs ({error})", hint="give a CSV file"
        ) from error
    if not rows or ROLES - rows[0].keys():
        hint = "it needs the columns content and style; the column name is optional"
        raise OptionError(f"{path}: not a list of pairs", hint=hint)
    pairs = []
    for number, row in enumerate(rows, start=2):
        if not row["content"] or not row["style"]:
            raise OptionError(f"{path}: line {number} has no {'style' if row['content'] else 'content'}")
        pair = combine_pairs([path.parent / row["content"]], [path.parent / row["style"]])[0]
        pairs.append(Pair(row.get("name") or pair.name, pair.content, pair.style))
    return pairs
