"""Condense the metrics of training runs into one log: `python weights/training_log.py RUN [RUN ...]`.

The runs are the parts of one training, each started from the weights of the one before. The script writes the
means over every `STEPS` steps to training.jsonl and draws them in training.png, both beside this file. It
needs matplotlib. Hours are summed over all processes. With `--append` the rows of the present log stay, and
the runs follow them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from safetensors import safe_open

WEIGHTS = Path(__file__).parent
STEPS = 100  # steps per row of the log
TERMS = ("style", "content", "patch", "color", "identity", "stability")


def condense(runs: list[Path], earlier: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the means over every `STEPS` steps, with steps and hours counted from the first run on.

    Args:
        runs: Folders of runs.
        earlier: The last row of the runs before them; empty if there are none.
    """
    before, seconds = earlier.get("step", 0), 3600 * earlier.get("hours", 0.0)
    for part, run in enumerate(runs, earlier.get("part", 0) + 1):
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        batch, processes = read_batch(run / "model.safetensors")
        for start in range(0, len(rows), STEPS):
            group = rows[start : start + STEPS]
            seconds += processes * sum(batch / row["pairs_per_second"] for row in group)
            terms = {name: fmean(row["terms"][name] for row in group) for name in group[0]["terms"]}
            yield {
                "part": part,
                "step": before + group[-1]["step"],
                "hours": round(seconds / 3600, 4),
                **{name: float(f"{value:.4g}") for name, value in terms.items()},
                "learning_rate": float(f"{group[-1]['learning_rate']:.3g}"),
                "skipped_steps": group[-1]["skipped_steps"],
            }
        before += rows[-1]["step"]


def read_batch(weights: Path) -> tuple[int, int]:
    """Return the pairs per step and the number of processes of a run, from the provenance of its weights."""
    with safe_open(weights, framework="pt") as file:  # type: ignore[no-untyped-call]
        provenance = json.loads(file.metadata()["provenance"])
    return int(provenance["pairs"] // provenance["step"]), int(provenance.get("processes", 1))


def draw(rows: list[dict[str, Any]], target: Path) -> None:
    """Draw each term of the loss over the hours in a panel of its own, with one color per part."""
    size = 3 * len(TERMS), 3
    figure, panels = plt.subplots(1, len(TERMS), figsize=size, sharex=True, layout="constrained")
    for panel, term in zip(panels, TERMS, strict=True):
        for part in sorted({row["part"] for row in rows}):
            points = [(row["hours"], row[term]) for row in rows if row["part"] == part and term in row]
            panel.plot(*zip(*points, strict=True), linewidth=1) if points else panel.plot([], [])
        panel.set(title=term, yscale="log", xlabel="hours")
        panel.grid(visible=True, which="both", alpha=0.2)
    figure.savefig(target, dpi=90)


def main() -> None:
    """Write the log and its plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="Folders of runs.")
    parser.add_argument("--append", action="store_true", help="Keep the rows of the present log.")
    arguments = parser.parse_args()
    log = WEIGHTS / "training.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if arguments.append else []
    rows += condense(arguments.runs, rows[-1] if rows else {})
    lines = [json.dumps(row) for row in rows]
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw(rows, WEIGHTS / "training.png")


if __name__ == "__main__":
    main()
