"""Compare the throughput of workers on Ray with that of the threads of a local run, start-up not counted.

    python -m benchmarks.cluster --pictures 500 --size 256 --workers 2

Both run the command line on the same folder. Throughput counts from the line of the tenth result to the last.
The bytes of all results are compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from styletransfer.media import Picture, write_picture

STYLE = Path(__file__).parents[1] / "examples" / "style" / "nocturne.jpg"
SKIPPED = 10


def run(folder: Path, output: str, *options: str) -> dict[str, float]:
    """Stylize a folder; return the seconds until the first result, the rate after it and all seconds."""
    words = [sys.executable, "-m", "styletransfer", "stylize", str(folder / "in"), str(STYLE)]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*words, "-q", "-o", f"{folder}/{output}", *options], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    times = [time.perf_counter() - start for _ in process.stdout]
    process.wait()
    rate = (len(times) - SKIPPED) / (times[-1] - times[SKIPPED - 1])
    return {"first_result": times[0], "pictures_per_second": rate, "all": time.perf_counter() - start}


def main() -> None:
    """Print a line of JSON for both, and the ratio of their rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        for index in range(arguments.pictures):
            pixels = torch.rand(
                3, arguments.size, arguments.size, generator=torch.Generator().manual_seed(index)
            )
            write_picture(Picture.from_float(pixels), folder / "in" / f"{index:05}.png")
        count = str(arguments.workers)
        rows = {
            "local": run(folder, "local/", "--threads", count),
            "ray": run(folder, "ray/", "--engine", "ray", "--workers", count),
        }
        for engine, row in rows.items():
            print(json.dumps({"engine": engine} | {name: round(value, 2) for name, value in row.items()}))
        ratio = rows["ray"]["pictures_per_second"] / rows["local"]["pictures_per_second"]
        same = all(
            path.read_bytes() == (folder / "ray" / path.name).read_bytes()
            for path in (folder / "local").iterdir()
        )
        print(json.dumps({"ray_to_local": round(ratio, 2), "same_bytes": same}))


if __name__ == "__main__":
    main()
