"""Command line of the benchmark: every command prints one table."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from styletransfer.spectrum.conv_operator import PaddingMode

from ..linalg.tables import Table
from . import __doc__ as description
from .cayley import compare_invertible_layers
from .classification import Trial, compare_penalties
from .composition import compare_chains, compare_factorizations
from .decoders import compare_decoders
from .distributions import compare_distributions
from .gradients import compare_gradients
from .layers import DEFAULT, ExactNorms, read_layers
from .norms import compare_norms, compare_paddings

PADDINGS: tuple[PaddingMode, ...] = ("zeros", "circular", "reflect", "replicate")

COMMANDS: tuple[str, ...] = ("norms", "paddings", "distributions", "gradients", "classification", "decoders")
COMMANDS += ("chains", "factorizations", "invertible", "plot")


def main() -> None:
    """Run one command on one core and print its table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.spectrum",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument(
        "--weights",
        type=Path,
        nargs="+",
        default=[DEFAULT],
        help="Weights files (default: the model of this program).",
    )
    parser.add_argument("--size", type=int, nargs="+", default=[16], help="Sides of images (default: 16).")
    parser.add_argument("--channels", type=int, default=4096, help="Leave out layers with more channels.")
    parser.add_argument("--cache", type=Path, help="JSON file that keeps exact norms.")
    parser.add_argument("--no-peers", action="store_true", help="norms: leave out the published methods.")
    parser.add_argument("--cases", type=int, default=23, help="distributions: number of cases (default: 23).")
    parser.add_argument("--seeds", type=int, default=5, help="classification: runs per penalty (default: 5).")
    parser.add_argument("--json", action="store_true", help="Print one JSON object per row.")
    parser.add_argument(
        "--folder", type=Path, default=Path("docs/images"), help="plot: output folder (default: %(default)s)."
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.command == "plot":
        from .plots import draw_plots  # only this command needs matplotlib

        layers = list(read_layers(arguments.weights, most=arguments.channels))
        paths = draw_plots(arguments.folder, layers, arguments.size[0], ExactNorms(arguments.cache))
        print(*paths, sep="\n")
        return
    table = run(arguments)
    print(table.to_json() if arguments.json else table.to_markdown())


def run(arguments: argparse.Namespace) -> Table:
    """Run the command that was asked for."""
    if arguments.command == "classification":
        return compare_penalties(Trial(), arguments.seeds)
    if arguments.command == "decoders":
        return compare_decoders(arguments.weights, arguments.size[0])
    if arguments.command == "invertible":
        return compare_invertible_layers(16, arguments.size[0])
    if arguments.command == "chains":
        return compare_chains(arguments.weights[0], arguments.size[0])
    layers = list(read_layers(arguments.weights, most=arguments.channels))
    exact = ExactNorms(arguments.cache)
    if arguments.command == "norms":
        return compare_norms(layers, arguments.size, exact, peers=not arguments.no_peers)
    if arguments.command == "paddings":
        return compare_paddings(layers, arguments.size, exact, PADDINGS)
    if arguments.command == "distributions":
        return compare_distributions(layers, arguments.cases)
    layers = [layer for layer in layers if layer.weight[0, 0].numel() > 1]
    if arguments.command == "factorizations":
        return compare_factorizations(layers, arguments.size[0])
    return compare_gradients(layers, arguments.size[0])


if __name__ == "__main__":
    main()
