"""Time of a stylization, paired with the cascade of Collaborative-Distillation in the same run.

    python -m benchmarks.inference --baseline collaborative_distillation_16x.safetensors

Repetitions alternate between the two, and processor time is counted, so that other work on the machine
disturbs both alike. Printed are medians, and medians of the ratios. Without a baseline only our times are.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.collaborative_distillation import Cascade
from styletransfer.model import load_model
from styletransfer.options import RuntimeOptions, StylizeOptions
from styletransfer.pipeline import StylizationPipeline
from styletransfer.pipeline.memory import hold_freed_memory


def measure_seconds(work: Callable[[], object]) -> float:
    """Return the processor seconds that a piece of work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(
    pipeline: StylizationPipeline, cascade: Cascade | None, size: int, repetitions: int
) -> dict[str, float]:
    """Time a content and a style of equal size; the first repetition warms up."""
    generator = torch.Generator().manual_seed(0)
    content, style = (
        torch.randint(0, 256, (3, size, size), dtype=torch.uint8, generator=generator) for _ in range(2)
    )
    pictures = content[None] / 255, style[None] / 255
    measured = pipeline.measure(style)
    rows = []
    for _ in range(repetitions + 1):
        style_seconds = measure_seconds(lambda: pipeline.measure(style))
        seconds = measure_seconds(lambda: pipeline.stylize(content, measured, StylizeOptions()))
        row = {"style": style_seconds, "stylize": seconds}
        if cascade is not None:
            row["baseline"] = measure_seconds(partial(cascade.stylize, *pictures))
            row["ratio_cached"] = seconds / row["baseline"]
            row["ratio"] = (style_seconds + seconds) / row["baseline"]
        rows.append(row)
    return {name: statistics.median(row[name] for row in rows[1:]) for name in rows[0]}


def main() -> None:
    """Measure all sizes and precisions and print a line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--baseline", type=Path, help="weights of the cascade")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", default="default")
    given = parser.parse_args()
    hold_freed_memory()
    torch.set_num_threads(given.threads)
    cascade = Cascade(given.baseline) if given.baseline else None
    for precision in given.precisions:
        runtime = RuntimeOptions(device="cpu", precision=precision)
        pipeline = StylizationPipeline(load_model(given.model), "benchmark", runtime)
        for size in given.sizes:
            row = compare(pipeline, cascade, size, given.repetitions)
            rounded = {name: round(value, 4) for name, value in row.items()}
            print(json.dumps({"size": size, "precision": precision, **rounded}), flush=True)


if __name__ == "__main__":
    main()
