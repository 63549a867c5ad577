"""What `evaluate` scores: which pairs, and which results of which methods on each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OptionError
from .inputs import expand_contents

if TYPE_CHECKING:
    from ..evaluation import Pair

ITSELF = "content itself"


@dataclass(frozen=True)
class Candidate:
    """One result of one method to be scored.

    Attributes:
        pair: What it was made of.
        method: What it is called in the table.
        output: The picture; None if the model is still to make it.
        alpha: Strength of the model's transfer.
    """

    pair: Pair
    method: str
    output: Path | None = None
    alpha: float = 1.0

    @property
    def inputs(self) -> list[str]:
        """The names of all files that are read, the one to be scored first."""
        paths = (self.output, self.pair.content, self.pair.style)
        return [str(path) for path in paths if path is not None]

    def describe(self, **results: Any) -> str:
        """Write as one JSON object what was scored, and the results."""
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


def plan_pairs(words: Sequence[str]) -> list[Pair]:
    """List the pairs that the arguments stand for: one word PAIRS, or CONTENT and STYLE...

    Raises:
        OptionError: A file is missing, or a folder or list holds no pairs.
    """
    from ..evaluation import combine_pairs, read_pairs
    from ..media import readable_extensions

    extensions = readable_extensions()
    if len(words) == 1:
        return read_pairs(Path(words[0]), extensions)
    expanded = [[source.path for source in expand_contents(word, extensions)[0]] for word in words]
    contents, *styles = [[path for path in paths if path is not None] for paths in expanded]
    if [None] in expanded:
        raise OptionError("an evaluation cannot read standard input", hint="save the picture first")
    return combine_pairs(contents, [path for paths in styles for path in paths])


def list_candidates(
    pairs: Sequence[Pair], outputs: Path | None, model: str | None, alphas: Sequence[float]
) -> list[Candidate]:
    """List what is to be scored, pair by pair.

    Args:
        pairs: At least one.
        outputs: Folder of other methods' results.
        model: Name of the model or path of its weights; None to run none.
        alphas: Strengths at which the model runs.

    Raises:
        OptionError: The folder holds no results of these pairs.
    """
    from ..evaluation import find_outputs
    from ..media import readable_extensions

    methods = {} if outputs is None else find_outputs(outputs, pairs, readable_extensions())
    name = "" if model is None else Path(model).stem
    candidates: list[Candidate] = []
    for pair in pairs:
        candidates.append(Candidate(pair, ITSELF, pair.content))
        for method, made in methods.items():
            if pair in made:
                candidates.append(Candidate(pair, method, made[pair]))
        for alpha in alphas if model is not None else ():
            row = name if alpha == 1 else f"{name} at alpha {alpha:g}"
            candidates.append(Candidate(pair, row, alpha=alpha))
    return candidates
