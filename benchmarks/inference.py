"""Time of a stylization, paired with the cascade of Collaborative-Distillation in the same run.

    python -m benchmarks.inference --baseline collaborative_distillation_16x.safetensors --strokes auto 1

Each works in a process of its own, in turns, and processor time is counted, so that other work on the
machine disturbs both alike. Printed are medians, and medians of the ratios. Without a baseline only our
times are. The program keeps freed memory (see `styletransfer.pipeline.memory`), the cascade as published does
not; `--baseline-holds` gives it the same setting. `--strokes 1` is a single pass at every size.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.collaborative_distillation import Cascade
from benchmarks.workers import Worker
from styletransfer.api import Stylizer
from styletransfer.media import Picture
from styletransfer.model import StyleStatistics
from styletransfer.options import Precision, RuntimeOptions, StylizeOptions, settle_strokes
from styletransfer.pipeline.memory import hold_freed_memory


def make_pair(size: int) -> tuple[Tensor, Tensor]:
    """Return a content and a style [3, size, size], uint8, always the same."""
    generator = torch.Generator().manual_seed(0)
    content, style = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=generator)
    return content, style


def set_up_ours(
    model: str, precision: Precision, strokes: int | None, threads: int
) -> Callable[[str, int], None]:
    """Load our network; the work is to "measure" a style or to "stylize" with it, at a size."""
    hold_freed_memory()
    stylizer = Stylizer(model, runtime=RuntimeOptions(device="cpu", precision=precision, threads=threads))
    measured: dict[int, StyleStatistics] = {}

    def work(task: str, size: int) -> None:
        content, style = map(Picture, make_pair(size))
        full = size if strokes == 1 else None  # all of the style, as much as of the content
        look = settle_strokes(StylizeOptions(stroke_scale=strokes, style_size=full), size, size)
        if task == "measure":
            measured[size] = stylizer.measure_style(
                style, style_size=look.style_size, stroke_scale=look.stroke_scale
            )
        else:
            stylizer.stylize_picture(content, [measured[size]], look)

    return work


def set_up_baseline(weights: Path, threads: int, holds: bool) -> Callable[[int], None]:
    """Load the cascade; the work is to stylize at a size."""
    if holds:
        hold_freed_memory()
    torch.set_num_threads(threads)
    cascade = Cascade(weights)

    def work(size: int) -> None:
        content, style = (picture[None] / 255 for picture in make_pair(size))
        cascade.stylize(content, style)

    return work


def compare(ours: Worker, baseline: Worker | None, size: int, repetitions: int) -> dict[str, float]:
    """Time a content and a style of equal size; the first repetition warms up."""
    rows = []
    for _ in range(repetitions + 1):
        row = {task: ours.run(task, size).seconds for task in ("measure", "stylize")}
        if baseline is not None:
            row["baseline"] = baseline.run(size).seconds
            row["ratio_cached"] = row["stylize"] / row["baseline"]
            row["ratio"] = (row["measure"] + row["stylize"]) / row["baseline"]
        rows.append(row)
    return {name: statistics.median(row[name] for row in rows[1:]) for name in rows[0]}


def main() -> None:
    """Measure all sizes and precisions and print a line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--baseline", type=Path, help="weights of the cascade")
    parser.add_argument("--baseline-holds", action="store_true", help="let the cascade keep freed memory too")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--precisions", nargs="+", default=["auto", "fp32"])
    parser.add_argument("--strokes", nargs="+", default=["auto"], help="scales of the strokes, or auto")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", default="default")
    given = parser.parse_args()
    with ExitStack() as stack:
        baseline = None
        if given.baseline:
            arguments = given.baseline, given.threads, given.baseline_holds
            baseline = stack.enter_context(Worker(set_up_baseline, *arguments))
        for precision, strokes in product(given.precisions, given.strokes):
            scale = None if strokes == "auto" else int(strokes)
            ours = stack.enter_context(Worker(set_up_ours, given.model, precision, scale, given.threads))
            for size in given.sizes:
                row = compare(ours, baseline, size, given.repetitions)
                rounded = {name: round(value, 4) for name, value in row.items()}
                way = {"size": size, "precision": precision, "strokes": strokes}
                print(json.dumps(way | rounded), flush=True)


if __name__ == "__main__":
    main()
