"""Where the time of a stylization goes, and how fast its convolutions are.

    python -m benchmarks.time_split --sizes 256 512 1024 2048

A picture file is read, stylized with a measured style and written, in one process. Printed are, for each size
and precision, the processor milliseconds of the parts (medians; each without those it calls), and the
convolutions' GFLOP/s beside the rate of a matrix product of 2048 x 2048 on the same thread.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from styletransfer.pipeline.accumulation import Accumulator
from styletransfer.pipeline.coloring import Coloring
from torch import Tensor

from styletransfer.media import Picture, read_picture, write_picture
from styletransfer.model import load_model
from styletransfer.options import RuntimeOptions, StylizeOptions
from styletransfer.pipeline import StylizationPipeline, engine
from styletransfer.pipeline.engine import Engine
from styletransfer.pipeline.memory import hold_freed_memory

SIDE = 2048  # of the matrices


class Stopwatch:
    """Counts the processor seconds spent in functions, each without the watched ones it calls."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.operations = 0  # floating-point, of the convolutions
        self._inner: list[float] = []

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Replace a function by one that is watched, for the rest of the process."""
        setattr(owner, name, self.timed(part, getattr(owner, name)))

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same and is watched."""

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            start = time.process_time()
            self._inner.append(0.0)
            try:
                return function(*arguments, **named)
            finally:
                elapsed = time.process_time() - start
                self.seconds[part] += elapsed - self._inner.pop()
                if self._inner:
                    self._inner[-1] += elapsed

        return call

    def convolve(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Return the convolution, watched and with its operations counted."""
        timed = self.timed("convolution", function)

        def call(inputs: Tensor, weight: Tensor, bias: Tensor, stride: tuple[int, int]) -> Tensor:
            result: Tensor = timed(inputs, weight, bias, stride=stride)
            # Of 3x3 kernels: those for several pixels are wider, by zeros.
            self.operations += 2 * 9 * inputs.shape[1] * result.numel()
            return result

        return call


def watch_pipeline(stopwatch: Stopwatch) -> None:
    """Watch the parts of a stylization.

    The rest of a pass: halving, doubling, adding, activations, rows moved; and the map of the colours.
    """
    stopwatch.watch(Engine, "_encode", "rest of encoding")
    stopwatch.watch(Engine, "_measure", "rest of decoding")
    stopwatch.watch(Engine, "paint", "rest of decoding")
    stopwatch.watch(Accumulator, "_add", "statistics")
    stopwatch.watch(Accumulator, "result", "statistics")
    stopwatch.watch(Coloring, "map_from", "decompositions")
    stopwatch.watch(engine, "fold_map", "transfer")
    F.conv2d = stopwatch.convolve(F.conv2d)


def measure(
    pipeline: StylizationPipeline, size: int, repetitions: int, stopwatch: Stopwatch
) -> dict[str, float]:
    """Return milliseconds by part, and the convolutions' GFLOP/s."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(1, 3, size // 8, size // 8, generator=generator)
    content = Picture.from_float(F.interpolate(small, (size, size), mode="bicubic").clamp(0, 1))
    style = pipeline.measure(content.pixels.flip(0))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "content.jpg"), Path(folder, "result.jpg")
        write_picture(content, source)
        for _ in range(repetitions + 1):
            stopwatch.seconds.clear()
            stopwatch.operations = 0
            start = time.process_time()
            picture = stopwatch.timed("read", read_picture)(source)
            result = pipeline.stylize(picture.pixels, style, StylizeOptions())
            stopwatch.timed("write", write_picture)(Picture(result), target)
            total = time.process_time() - start
            parts = {name: 1e3 * seconds for name, seconds in stopwatch.seconds.items()}
            rate = stopwatch.operations / stopwatch.seconds["convolution"] / 1e9
            other = 1e3 * total - sum(parts.values())
            rows.append({"total": 1e3 * total, **parts, "other": other, "rate": rate})
    return {name: statistics.median(row[name] for row in rows[1:]) for name in rows[0]}


def multiply(dtype: torch.dtype, repetitions: int) -> float:
    """Return the GFLOP/s of a matrix product, the median."""
    matrix = torch.rand(SIDE, SIDE).to(dtype)
    rates = []
    for _ in range(repetitions + 1):
        start = time.process_time()
        matrix @ matrix
        rates.append(2 * SIDE**3 / (time.process_time() - start) / 1e9)
    return statistics.median(rates[1:])


def main() -> None:
    """Measure all sizes and precisions and print a line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048])
    parser.add_argument("--precisions", nargs="+", default=["auto", "fp32"])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--model", default="default")
    given = parser.parse_args()
    hold_freed_memory()
    stopwatch = Stopwatch()
    watch_pipeline(stopwatch)
    for precision in given.precisions:
        runtime = RuntimeOptions(device="cpu", precision=precision, threads=1)
        pipeline = StylizationPipeline(load_model(given.model).network, "benchmark", runtime)
        for size in given.sizes:
            row = measure(pipeline, size, given.repetitions, stopwatch)
            product = multiply(pipeline.arithmetic.content, given.repetitions)
            rounded = {name: round(value, 1) for name, value in {**row, "matrix product": product}.items()}
            print(json.dumps({"size": size, "precision": precision, **rounded}), flush=True)


if __name__ == "__main__":
    main()
