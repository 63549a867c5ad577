"""Parts of `benchmarks/on_gpu.sh`: correctness, times and memory, decompositions, memory layouts.

    python -m benchmarks.on_gpu correctness
    python -m benchmarks.on_gpu table --sizes 512 1024 2048 4096 8192

Each prints a line of JSON per measurement. `--device cpu` and small sizes rehearse it without a GPU.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from benchmarks.inference import make_pair
from benchmarks.workers import MAXRSS_UNIT
from styletransfer.api import Stylizer
from styletransfer.errors import StyleTransferError
from styletransfer.media import Picture, read_picture
from styletransfer.options import RuntimeOptions, StylizeOptions, resolve_stroke_scale
from styletransfer.pipeline.process_memory import tune_allocator

EXAMPLES = Path(__file__).parents[1] / "examples"
PAIRS = (("chelsea", "nocturne"), ("coffee", "woodcut"), ("china", "mosaic"))
MOST_LEVELS = 2  # of 255, between the picture of the device and the processor's
MOST_STATISTICS_ERROR = 1e-6  # relative to the largest entry
CHANNELS = (16, 32, 64, 128)
Row = dict[str, Any]


def correctness(device: str, sizes: list[int], repetitions: int) -> Iterator[Row]:
    """Compare pictures and style statistics of a device with the processor's, in float32."""
    runs = [Stylizer(runtime=RuntimeOptions(device=name, precision="fp32")) for name in (device, "cpu")]
    for (content, style), size in product(PAIRS, sizes):
        style_path = EXAMPLES / "style" / f"{style}.jpg"
        measured = [run.measure_style(style_path, stroke_scale=1).to("cpu") for run in runs]
        errors = [
            float((one - other).abs().max() / other.abs().max().clamp_min(1e-30))
            for mine, theirs in zip(measured[0].levels, measured[1].levels, strict=True)
            for one, other in zip(mine, theirs, strict=True)
        ]
        picture = read_picture(EXAMPLES / "content" / f"{content}.jpg")
        options = StylizeOptions(size=size)
        one, other = (
            run.stylize_picture(picture, [style_path], options).picture.pixels.int() for run in runs
        )
        levels = int((one.cpu() - other).abs().max())
        passed = levels <= MOST_LEVELS and max(errors) <= MOST_STATISTICS_ERROR
        yield {
            "part": "correctness",
            "content": content,
            "style": style,
            "size": size,
            "levels": levels,
            "statistics": max(errors),
            "passed": passed,
        }


def table(device: str, sizes: list[int], repetitions: int) -> Iterator[Row]:
    """Time whole stylizations in a measured style, and their memory, by size and precision."""
    for precision in ("fp32", "mixed", "bf16"):
        stylizer = Stylizer(runtime=RuntimeOptions(device=device, precision=precision))
        for size in sizes:
            content, style = map(Picture, make_pair(size))
            options = resolve_stroke_scale(StylizeOptions(), size, size)
            row: Row = {"part": "table", "precision": precision, "size": size}
            try:
                start = time.perf_counter()
                measured = stylizer.measure_style(
                    style, style_size=options.style_size, stroke_scale=options.stroke_scale, exact=False
                )
                synchronize(device)
                row["measure_seconds"] = time.perf_counter() - start
                reset_memory(device)
                seconds = measure_times(
                    partial(stylizer.stylize_picture, content, [measured], options),
                    device,
                    repetitions,
                )
                row |= {"seconds": statistics.median(seconds), "first_seconds": seconds[0]}
                row["megapixels_per_second"] = size**2 / 1e6 / row["seconds"]
                row["memory_mib"] = read_memory(device)
            except StyleTransferError as error:  # such as a picture that does not fit
                row["error"] = str(error)
            yield row


def decompositions(device: str, sizes: list[int], repetitions: int) -> Iterator[Row]:
    """Time batches of small symmetric eigendecompositions in float64, on the device and on the processor."""
    for channels, batch in product(CHANNELS, (1, 16)):
        samples = torch.randn(batch, channels, 4 * channels, dtype=torch.float64)
        matrices = samples @ samples.mT
        row: Row = {"part": "decompositions", "channels": channels, "batch": batch}
        for name in dict.fromkeys((device, "cpu")):
            placed = matrices.to(name)
            seconds = measure_times(partial(torch.linalg.eigh, placed), name, repetitions)
            row[f"{name}_milliseconds"] = 1e3 * statistics.median(seconds)
        moved = matrices.to(device)
        seconds = measure_times(partial(decompose_on_processor, moved), device, repetitions)
        yield row | {"by_way_of_cpu_milliseconds": 1e3 * statistics.median(seconds)}


def decompose_on_processor(matrices: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Decompose matrices of any device on the processor, and move the result back."""
    return tuple(each.to(matrices.device) for each in torch.linalg.eigh(matrices.cpu()))


def layouts(device: str, sizes: list[int], repetitions: int) -> Iterator[Row]:
    """Time a convolution of 64 channels in both memory layouts; the program uses channels last."""
    names = {torch.contiguous_format: "contiguous", torch.channels_last: "channels_last"}
    for size, dtype in product(sizes, (torch.float32, torch.bfloat16)):
        row: Row = {"part": "layouts", "size": size, "dtype": str(dtype).removeprefix("torch.")}
        for layout, name in names.items():
            features = torch.randn(1, 64, size // 2, size // 2, device=device, dtype=dtype)
            convolution = torch.nn.Conv2d(64, 64, 3, padding=1, device=device, dtype=dtype)
            features = features.contiguous(memory_format=layout)
            convolution = convolution.to(memory_format=layout)
            with torch.no_grad():
                seconds = measure_times(partial(convolution, features), device, repetitions)
            row[f"{name}_milliseconds"] = 1e3 * statistics.median(seconds)
        yield row


def measure_times(function: Callable[[], object], device: str, repetitions: int) -> list[float]:
    """Return the wall-clock seconds of some calls, after one that warms up."""
    seconds = []
    for _ in range(repetitions + 1):
        start = time.perf_counter()
        function()
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def synchronize(device: str) -> None:
    """Wait until a GPU has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def reset_memory(device: str) -> None:
    """Begin to count the peak memory of a GPU."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()


def read_memory(device: str) -> float:
    """Return the peak memory in MiB, of a GPU since it was reset, else of the whole process so far."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT / 2**20


PARTS = {each.__name__: each for each in (correctness, table, decompositions, layouts)}


def main() -> None:
    """Run a part; the exit code is 1 if a comparison fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048, 4096, 8192])
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    tune_allocator()
    failed = False
    for row in PARTS[arguments.part](arguments.device, arguments.sizes, arguments.repetitions):
        rounded = {name: round(each, 9) if isinstance(each, float) else each for name, each in row.items()}
        print(json.dumps(rounded), flush=True)
        failed |= row.get("passed") is False
    raise SystemExit(int(failed))


if __name__ == "__main__":
    main()
