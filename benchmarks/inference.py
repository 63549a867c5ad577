"""Time stylizations next to the cascade of Collaborative-Distillation in the same run.

    python -m benchmarks.inference --baseline collaborative_distillation_16x.safetensors --strokes auto 1

The program and the baseline take turns, each in a process of its own. Processor time is counted, so that
other work on the machine disturbs both equally. Each line shows medians, and medians of the ratios. Without a
baseline, only the times of this program are shown. The program tunes the C library's allocator to keep freed
memory (see `pipeline.process_memory`), the published cascade does not; `--tune-baseline` gives the
cascade the same setting. With `--strokes 1`, pictures of every size are computed in a single pass.
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
from styletransfer.options import Precision, RuntimeOptions, StylizeOptions, resolve_stroke_scale
from styletransfer.pipeline.process_memory import tune_allocator


def make_pair(size: int) -> tuple[Tensor, Tensor]:
    """Return a random content and style [3, size, size], uint8, always the same."""
    generator = torch.Generator().manual_seed(0)
    content, style = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=generator)
    return content, style


def set_up_program(
    model: str, precision: Precision, stroke_scale: int | None, threads: int
) -> Callable[[str, int], None]:
    """Load our network and return the work: "measure" a style of some size, or "stylize" in that style."""
    torch.set_num_threads(threads)
    tune_allocator()
    stylizer = Stylizer(model, runtime=RuntimeOptions(device="cpu", precision=precision))
    measured: dict[int, StyleStatistics] = {}

    def work(task: str, size: int) -> None:
        content, style = map(Picture, make_pair(size))
        # In a single pass the style is measured at full size, so that it is as large as the content.
        style_size = size if stroke_scale == 1 else None
        options = StylizeOptions(stroke_scale=stroke_scale, style_size=style_size)
        options = resolve_stroke_scale(options, size, size)
        if task == "measure":
            measured[size] = stylizer.measure_style(
                style, style_size=options.style_size, stroke_scale=options.stroke_scale, exact=False
            )
        else:
            stylizer.stylize_picture(content, [measured[size]], options)

    return work


def set_up_baseline(weights: Path, threads: int, tunes_allocator: bool) -> Callable[[int], None]:
    """Load the cascade and return the work: stylize a picture of some size."""
    if tunes_allocator:
        tune_allocator()
    torch.set_num_threads(threads)
    cascade = Cascade(weights)

    def work(size: int) -> None:
        content, style = (picture[None] / 255 for picture in make_pair(size))
        cascade.stylize(content, style)

    return work


def compare(program: Worker, baseline: Worker | None, size: int, repetitions: int) -> dict[str, float]:
    """Return medians for a content and a style of equal size; one more repetition comes first to warm up."""
    rows = []
    for _ in range(repetitions + 1):
        row = {task: program.run(task, size).seconds for task in ("measure", "stylize")}
        if baseline is not None:
            row["baseline"] = baseline.run(size).seconds
            row["ratio_cached"] = row["stylize"] / row["baseline"]
            row["ratio"] = (row["measure"] + row["stylize"]) / row["baseline"]
        rows.append(row)
    return {name: statistics.median(row[name] for row in rows[1:]) for name in rows[0]}


def main() -> None:
    """Measure all sizes and precisions, and print a line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--baseline", type=Path, help="weights of the cascade")
    parser.add_argument("--tune-baseline", action="store_true", help="tune the allocator for the cascade too")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--precisions", nargs="+", default=["auto", "fp32"])
    parser.add_argument("--strokes", nargs="+", default=["auto"], help="stroke scales, such as auto or 1")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", default="default", help="name of a model or path of its weights")
    arguments = parser.parse_args()
    threads = arguments.threads
    with ExitStack() as stack:
        baseline = None
        if arguments.baseline:
            baseline = Worker(set_up_baseline, arguments.baseline, threads, arguments.tune_baseline)
            stack.enter_context(baseline)
        for precision, strokes in product(arguments.precisions, arguments.strokes):
            scale = None if strokes == "auto" else int(strokes)
            worker = Worker(set_up_program, arguments.model, precision, scale, threads)
            program = stack.enter_context(worker)
            for size in arguments.sizes:
                row = compare(program, baseline, size, arguments.repetitions)
                rounded = {name: round(value, 4) for name, value in row.items()}
                settings = {"size": size, "precision": precision, "strokes": strokes}
                print(json.dumps(settings | rounded), flush=True)


if __name__ == "__main__":
    main()
