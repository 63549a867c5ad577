"""Compare differentiable whitening with published methods. Every command prints one table."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from .accuracy import accuracy
from .fuzz import fuzz
from .memory import memory
from .tables import Table
from .timing import layer_time, whole_transfer

COMMANDS: dict[str, Callable[[], Table]] = {
    "accuracy": accuracy,
    "time": layer_time,
    "memory": memory,
    "fuzz": fuzz,
    "wct": whole_transfer,
}
# Sizes so small that a command takes seconds. They show that it works, and nothing else.
QUICK: dict[str, Callable[[], Table]] = {
    "accuracy": lambda: accuracy(channels=(8,)),
    "time": lambda: layer_time(channels=(8,), seconds=0.05),
    "memory": lambda: memory(sizes=((8, 1024),)),
    "fuzz": lambda: fuzz(trials=20, peer_trials=5),
    "wct": lambda: whole_transfer(sizes=((8, 1024),), repetitions=2),
}


def main() -> None:
    """Run one command on one core, and print its table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linalg", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run in COMMANDS.items():
        command = commands.add_parser(name, help=(run.__doc__ or "").splitlines()[0])
        command.add_argument(
            "--json", action="store_true", help="Print one JSON object per row instead of a table."
        )
        command.add_argument(
            "--quick", action="store_true", help="Use small sizes, which take seconds instead of minutes."
        )
    plot = commands.add_parser("plot", help="Draw the figures of the documentation.")
    plot.add_argument("accuracy", type=Path, help="Output of `accuracy --json`.")
    plot.add_argument("timing", type=Path, help="Output of `time --json`.")
    plot.add_argument(
        "--folder", type=Path, default=Path("docs/images"), help="Output folder (default: %(default)s)."
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.command == "plot":
        from .plots import draw_plots  # Only this command needs matplotlib.

        print(*draw_plots(arguments.folder, arguments.accuracy, arguments.timing), sep="\n")
        return
    warnings.simplefilter("ignore")  # Some methods warn about failures, which the table shows.
    table = (QUICK if arguments.quick else COMMANDS)[arguments.command]()
    print(table.to_json() if arguments.json else table.to_markdown())


if __name__ == "__main__":
    main()
