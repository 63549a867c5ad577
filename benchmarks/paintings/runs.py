"""Which runs make the tables, and the file that keeps what they measured."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

from .network import CAPS, PEER_OF, PENALTIES
from .training import EPOCHS, Paintings, Run, train

DIMENSIONS = (4, 16, 64)
EVERYWHERE = ("exact", "eigh autograd", "taylor 9", "newton-schulz")  # where all normalizations whiten
EVERYWHERE_DIMENSION = 16
WEIGHTS = (1e-4, 1e-3, 1e-2)  # strengths that are tried, the same for weight decay and every penalty
CAP_VALUES = (0.5, 1.0, 2.0)
REGULARIZERS = ("none", "weight decay", *PENALTIES, *CAPS)


def whitening_runs(seed: int) -> list[Run]:
    """Return the runs of the whitening experiment from one seed, the most telling first."""
    runs = [Run("whitening", "batch norm", seed)]
    methods = ("exact", *PEER_OF)
    runs += [Run("whitening", method, seed, dimension) for dimension, method in product(DIMENSIONS, methods)]
    everywhere = [Run("whitening", method, seed, EVERYWHERE_DIMENSION, True) for method in EVERYWHERE]
    return runs + everywhere


def tuning_runs() -> list[Run]:
    """Return the runs that choose the strength of every regularizer."""
    return [
        Run("regularization", method, 0, strength=strength, validation=True)
        for step in range(len(WEIGHTS))
        for method in REGULARIZERS[1:]
        for strength in [(CAP_VALUES if method in CAPS else WEIGHTS)[step]]
    ]


def regularization_runs(seed: int, results: Results) -> list[Run]:
    """Return the runs of the regularization experiment from one seed, with the strengths that did best."""
    runs = [Run("regularization", "none", seed)]
    return runs + [
        Run("regularization", method, seed, strength=results.best_strength(method))
        for method in REGULARIZERS[1:]
    ]


class Results:
    """A file with one JSON object per finished run.

    A line that was cut off, because the program or the machine was stopped, is removed: its run starts again.

    Args:
        path: The file; it need not exist.
        epochs: Length of the training. Runs of other lengths stay in the file and count for nothing here.

    Raises:
        ValueError: The file holds something else.
    """

    def __init__(self, path: Path, epochs: int = EPOCHS) -> None:
        self.path, self.epochs = path, epochs
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        try:
            rows = [json.loads(line) for line in whole.decode().splitlines()]
            self.rows: list[dict[str, Any]] = [row for row in rows if row["epochs"] == epochs]
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} is not a file of results of this benchmark") from error
        if whole != content:
            os.truncate(path, len(whole))

    def __contains__(self, run: Run) -> bool:
        return any(asdict(run).items() <= row.items() for row in self.rows)

    def append(self, row: dict[str, Any]) -> None:
        """Write a row, so that it survives whatever comes after."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.rows.append(row)

    def select(self, **fields: Any) -> list[dict[str, Any]]:
        """Return the rows with the given values."""
        return [row for row in self.rows if fields.items() <= row.items()]

    def best_strength(self, method: str) -> float:
        """Return the strength of highest validation accuracy; of equal ones, that of the lowest loss.

        Raises:
            ValueError: No run to choose it by has succeeded.
        """
        rows = self.select(experiment="regularization", method=method, validation=True, succeeded=True)
        if not rows:
            raise ValueError(f"no run with {method} succeeded on the validation artists")
        best: float = max(rows, key=lambda row: (row["test"], -row["test_loss"]))["strength"]
        return best


def run_missing(runs: list[Run], paintings: Paintings, results: Results) -> Iterator[dict[str, Any]]:
    """Train what the results lack, and yield every new row after it is written."""
    for run in (replace(run, epochs=results.epochs) for run in runs):
        if run not in results:
            row = train(run, paintings.images(run))
            results.append(row)
            yield row
