"""The figures of docs/robust-whitening.md, drawn from tables that were written with --json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes

from styletransfer.linalg import eigh

from .features import CASES

STYLE: Any = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 110}
ACCENT, GRAY = "#c8442b", "#9a9a9a"

# Errors that are larger or NaN are drawn at this value.
CEILING = 1e2


def draw_plots(folder: Path, accuracy: Path, timing: Path) -> list[Path]:
    """Draw error by method, kept share of the gradient, and time by width. Return the written files."""
    rows = [json.loads(line) for line in accuracy.read_text(encoding="utf-8").splitlines()]
    times = [json.loads(line) for line in timing.read_text(encoding="utf-8").splitlines()]
    written = []
    with matplotlib.rc_context(STYLE):
        for name, size, draw in (
            ("error", (6.4, 3.0), lambda axes: draw_errors(axes, rows)),
            ("share", (3.6, 2.4), draw_kept_share),
            ("time", (3.6, 2.4), lambda axes: draw_times(axes, times)),
        ):
            figure, axes = plt.subplots(figsize=size, layout="constrained")
            draw(axes)
            path = folder / f"robust-whitening-{name}.png"
            figure.savefig(path)
            plt.close(figure)
            written.append(path)
    return written


def draw_errors(axes: Axes, rows: list[dict[str, float | str]]) -> None:
    """Draw one row of points per method, with a point for every cell of the table."""
    methods = list(dict.fromkeys(str(row["method"]) for row in rows))
    for height, method in enumerate(reversed(methods)):
        for row in rows:
            if row["method"] != method:
                continue
            values = torch.tensor([float(row[case]) for case in CASES])
            lost = ~torch.isfinite(values) | (values > CEILING)
            color = ACCENT if method.startswith(("fused", "all")) else GRAY
            axes.plot(
                torch.where(lost, CEILING, values), [height] * len(values), "o", ms=3, color=color, alpha=0.6
            )
            if lost.any():
                axes.plot(CEILING, height, "x", ms=6, color="black")
    axes.set_yticks(range(len(methods)), list(reversed(methods)))
    axes.set_xscale("log")
    axes.set_xlabel(
        "relative error of the gradient (one point per spectrum and width; × is NaN or above 100)"
    )
    axes.axvline(1e-4, color="black", lw=0.5, ls=":")


def draw_kept_share(axes: Axes) -> None:
    """Draw the share of the gradient of a pair of eigenvalues that each expansion keeps."""
    ratios = torch.linspace(0.02, 0.999, 60, dtype=torch.float64)
    for degree, shade in ((4, "#cccccc"), (9, "#888888"), (19, "#444444")):
        axes.plot(
            ratios,
            [_kept_share(float(r), degree) for r in ratios],
            color=shade,
            label=f"Taylor, K = {degree}",
        )
    axes.plot(ratios, torch.ones_like(ratios), color=ACCENT, label="exact")
    axes.set_xlabel("ratio of the two eigenvalues")
    axes.set_ylabel("share of the gradient kept")
    axes.legend(frameon=False, loc="lower left")


def _kept_share(ratio: float, degree: int) -> float:
    """Return the off-diagonal gradient of a rebuilt square root, divided by the true one."""
    point = torch.diag(torch.tensor([1.0, ratio], dtype=torch.float64)).requires_grad_()
    values, vectors = eigh(point, degree=degree)
    rebuilt = (vectors * values.sqrt()) @ vectors.mT
    (found,) = torch.autograd.grad(rebuilt[0, 1], point)
    true = 0.5 / (1 + ratio**0.5)  # Half of the derivative. The other half is at (1, 0).
    share: float = found[0, 1].item() / true
    return share


def draw_times(axes: Axes, rows: list[dict[str, float | str]]) -> None:
    """Draw the time of the inverse square root over its width, in float32."""
    shown = {"one eigh": "black", "exact": ACCENT, "eigh autograd": "#888888", "taylor 9": "#555555"}
    shown |= {"newton-schulz 5": "#7aa6c2", "mpa-lya": "#2f6f8f"}
    for method, color in shown.items():
        line = [
            (float(r["C"]), float(r["ms"])) for r in rows if r["method"] == method and r["dtype"] == "float32"
        ]
        axes.loglog(*zip(*line, strict=True), "o-", ms=2.5, lw=1, color=color, label=method)
    channels = sorted({int(row["C"]) for row in rows})
    axes.set_xticks(channels, [str(width) for width in channels])
    axes.minorticks_off()
    axes.set_xlabel("channels")
    axes.set_ylabel("ms, one core")
    axes.legend(frameon=False)
