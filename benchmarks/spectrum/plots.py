"""The pictures of docs/conv-spectra.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from styletransfer.spectrum import conv_operator, conv_symbol, norm_bounds, singular_values
from styletransfer.spectrum.circulant_embedding import embed_in_circulant
from styletransfer.spectrum.symbol import frequency_grid
from styletransfer.spectrum.symbol_peaks import find_peaks

from .layers import ExactNorms, Layer
from .peers import PEERS

GRID = 96


def draw_plots(folder: Path, layers: Sequence[Layer], size: int, exact: ExactNorms) -> list[Path]:
    """Draw all pictures from layers; the title of each names the layer that it shows.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    layers = [layer for layer in layers if layer.weight[0, 0].numel() > 1]
    by_width = {min(layer.weight.shape[:2]): layer for layer in reversed(layers)}
    narrow, wide = by_width[min(by_width)], by_width[max(width for width in by_width if width <= 16)]
    figures = {
        "symbol": _symbol(narrow),
        "bounds": _bounds(layers, size, exact),
        "distribution": _distribution(wide),
    }
    paths = []
    for name, figure in figures.items():
        path = folder / f"conv-spectra-{name}.png"
        figure.savefig(path, dpi=80)
        paths.append(path)
    return paths


def _symbol(layer: Layer) -> Figure:
    """Draw the gain of a layer over all frequencies, with the grids of the transform and of the circulant."""
    size = 16
    circulant = embed_in_circulant(conv_operator(layer.conv(), (size, size)).double())
    peaks = find_peaks(circulant)
    gains = torch.linalg.matrix_norm(
        conv_symbol(layer.weight, grid=(GRID, GRID), phase=(torch.pi, torch.pi)), 2
    )
    middle = gains.roll((GRID // 2, GRID // 2), (0, 1))
    figure = Figure(figsize=(6.4, 5), layout="constrained")
    axes = figure.add_subplot()
    picture = axes.imshow(
        middle, extent=(-torch.pi, torch.pi, -torch.pi, torch.pi), origin="lower", cmap="viridis"
    )
    figure.colorbar(picture, label="largest singular value of F(w)")
    for grid, phase, color, label in (
        ((size, size), (0.0, 0.0), "white", f"transform of {size} x {size} (circular)"),
        (
            peaks.periods,
            peaks.phase,
            "red",
            f"twisted circulant of {peaks.periods[0]} x {peaks.periods[1]}",
        ),
    ):
        points = (frequency_grid(grid, phase) + torch.pi).remainder(2 * torch.pi) - torch.pi
        axes.plot(points[:, 1], points[:, 0], ".", color=color, markersize=3, label=label)
    axes.set(xlabel="frequency along columns", ylabel="along rows", title=f"{layer.name}: gain of a wave")
    axes.legend(loc="upper right", fontsize="small")
    return figure


def _bounds(layers: Sequence[Layer], size: int, exact: ExactNorms) -> Figure:
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    names = ["reshaped kernel (torch)", "circular (Sedghi)", "LipBound"]
    rows: dict[str, list[float]] = {name: [] for name in ("ours, lower", "ours, upper", "unfoldings", *names)}
    for layer in layers:
        norm, image = exact(layer, size), (size, size)
        interval = norm_bounds(layer.conv(), image)
        rows["ours, lower"].append(interval.lower / norm)
        rows["ours, upper"].append(interval.upper / norm)
        rows["unfoldings"].append(norm_bounds(layer.conv(), image, "unfoldings").upper / norm)
        for name in names:
            rows[name].append(PEERS[name](layer.weight, size) / norm)
    for place, ratios in enumerate(rows.values()):
        axes.plot(ratios, [place] * len(ratios), "o", alpha=0.5, markersize=5)
        axes.annotate(
            f"{min(ratios):.4f} .. {max(ratios):.4f}",
            (max(ratios), place),
            (6, -3),
            textcoords="offset points",
        )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xlabel="over the exact norm", title=f"{len(layers)} layers, {size} x {size}, zero padding")
    axes.set_xlim(0.3, 1.3 * max(map(max, rows.values())))
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    return figure


def _distribution(layer: Layer) -> Figure:
    size = (12, 12)
    conv = layer.conv()
    exact = singular_values(conv, size, "exact")
    figure = Figure(figsize=(8, 4), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    share = torch.arange(len(exact)) / len(exact)
    above.plot(share, exact, color="black", linewidth=1)
    above.set(ylabel="singular value", title=f"{layer.name}, {size[0]} x {size[1]}, zero padding")
    for method in ("circular", "density", "corrected"):
        error: Tensor = singular_values(conv, size, method) - exact
        below.plot(share, error, linewidth=1, label=f"{method}: mean {error.abs().mean():.2g}")
    below.set(xlabel="share of all singular values", ylabel="error")
    below.legend(fontsize="small")
    return figure
