"""Plot time and memory against the number of pixels, with those of Collaborative-Distillation's cascade.

    python -m benchmarks.scaling --baseline collaborative_distillation_16x.safetensors --plot scaling.png

For every size, the program and the cascade run one after the other, each in a process of its own. Content and
style are squares of that size in memory, one thread computes, and the precision is the default. Each line
shows the processor seconds, the lesser of two runs, and the peak memory of the process above that of one that
has only imported the same modules. For sizes above --baseline-limit only this program runs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.inference import set_up_baseline, set_up_program
from benchmarks.workers import Cost, Worker

# Costs by size.
Costs = dict[int, Cost]
REPETITIONS = 2


def set_up_nothing() -> Callable[[], None]:
    """Return work that does nothing, for a process that has only imported the modules."""
    return lambda: None


def measure_program(model: str, size: int) -> Cost:
    """Return the cost of our network, which includes measuring the style."""
    with Worker(set_up_program, model, "auto", None, 1) as worker:
        seconds = [
            worker.run("measure", size).seconds + worker.run("stylize", size).seconds
            for _ in range(REPETITIONS)
        ]
        return Cost(min(seconds), worker.run("stylize", size).peak)


def measure_baseline(weights: Path, size: int) -> Cost:
    """Return the cost of the cascade."""
    with Worker(set_up_baseline, weights, 1, False) as worker:
        costs = [worker.run(size) for _ in range(REPETITIONS)]
    return Cost(min(cost.seconds for cost in costs), costs[-1].peak)


def draw(curves: dict[str, Costs], target: Path) -> None:
    """Draw seconds and MiB over megapixels on logarithmic axes."""
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
    """Measure all sizes, print a line of JSON for each, and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--baseline", type=Path, required=True, help="weights of the cascade")
    parser.add_argument("--baseline-limit", type=int, default=2048, help="largest size of the cascade")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096])
    parser.add_argument("--model", default="default", help="name of a model or path of its weights")
    parser.add_argument("--plot", type=Path, required=True, help="file of the plot")
    arguments = parser.parse_args()
    with Worker(set_up_nothing) as worker:
        bare = worker.run().peak
    program: Costs = {}
    baseline: Costs = {}
    for size in arguments.sizes:
        found = {"program": (program, measure_program(arguments.model, size))}
        if size <= arguments.baseline_limit:
            found["cascade"] = baseline, measure_baseline(arguments.baseline, size)
        row: dict[str, float] = {"size": size}
        for name, (costs, cost) in found.items():
            costs[size] = cost._replace(peak=cost.peak - bare)
            row |= {f"{name} s": round(cost.seconds, 3), f"{name} MiB": costs[size].peak >> 20}
        print(json.dumps(row), flush=True)
    draw({"this program": program, "Collaborative-Distillation, cascade": baseline}, arguments.plot)


if __name__ == "__main__":
    main()
