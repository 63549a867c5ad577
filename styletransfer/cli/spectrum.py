"""`styletransfer spectrum`: what the convolutions of a network do to their input."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import OptionError, OutputExistsError
from .command import Command
from .parameters import json_option
from .report import Report

if TYPE_CHECKING:
    from torch import Tensor

    from ..spectrum import LayerSummary
    from .networks import Convolution

METHODS = ("corrected", "density", "circular", "lanczos", "exact")
PADDINGS = ("zeros", "reflect", "replicate", "circular")
PLOTS = (".png", ".svg", ".pdf")
VERIFIABLE = 2**25  # entries of a dense matrix: 256 MB
COLUMNS = {"layer": 22, "weight": 16, "padding": 10, "norm": 20, "stable rank": 12, "90 % in": 8}


def parse_size(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    """Read `32` or `32x48` (rows x columns)."""
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", value)
    if not found or int(found[1]) < 1 or int(found[2] or 1) < 1:
        raise click.BadParameter(f"{value!r} is no size; give N or HxW", context, parameter)
    return int(found[1]), int(found[2] or found[1])


@click.command(cls=Command)
@click.argument("network", metavar="MODEL|WEIGHTS")
@click.option("--size", default="32", metavar="N|HxW", callback=parse_size, help="Of every layer's input.")
@click.option(
    "--layer",
    "names",
    multiple=True,
    metavar="NAME",
    show_default="all",
    help="Only this layer; may be repeated.",
)
@click.option("--method", type=click.Choice(METHODS), default="corrected", help="Of the distribution.")
@click.option("--padding", type=click.Choice(PADDINGS), default="zeros", help="Of weights that do not tell.")
@click.option("--verify", is_flag=True, help="Compare with the dense matrix; exit code 1 if a bound fails.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    show_default="none",
    help="Draw the distributions.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite the plot.")
@json_option
@click.pass_obj
def spectrum(
    report: Report,
    /,
    network: str,
    size: tuple[int, int],
    names: tuple[str, ...],
    method: Any,
    padding: Any,
    verify: bool,
    plot: Path | None,
    force: bool,
    as_json: bool,
) -> int:
    """Show what the convolutions of a network do to their input.

    One row a layer: bounds of its norm (largest singular value), its stable rank, and the share of singular
    values that hold 90 % of the energy. MODEL is a model of this program or of torchvision.
    """
    from ..spectrum import summarize_layer
    from .networks import read_convolutions

    if plot is not None:
        check_plot(plot, force)
    layers = choose_layers(read_convolutions(report, network, padding), names)
    if not as_json:
        report.product(format_row(dict(zip(COLUMNS, COLUMNS, strict=True))))
    distributions: dict[str, Tensor] = {}
    failed = False
    for name, layer in layers.items():
        try:
            summary = summarize_layer(layer, size, method)
        except ValueError as error:
            raise OptionError(f"{name}: {error}", hint="choose another --size") from error
        facts = {"layer": name, "size": list(size), **describe(layer, summary)}
        if verify:
            facts |= compare(layer, size, summary)
            failed |= facts["holds"] is False
        distributions[name] = summary.values
        report.product(json.dumps(facts) if as_json else format_row(format_facts(facts)))
    if plot is not None:
        draw(plot, distributions, f"{Path(network).name}, {size[0]} x {size[1]} pixels, {method}")
        report.note(f"plot in {plot}")
    if failed:
        report.error("a bound does not hold; this is a fault of the program, please report it")
    return int(failed)


def choose_layers(layers: dict[str, Convolution], names: tuple[str, ...]) -> dict[str, Convolution]:
    """Return the layers that were asked for, all if none was named.

    Raises:
        OptionError: There is no layer of a name.
    """
    for name in names:
        if name not in layers:
            hint = f"there are {', '.join(list(layers)[:8])}{' ...' if len(layers) > 8 else ''}"
            raise OptionError(f"no convolution is called {name}", hint=hint)
    return {name: layers[name] for name in names} if names else layers


def describe(layer: Convolution, summary: LayerSummary) -> dict[str, Any]:
    """Return what is known of a layer, as it stands in the JSON output."""
    return {
        "weight": list(layer.weight.shape),
        "padding": layer.padding_mode,
        "lower": summary.norm.lower,
        "upper": summary.norm.upper,
        "method": summary.norm.method,
        "failure_probability": summary.norm.failure_probability,
        "stable_rank": summary.stable_rank,
        "energy_rank": summary.energy_rank,
        "count": len(summary.values),
    }


def compare(layer: Convolution, size: tuple[int, int], summary: LayerSummary) -> dict[str, Any]:
    """Compare the bounds with the norm of the dense matrix; `holds` is None where that is too large."""
    import torch

    from ..spectrum import conv_operator

    operator = conv_operator(layer, size).double()
    if math.prod(operator.input_shape) * math.prod(operator.output_shape) > VERIFIABLE:
        return {"exact": None, "holds": None}
    exact = torch.linalg.matrix_norm(operator.dense(), 2).item()
    return {"exact": exact, "holds": summary.norm.lower <= exact <= summary.norm.upper}


def format_facts(facts: dict[str, Any]) -> dict[str, str]:
    """Turn the facts of a layer into the cells of its row."""
    cells = {
        "layer": facts["layer"],
        "weight": "x".join(map(str, facts["weight"])),
        "padding": facts["padding"],
        "norm": f"{facts['lower']:.5g} .. {facts['upper']:.5g}",
        "stable rank": f"{facts['stable_rank']:.1f}",
        "90 % in": f"{facts['energy_rank'] / facts['count']:.1%}",
    }
    if "holds" in facts:
        verdicts = {None: "too large to verify", True: "holds", False: "FAILS"}
        exact = "" if facts["exact"] is None else f"exact {facts['exact']:.5g}: "
        cells["verified"] = exact + verdicts[facts["holds"]]
    return cells


def format_row(cells: dict[str, str]) -> str:
    """Align the cells of a row: the first to the left, numbers to the right."""
    aligned = [
        f"{cell:<{COLUMNS.get(key, 0)}}" if key in {"layer", "verified"} else f"{cell:>{COLUMNS[key]}}"
        for key, cell in cells.items()
    ]
    return "  ".join(aligned).rstrip()


def check_plot(path: Path, force: bool) -> None:
    """Refuse a plot that could not be drawn before anything is computed."""
    if path.suffix not in PLOTS:
        raise OptionError(f"{path}: no kind of plot", hint=f"name it *{', *'.join(PLOTS)}")
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists", hint="-f overwrites it")


def draw(path: Path, distributions: dict[str, Tensor], title: str) -> None:
    """Plot the distributions into a file, which appears whole or not at all."""
    from ..files import open_atomic
    from .spectrum_plot import plot_singular_values

    data = plot_singular_values(distributions, title, path.suffix)
    with open_atomic(path) as file:
        file.write(data)
