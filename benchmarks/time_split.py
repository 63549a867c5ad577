"""Split the time of a stylization into its parts, and show how fast its convolutions are.

    python -m benchmarks.time_split --sizes 256 512 1024 2048

One process reads a picture file, stylizes it in a measured style and writes the result. For each size and
precision, a line shows the median processor milliseconds of the parts, each without the parts that it calls,
and the GFLOP/s of the convolutions and of a matrix product of 2048 x 2048 on the same thread.
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
from torch import Tensor

from styletransfer.media import Picture, read_picture, write_picture
from styletransfer.model import load_model
from styletransfer.options import RuntimeOptions, StylizeOptions
from styletransfer.pipeline import StylizationPipeline
from styletransfer.pipeline.network_runner import NetworkRunner
from styletransfer.pipeline.process_memory import tune_allocator
from styletransfer.pipeline.streamed_maps import StatisticsAccumulator
from styletransfer.pipeline.streaming_layers import ConvParameters
from styletransfer.transfer import TransferTarget

MATRIX_SIZE = 2048


class Stopwatch:
    """Measures the processor seconds that functions take, without the watched functions that they call."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.operations = 0  # floating-point operations of the convolutions
        self._inner: list[float] = []

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Replace a function by a watched one for the rest of the process."""
        setattr(owner, name, self.wrap(part, getattr(owner, name)))

    def wrap(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same and adds its time to a part."""

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

    def wrap_convolution(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Return a watched convolution that also counts its operations."""
        timed = self.wrap("convolution", function)

        def call(inputs: Tensor, weight: Tensor, bias: Tensor, stride: tuple[int, int]) -> Tensor:
            result: Tensor = timed(inputs, weight, bias, stride=stride)
            # Kernels for several pixels are wider than 3x3, but the additional weights are zero.
            self.operations += 2 * 9 * inputs.shape[1] * result.numel()
            return result

        return call


def watch_pipeline(stopwatch: Stopwatch) -> None:
    """Watch the parts of a stylization.

    The rest of a pass is pooling, upsampling, merging, activations, moving rows and the color transfer.
    """
    stopwatch.watch(NetworkRunner, "_encode", "rest of encoding")
    stopwatch.watch(NetworkRunner, "_measure", "rest of decoding")
    stopwatch.watch(NetworkRunner, "apply", "rest of decoding")
    stopwatch.watch(StatisticsAccumulator, "_add", "statistics")
    stopwatch.watch(StatisticsAccumulator, "result", "statistics")
    stopwatch.watch(TransferTarget, "find_map", "decompositions")
    stopwatch.watch(ConvParameters, "fold_map", "transfer")
    F.conv2d = stopwatch.wrap_convolution(F.conv2d)


def measure(
    pipeline: StylizationPipeline, size: int, repetitions: int, stopwatch: Stopwatch
) -> dict[str, float]:
    """Return the milliseconds of every part and the GFLOP/s of the convolutions."""
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
            picture = stopwatch.wrap("read", read_picture)(source)
            result = pipeline.stylize(picture.pixels, style, StylizeOptions())
            stopwatch.wrap("write", write_picture)(Picture(result), target)
            total = time.process_time() - start
            parts = {name: 1e3 * seconds for name, seconds in stopwatch.seconds.items()}
            rate = stopwatch.operations / stopwatch.seconds["convolution"] / 1e9
            other = 1e3 * total - sum(parts.values())
            rows.append({"total": 1e3 * total, **parts, "other": other, "rate": rate})
    return {name: statistics.median(row[name] for row in rows[1:]) for name in rows[0]}


def time_matrix_product(dtype: torch.dtype, repetitions: int) -> float:
    """Return the median GFLOP/s of a matrix product."""
    matrix = torch.rand(MATRIX_SIZE, MATRIX_SIZE).to(dtype)
    rates = []
    for _ in range(repetitions + 1):
        start = time.process_time()
        matrix @ matrix
        rates.append(2 * MATRIX_SIZE**3 / (time.process_time() - start) / 1e9)
    return statistics.median(rates[1:])


def main() -> None:
    """Measure all sizes and precisions, and print a line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048])
    parser.add_argument("--precisions", nargs="+", default=["auto", "fp32"])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--model", default="default", help="name of a model or path of its weights")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tune_allocator()
    stopwatch = Stopwatch()
    watch_pipeline(stopwatch)
    model = load_model(arguments.model)
    for precision in arguments.precisions:
        pipeline = StylizationPipeline(model, RuntimeOptions(device="cpu", precision=precision))
        for size in arguments.sizes:
            row = measure(pipeline, size, arguments.repetitions, stopwatch)
            product = time_matrix_product(pipeline.precision.content, arguments.repetitions)
            rounded = {name: round(value, 1) for name, value in {**row, "matrix product": product}.items()}
            print(json.dumps({"size": size, "precision": precision, **rounded}), flush=True)


if __name__ == "__main__":
    main()
