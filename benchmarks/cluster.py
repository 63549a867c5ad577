"""Compare workers on Ray with the threads of a local run, start-up not counted.

    OMP_NUM_THREADS=1 python -m benchmarks.cluster --pictures 500 --size 256 --workers 2 --repeat 3

Both run the command line on the same folder, by turns. Rates count from the line of the hundredth result to
the last, in pictures per second of the clock and per second of processor time of all processes, Ray's own
too: on a machine that others use only the second means much. The bytes of all results are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from styletransfer.media import Picture, write_picture

STYLE = Path(__file__).parents[1] / "examples" / "style" / "nocturne.jpg"
SKIPPED = 100  # by then all workers have started
RATES = ("per_second", "per_processor_second")


def count_processor_seconds(root: int) -> float:
    """Return the processor time of a process and all its descendants, from /proc."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(entry.name)] = int(fields[1])
        ticks[int(entry.name)] = sum(map(int, fields[11:15]))
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(ticks[pid] for pid in family if pid in ticks) / os.sysconf("SC_CLK_TCK")


def run(folder: Path, output: str, pictures: int, *options: str) -> dict[str, float]:
    """Stylize a folder; return the seconds until the first result, the rates after it and all seconds."""
    words = [sys.executable, "-m", "styletransfer", "stylize", str(folder / "in"), str(STYLE)]
    shutil.rmtree(folder / output, ignore_errors=True)
    start = time.perf_counter()
    process = subprocess.Popen(
        [*words, "-q", "-o", f"{folder}/{output}", *options], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    times, processor = [], []
    for _ in process.stdout:
        times.append(time.perf_counter() - start)
        if len(times) in {SKIPPED, pictures}:
            processor.append(count_processor_seconds(process.pid))
    process.wait()
    if len(times) != pictures:
        raise SystemExit(f"{len(times)} of {pictures} results")
    done = pictures - SKIPPED
    return {
        "first_result": times[0],
        "per_second": done / (times[-1] - times[SKIPPED - 1]),
        "per_processor_second": done / (processor[1] - processor[0]),
        "all": time.perf_counter() - start,
    }


def main() -> None:
    """Print a line of JSON for each run, the ratio of the rates of each pair, and the median."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1)
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
        engines = {
            "local": ("--threads", count),
            "ray": ("--engine", "ray", "--workers", count),
        }
        ratios = []
        for _ in range(arguments.repeat):
            rows = {
                name: run(folder, f"{name}/", arguments.pictures, *options)
                for name, options in engines.items()
            }
            for name, row in rows.items():
                print(json.dumps({"engine": name} | {key: round(value, 2) for key, value in row.items()}))
            ratios.append({key: rows["ray"][key] / rows["local"][key] for key in RATES})
            same = all(
                path.read_bytes() == (folder / "ray" / path.name).read_bytes()
                for path in (folder / "local").iterdir()
            )
            found = {f"ray_to_local_{key}": round(value, 3) for key, value in ratios[-1].items()}
            print(json.dumps(found | {"same_bytes": same}), flush=True)
        print(json.dumps({f"median_{key}": round(median(each[key] for each in ratios), 3) for key in RATES}))


if __name__ == "__main__":
    main()
