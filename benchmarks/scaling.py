"""Time and memory against the number of pixels, beside the cascade of Collaborative-Distillation, as a plot.

    python -m benchmarks.scaling --baseline collaborative_distillation_16x.safetensors --plot scaling.png

Every size is a process of its own for each of the two, in turns: content and style of that many pixels
squared, in memory, one thread, in the default precision. Printed are processor seconds, the lesser of two
runs, and the peak of the process above one that has only imported the same modules. Sizes above
--baseline-limit are ours alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.inference import set_up_baseline, set_up_ours
from benchmarks.workers import Cost, Worker

Costs = dict[int, Cost]  # by size
REPETITIONS = 2


def set_up_nothing() -> Callable[[], None]:
    """Make a process that has what the others have before they begin."""
    return lambda: None


def stylize_ours(model: str, size: int) -> Cost:
    """Measure our network, the style not known before."""
    with Worker(set_up_ours, model, "auto", None, 1) as worker:
        seconds = [
            worker.run("measure", size).seconds + worker.run("stylize", size).seconds
            for _ in range(REPETITIONS)
        ]
        return Cost(min(seconds), worker.run("stylize", size).peak)


def stylize_baseline(weights: Path, size: int) -> Cost:
    """Measure the cascade."""
    with Worker(set_up_baseline, weights, 1, False) as worker:
        costs = [worker.run(size) for _ in range(REPETITIONS)]
    return Cost(min(cost.seconds for cost in costs), costs[-1].peak)


def draw(curves: dict[str, Costs], target: Path) -> None:
    """Draw seconds and MiB over megapixels, all logarithmic."""
    figure, (time, memory) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for name, costs in curves.items():
        pixels = [size**2 / 1e6 for size in costs]
        time.plot(pixels, [cost.seconds for cost in costs.values()], "o-", label=name)
        memory.plot(pixels, [cost.peak / 2**20 for cost in costs.values()], "o-", label=name)
    time.set(ylabel="processor seconds, one thread")
    memory.set(ylabel="peak above imports, MiB")
    for panel in (time, memory):
        panel.set(xscale="log", yscale="log", xlabel="megapixels")
        panel.grid(visible=True, which="both", alpha=0.2)
    figure.legend(*time.get_legend_handles_labels(), loc="outside upper center", ncols=len(curves))
    figure.savefig(target, dpi=100)


def main() -> None:
    """Measure all sizes, print a line of JSON for each, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--baseline", type=Path, required=True, help="weights of the cascade")
    parser.add_argument("--baseline-limit", type=int, default=2048, help="its largest size")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096])
    parser.add_argument("--model", default="default")
    parser.add_argument("--plot", type=Path, required=True)
    given = parser.parse_args()
    with Worker(set_up_nothing) as worker:
        bare = worker.run().peak
    ours: Costs = {}
    baseline: Costs = {}
    for size in given.sizes:
        found = {"ours": (ours, stylize_ours(given.model, size))}
        if size <= given.baseline_limit:
            found["cascade"] = baseline, stylize_baseline(given.baseline, size)
        row: dict[str, float] = {"size": size}
        for name, (costs, cost) in found.items():
            costs[size] = cost._replace(peak=cost.peak - bare)
            row |= {f"{name} s": round(cost.seconds, 3), f"{name} MiB": costs[size].peak >> 20}
        print(json.dumps(row), flush=True)
    draw({"this program": ours, "Collaborative-Distillation, cascade": baseline}, given.plot)


if __name__ == "__main__":
    main()
