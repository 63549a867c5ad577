"""Command line of the benchmark: one table a command."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ..linalg.tables import Table
from . import __doc__ as description
from .classification import Trial, compare_regularisers
from .decoders import compare_decoders
from .distributions import compare_distributions
from .gradients import compare_gradients
from .layers import DEFAULT, ExactNorms, Padding, read_layers
from .norms import compare_norms, compare_paddings

PADDINGS: tuple[Padding, ...] = ("zeros", "circular", "reflect", "replicate")

COMMANDS = ("norms", "paddings", "distributions", "gradients", "classification", "decoders", "plot")


def main() -> None:
    """Run one command on one core and print its table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.spectrum",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument(
        "--weights", type=Path, nargs="+", default=[DEFAULT], help="default: the model of the program"
    )
    parser.add_argument("--size", type=int, nargs="+", default=[16], help="of the square image (default: 16)")
    parser.add_argument("--channels", type=int, default=4096, help="leave out layers of more than this")
    parser.add_argument("--cache", type=Path, help="JSON file that keeps exact norms")
    parser.add_argument("--no-peers", action="store_true", help="norms: only ours")
    parser.add_argument("--cases", type=int, default=23, help="distributions: at most (default: 23)")
    parser.add_argument("--seeds", type=int, default=5, help="classification: runs of each kind (default: 5)")
    parser.add_argument("--json", action="store_true", help="one JSON object a row instead of a table")
    parser.add_argument("--folder", type=Path, default=Path("docs/images"), help="plot: default %(default)s")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.command == "plot":
        from .plots import draw_plots  # matplotlib is wanted here only

        layers = list(read_layers(arguments.weights, most=arguments.channels))
        paths = draw_plots(arguments.folder, layers, arguments.size[0], ExactNorms(arguments.cache))
        print(*paths, sep="\n")
        return
    table = run(arguments)
    print(table.to_json() if arguments.json else table.to_markdown())


def run(arguments: argparse.Namespace) -> Table:
    """Run the command that was asked for."""
    if arguments.command == "classification":
        return compare_regularisers(Trial(), arguments.seeds)
    if arguments.command == "decoders":
        return compare_decoders(arguments.weights, arguments.size[0])
    layers = list(read_layers(arguments.weights, most=arguments.channels))
    exact = ExactNorms(arguments.cache)
    if arguments.command == "norms":
        return compare_norms(layers, arguments.size, exact, peers=not arguments.no_peers)
    if arguments.command == "paddings":
        return compare_paddings(layers, arguments.size, exact, PADDINGS)
    if arguments.command == "distributions":
        return compare_distributions(layers, arguments.cases)
    return compare_gradients([layer for layer in layers if layer.weight[0, 0].numel() > 1], arguments.size[0])


if __name__ == "__main__":
    main()
