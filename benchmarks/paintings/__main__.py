"""Command line of the benchmark: train what is missing, time, report."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from . import __doc__ as description
from .report import draw_curves, regularization_table, time_table, tuning_table, whitening_table
from .runs import Results, regularization_runs, run_missing, tuning_runs, whitening_runs
from .training import EPOCHS, Paintings


def main() -> None:
    """Run one command on one core."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paintings",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("whitening", "regularization", "time", "report"))
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("../shared/data"),
        help="Folder with art.tar and art_index.csv (default: %(default)s).",
    )
    parser.add_argument(
        "--results", type=Path, required=True, help="File of results, one JSON object a line."
    )
    parser.add_argument("--seeds", type=int, default=5, help="Number of seeds (default: %(default)s).")
    parser.add_argument(
        "--epochs", type=int, default=EPOCHS, help="Length of the training (default: %(default)s)."
    )
    parser.add_argument("--plots", type=Path, help="report: draw the curves into this folder.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        results = Results(arguments.results, arguments.epochs)
        if arguments.command == "report":
            for table in (whitening_table(results), regularization_table(results), tuning_table(results)):
                print(table.to_markdown(), end="\n\n")
            if arguments.plots:
                print(*draw_curves(results, arguments.plots), sep="\n")
        elif arguments.command == "time":
            print(time_table().to_markdown())
        else:
            train_missing(arguments.command, arguments.folder, results, arguments.seeds)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")


def train_missing(experiment: str, folder: Path, results: Results, seeds: int) -> None:
    """Train what the results lack of an experiment, and print a line for every run."""
    paintings = Paintings(folder)
    if experiment == "regularization":
        show(run_missing(tuning_runs(), paintings, results))
    for seed in range(seeds):
        runs = whitening_runs(seed) if experiment == "whitening" else regularization_runs(seed, results)
        show(run_missing(runs, paintings, results))


def show(rows: Iterable[dict[str, Any]]) -> None:
    """Print a line for every row as it comes."""
    for row in rows:
        outcome = f"test {row['test']} %" if row["succeeded"] else f"not finite after {row['steps']} steps"
        shown = ("experiment", "method", "dimension", "everywhere", "strength", "validation", "seed")
        print(*(f"{name} {row[name]}" for name in shown if row[name]), outcome, sep=", ", flush=True)


if __name__ == "__main__":
    main()
