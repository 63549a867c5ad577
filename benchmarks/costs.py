"""What a million pictures cost in processor hours and bytes, from the measured cost of one.

    python -m benchmarks.costs --width 1632 --height 1224

One thread reads a JPEG, stylizes it in a measured style and writes a JPEG. The parts are medians of processor
seconds, so that other work on the machine has little effect.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.memory import make_content
from styletransfer.api import Stylizer
from styletransfer.media import read_picture, write_picture
from styletransfer.options import RuntimeOptions, StylizeOptions, resolve_stroke_scale
from styletransfer.pipeline.process_memory import tune_allocator

STYLE = Path(__file__).parents[1] / "examples" / "style" / "nocturne.jpg"
MILLION = 1_000_000


def measure(function: Callable[[], object], repetitions: int) -> float:
    """Return the median processor seconds of a call, after one that warms up."""
    seconds = []
    for _ in range(repetitions + 1):
        start = time.process_time()
        function()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds[1:])


def main() -> None:
    """Print the costs of one picture and of a million as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--width", type=int, default=1632)
    parser.add_argument("--height", type=int, default=1224)
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tune_allocator()
    with tempfile.TemporaryDirectory() as name:
        content, result = Path(name) / "content.jpg", Path(name) / "result.jpg"
        make_content(content, arguments.width, arguments.height)
        stylizer = Stylizer(runtime=RuntimeOptions(device="cpu"))
        picture = read_picture(content)
        options = resolve_stroke_scale(StylizeOptions(), arguments.width, arguments.height)
        stylize = partial(stylizer.stylize_picture, picture, [STYLE], options)
        stylized = stylize().picture
        seconds = {
            "read": measure(partial(read_picture, content), arguments.repetitions),
            "stylize": measure(stylize, arguments.repetitions),
            "write": measure(partial(write_picture, stylized, result), arguments.repetitions),
        }
        one = {
            "megapixels": arguments.width * arguments.height / 1e6,
            "precision": stylizer.precision,
            **{f"{part}_seconds": round(value, 3) for part, value in seconds.items()},
            "content_bytes": content.stat().st_size,
            "result_bytes": result.stat().st_size,
        }
    total = sum(seconds.values())
    million = {
        "core_hours": round(MILLION * total / 3600),
        "days_on_16_cores": round(MILLION * total / 86400 / 16, 1),
        "read_terabytes": round(one["content_bytes"] * MILLION / 1e12, 2),
        "written_terabytes": round(one["result_bytes"] * MILLION / 1e12, 2),
        "cores_that_fill_1_gbit": round(125e6 * total / (one["content_bytes"] + one["result_bytes"])),
    }
    print(json.dumps({"one": one, "million": million}, indent=2))


if __name__ == "__main__":
    main()
