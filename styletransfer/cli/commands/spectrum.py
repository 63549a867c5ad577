"""`styletransfer spectrum`: the singular values of a network's convolutions."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import OptionError, OutputExistsError, StyleTransferError
from ...options import ProcessOptions
from ..click_options import json_option, threads_option
from ..configured_command import Command
from ..console import Console
from ..paths import find_weights_folder
from ..thread_pool import set_threads

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ...spectrum import LayerSummary

    Convolution = nn.Conv2d | nn.ConvTranspose2d

METHODS = ("corrected", "density", "circular", "lanczos", "exact")
PADDINGS = ("zeros", "reflect", "replicate", "circular")
PLOT_SUFFIXES = (".png", ".svg", ".pdf")
MAX_DENSE_ENTRIES = 2**25  # of a matrix to verify: 256 MB
COLUMNS = {"layer": 22, "weight": 16, "padding": 10, "norm": 20, "stable rank": 12, "90 % in": 8}


def _parse_size(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    """Read `32` or `32x48` (rows x columns)."""
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", value)
    if not found or int(found[1]) < 1 or int(found[2] or 1) < 1:
        raise click.BadParameter(f"{value!r} is not a size; give N or HxW", context, parameter)
    return int(found[1]), int(found[2] or found[1])


@click.command(cls=Command)
@click.argument("network", metavar="MODEL|WEIGHTS")
@click.option(
    "--size",
    default="32",
    metavar="N|HxW",
    callback=_parse_size,
    help="Size of the input of every layer in pixels.",
)
@click.option(
    "--layer",
    "names",
    multiple=True,
    metavar="NAME",
    show_default="all",
    help="Name of the only layer to show. The option can be repeated.",
)
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="corrected",
    help="Method that computes the distribution of the singular values.",
)
@click.option(
    "--padding",
    type=click.Choice(PADDINGS),
    default="zeros",
    help="Padding assumed when the file records none.",
)
@click.option(
    "--verify", is_flag=True, help="Compare with the dense matrix. The exit code is 1 if a bound fails."
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    show_default="none",
    help="File for a plot of the distributions.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite the plot.")
@threads_option
@json_option
@click.pass_obj
def spectrum(
    console: Console,
    /,
    network: str,
    size: tuple[int, int],
    names: tuple[str, ...],
    method: Any,
    padding: Any,
    verify: bool,
    plot: Path | None,
    force: bool,
    threads: int | None,
    as_json: bool,
) -> int:
    """Show the singular values of a network's convolutions.

    There is one row per layer: bounds of its norm (the largest singular value), its stable rank, and the
    share of singular values that hold 90 % of the energy. MODEL is a model of this program or of torchvision,
    WEIGHTS is a .safetensors file.
    """
    from ...spectrum import summarize_layer

    set_threads(ProcessOptions(threads=threads))
    if plot is not None:
        check_plot(plot, force)
    layers = choose_layers(load_convolutions(console, network, padding), names)
    if not as_json:
        console.result(format_row(dict(zip(COLUMNS, COLUMNS, strict=True))))
    distributions: dict[str, Tensor] = {}
    failed = False
    with console.progress(len(layers)) as progress:
        for index, (name, layer) in enumerate(layers.items()):
            try:
                summary = summarize_layer(layer, size, method)
            except ValueError as error:
                raise OptionError(f"{name}: {error}", hint="choose another --size") from error
            facts = {"layer": name, "size": list(size), **describe_layer(layer, summary)}
            if verify:
                facts |= compare_with_dense(layer, size, summary)
                failed |= facts["holds"] is False
            distributions[name] = summary.values
            console.result(json.dumps(facts) if as_json else format_row(format_facts(facts)))
            progress.report(index, 1)
    if plot is not None:
        title = f"{Path(network).name}, {size[0]} x {size[1]} pixels, {method}"
        write_plot(plot, distributions, title)
        console.note(f"plot in {plot}")
    if failed:
        console.error("a bound does not hold; this is a fault of the program, please report it")
    return int(failed)


def load_convolutions(console: Console, network: str, padding: Any) -> dict[str, Convolution]:
    """Load the convolutions of a network, in the order in which it holds them.

    Args:
        console: Receives a note about everything that had to be assumed.
        network: Name of a model, path of a .safetensors file, or name of a torchvision model.
        padding: Padding assumed where a file holds only weights.

    Raises:
        WeightsError: The file or the weights are missing or damaged.
        OptionError: No network has this name, or it holds no convolution.
    """
    from ...files import read_tensors
    from ...model import available_models, load_model, load_torchvision_model
    from ...spectrum import build_convolutions, find_convolutions

    layers: dict[str, Convolution]
    if network in {entry.name for entry in available_models()}:
        layers = find_convolutions(load_model(network, weights_folder=find_weights_folder()).network)
    elif not network.endswith(".safetensors"):
        layers = find_convolutions(load_torchvision_model(network))
        console.note(f"{network} of torchvision with its default weights")
    elif "architecture" in (file := read_tensors(Path(network))).metadata:
        layers = find_convolutions(load_model(network).network)
    else:
        layers = {**build_convolutions(file.tensors, padding)}
        console.note(f"{network}: weights only; assuming stride 1 and {padding} padding of half a kernel")
    if not layers:
        raise OptionError(f"{network}: holds no two-dimensional convolution")
    return layers


def choose_layers(layers: dict[str, Convolution], names: tuple[str, ...]) -> dict[str, Convolution]:
    """Return the named layers, or all if none is named.

    Raises:
        OptionError: There is no layer of a name.
    """
    for name in names:
        if name not in layers:
            hint = f"there are {', '.join(list(layers)[:8])}{' ...' if len(layers) > 8 else ''}"
            raise OptionError(f"no convolution is called {name}", hint=hint)
    return {name: layers[name] for name in names} if names else layers


def describe_layer(layer: Convolution, summary: LayerSummary) -> dict[str, Any]:
    """Return what is known of a layer, as it is written to the JSON output."""
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


def compare_with_dense(layer: Convolution, size: tuple[int, int], summary: LayerSummary) -> dict[str, Any]:
    """Compare the bounds with the norm of the dense matrix; `holds` is None where that is too large."""
    import torch

    from ...spectrum import conv_operator

    operator = conv_operator(layer, size).double()
    if math.prod(operator.input_shape) * math.prod(operator.output_shape) > MAX_DENSE_ENTRIES:
        return {"exact": None, "holds": None}
    exact = torch.linalg.matrix_norm(operator.dense(), 2).item()
    return {"exact": exact, "holds": summary.norm.lower <= exact <= summary.norm.upper}


def format_facts(facts: dict[str, Any]) -> dict[str, str]:
    """Return the cells of the row of a layer."""
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
    """Align the cells of a row: names to the left, numbers to the right."""
    aligned = [
        f"{cell:<{COLUMNS.get(key, 0)}}" if key in {"layer", "verified"} else f"{cell:>{COLUMNS[key]}}"
        for key, cell in cells.items()
    ]
    return "  ".join(aligned).rstrip()


def check_plot(path: Path, force: bool) -> None:
    """Refuse a plot that cannot be written before anything is computed."""
    if path.suffix not in PLOT_SUFFIXES:
        raise OptionError(f"{path}: not a plot format", hint=f"name it *{', *'.join(PLOT_SUFFIXES)}")
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists already", hint="-f overwrites it")


def write_plot(path: Path, distributions: Mapping[str, Tensor], title: str) -> None:
    """Plot one curve per layer, singular values against their rank as a share of all.

    Args:
        path: The file, which appears whole or not at all.
        distributions: Singular values in descending order, by the name of the layer.
        title: Title of the plot.

    Raises:
        StyleTransferError: matplotlib is not installed, or the file cannot be written.
    """
    from ...files import write_atomically

    try:
        from matplotlib.figure import Figure  # the only import of matplotlib in the package
    except ImportError as error:
        hint = 'pip install "styletransfer[plot]"'
        raise StyleTransferError("plots need matplotlib", hint=hint) from error
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for name, values in distributions.items():
        share = [(index + 0.5) / len(values) for index in range(len(values))]
        axes.plot(share, values.clamp_min(1e-12).tolist(), label=name, linewidth=1)
    axes.set(
        xlabel="share of all singular values", ylabel="singular value", title=title, yscale="log", xlim=(0, 1)
    )
    largest = max(float(values[0]) for values in distributions.values())
    axes.set_ylim(1e-3 * (largest or 1), 1.5 * (largest or 1))
    if len(distributions) <= 24:
        axes.legend(fontsize="x-small", ncols=2)
    data = io.BytesIO()
    figure.savefig(data, format=path.suffix.removeprefix("."), dpi=120)
    write_atomically(path, data.getvalue())
