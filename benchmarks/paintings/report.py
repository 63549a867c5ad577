"""The tables and the curves of the results."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from ..linalg.stopwatch import compare
from ..linalg.tables import Table
from .pictures import MOVEMENTS, SIDE
from .runs import REGULARIZERS, Results, tuning_runs, whitening_runs
from .training import BATCH, Learner

Row = dict[str, Any]

CHANCE_LEVEL = 25.0  # percent; a network below it on its own training pictures has learned nothing


def show_mean(values: Iterable[float]) -> str:
    """Return a mean and its standard error; "-" for what is not known."""
    values = list(values)
    if not values:
        return "-"
    error = f"{stdev(values) / sqrt(len(values)):.1f}" if len(values) > 1 else "-"
    return f"{mean(values):.1f} ± {error}"


def show_difference(rows: list[Row], others: list[Row], field: str = "test") -> str:
    """Return the mean difference of rows and others of the same seeds, and its standard error."""
    baseline = {row["seed"]: row for row in others}
    return show_mean(row[field] - baseline[row["seed"]][field] for row in rows if row["seed"] in baseline)


def whitening_table(results: Results) -> Table:
    """Return success rate and accuracy by method and dimension, beside batch normalization.

    Means are over all runs that stayed finite, those at chance included.
    """
    table = Table(
        "Whitening in place of the first normalization",
        ["normalization", "d", "runs", "finite", "at chance", "test %", "over batch norm", "train %"],
    )
    baseline = results.select(experiment="whitening", method="batch norm", succeeded=True)
    for run in whitening_runs(0):
        rows = results.select(
            experiment="whitening", method=run.method, dimension=run.dimension, everywhere=run.everywhere
        )
        finished = [row for row in rows if row["succeeded"]]
        table.add(
            run.method + ", everywhere" * run.everywhere,
            run.dimension or "-",
            len(rows),
            len(finished),
            sum(row["train"] < CHANCE_LEVEL for row in finished),
            show_mean(row["test"] for row in finished),
            "-" if run.method == "batch norm" else show_difference(finished, baseline),
            show_mean(row["train"] for row in finished),
        )
    return table


def regularization_table(results: Results) -> Table:
    """Return accuracy, gap and norms by regularizer, beside none."""
    table = Table(
        "Regularizers, each at the strength that did best on validation artists",
        [
            "regularizer",
            "strength",
            "runs",
            "test %",
            "over none",
            "train %",
            "gap",
            "norms: largest",
            "mean",
        ],
    )
    baseline = results.select(experiment="regularization", method="none", succeeded=True)
    for method in REGULARIZERS:
        rows = results.select(experiment="regularization", method=method, validation=False, succeeded=True)
        table.add(
            method,
            rows[0]["strength"] if rows and method != "none" else "-",
            len(rows),
            show_mean(row["test"] for row in rows),
            "-" if method == "none" else show_difference(rows, baseline),
            show_mean(row["train"] for row in rows),
            show_mean(row["train"] - row["test"] for row in rows),
            show_mean(max(row["norms"]) for row in rows),
            show_mean(mean(row["norms"]) for row in rows),
        )
    return table


def tuning_table(results: Results) -> Table:
    """Return the accuracy on validation artists by regularizer and strength."""
    table = Table("Accuracy on validation artists, one seed", ["regularizer", "strength: accuracy %"])
    for method in REGULARIZERS[1:]:
        rows = results.select(experiment="regularization", method=method, validation=True)
        cells = [f"{row['strength']:g}: {row.get('test', 'not finite')}" for row in rows]
        table.add(method, ", ".join(cells))
    return table


def time_table(repetitions: int = 15) -> Table:
    """Return the processor time of a step by method; the methods take turns."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(BATCH, 3, SIDE, SIDE, generator=generator)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(len(MOVEMENTS), (BATCH,), generator=generator)
    tasks = {}
    for run in [*whitening_runs(0), *tuning_runs()[: len(REGULARIZERS) - 1]]:
        learner = Learner(run, 10 * repetitions)
        name = " ".join([run.method, str(run.dimension or ""), "everywhere" * run.everywhere]).strip()
        tasks[name] = lambda learner=learner: learner.step(inputs, labels)
    times = compare(tasks, repetitions)
    table = Table("A step of 50 pictures on one core", ["method", "ms", "over batch norm"])
    for name, duration in times.items():
        table.add(name, f"{duration:.0f}", f"{duration / times['batch norm']:.2f}")
    return table


def draw_curves(results: Results, folder: Path) -> list[Path]:
    """Draw the curves of both experiments, means over the seeds. Return the written files."""
    from matplotlib.figure import Figure  # only drawing needs matplotlib

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    whitening = results.select(experiment="whitening", succeeded=True)
    for axes, dimension in zip(panels, (4, 16, 64), strict=True):
        for method in dict.fromkeys(run.method for run in whitening_runs(0)):
            fields = (
                {"dimension": dimension, "method": method} if method != "batch norm" else {"dimension": 0}
            )
            rows = [row for row in whitening if (fields | {"everywhere": False}).items() <= row.items()]
            _draw_mean(axes, rows, 3, method, "-")
        axes.set(title=f"whitening dimension {dimension}", xlabel="epoch")
    panels[0].set_ylabel("accuracy on unseen artists, %")
    panels[0].legend(fontsize="x-small", frameon=False)
    paths = [folder / "paintings-whitening.png"]
    figure.savefig(paths[0], dpi=100)
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes, errors = figure.subplots(1, 2)
    final = results.select(experiment="regularization", validation=False, succeeded=True)
    for method in REGULARIZERS:
        rows = [row for row in final if row["method"] == method]
        color = _draw_mean(axes, rows, 3, method, "-")
        _draw_mean(axes, rows, 2, None, ":", color)
    axes.set(xlabel="epoch", ylabel="accuracy, %", title="unseen artists (solid), training (dotted)")
    axes.legend(fontsize="x-small", frameon=False)
    for place, method in enumerate(REGULARIZERS):
        scores = [row["test"] for row in final if row["method"] == method]
        if scores:
            error = stdev(scores) / sqrt(len(scores)) if len(scores) > 1 else 0.0
            errors.errorbar(mean(scores), place, xerr=error, fmt="o", color="black", capsize=3)
            errors.plot(scores, [place] * len(scores), ".", color="gray", alpha=0.6)
    errors.set_yticks(range(len(REGULARIZERS)), REGULARIZERS)
    errors.invert_yaxis()
    errors.set(xlabel="accuracy on unseen artists, %", title="seeds, mean, standard error")
    paths.append(folder / "paintings-regularization.png")
    figure.savefig(paths[1], dpi=100)
    return paths


def _draw_mean(
    axes: Any, rows: list[Row], column: int, label: str | None, line: str, color: str | None = None
) -> str | None:
    """Draw the mean of a column of the curves, and return its color."""
    if not rows:
        return None
    curves = torch.tensor([row["curve"] for row in rows], dtype=torch.float64).mean(0)
    (drawn,) = axes.plot(curves[:, 0], curves[:, column], line, color=color, label=label, linewidth=1.2)
    found: str = drawn.get_color()
    return found
