"""Compare the throughput of a folder run with that of one process per picture, start-up not counted.

    python -m benchmarks.folder

The command line runs as users run it. Both take the style from a file of statistics, so that reading,
computing and writing remain. The start-up of a process for a single picture is its wall-clock time without
the seconds that it reports; its median is subtracted from the time of the folder run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from styletransfer.media import read_picture, resize_picture, write_picture

EXAMPLES = Path(__file__).parents[1] / "examples"
PROGRAM = [sys.executable, "-m", "styletransfer"]


class Run(NamedTuple):
    """Wall-clock seconds, processor seconds and standard output of a finished process."""

    wall: float
    processor: float
    output: str


def run_program(*arguments: str | Path) -> Run:
    """Run the command line in a process of its own."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([*PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Run(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout)


def fill_folder(folder: Path, count: int, size: int) -> list[Path]:
    """Write JPEG files of the examples, with `size` pixels along the long edge, and return their paths."""
    folder.mkdir()
    examples = [
        resize_picture(read_picture(path), size) for path in sorted((EXAMPLES / "content").glob("*.jpg"))
    ]
    paths = [folder / f"{number:03}.jpg" for number in range(count)]
    for path, picture in zip(paths, cycle(examples), strict=False):
        write_picture(picture, path)
    return paths


def measure(work: Path, *, count: int, alone: int, size: int, threads: int) -> dict[str, float]:
    """Measure a folder of pictures, and some of them alone; return seconds per picture."""
    contents = fill_folder(work / "in", count, size)
    style = work / "style.safetensors"
    run_program("style-stats", EXAMPLES / "style" / "knife.jpg", "--style-size", str(size), "-o", style)
    arguments: list[str | Path] = [style, "--json", "-q", "--threads", str(threads)]
    singles, seconds = [], []
    for content in islice(contents, 0, count, max(1, count // alone)):
        single = run_program("stylize", content, *arguments, "-o", work / "alone" / f"{content.stem}.png")
        singles.append(single)
        seconds.append(json.loads(single.output)["seconds"])
    start_up = statistics.median(single.wall - each for single, each in zip(singles, seconds, strict=True))
    folder = run_program("stylize", work / "in", *arguments, "-o", f"{work / 'out'}{os.sep}")
    one_process_each = statistics.mean(seconds)
    in_folder = (folder.wall - start_up) / count
    return {
        "pictures": count,
        "size": size,
        "threads": threads,
        "start_up": start_up,
        "one_process_each": one_process_each,
        "folder": in_folder,
        "throughput": one_process_each / in_folder,
        "folder_processor": folder.processor / count,
        "load": os.getloadavg()[0],
    }


def print_table(rows: Sequence[dict[str, float]]) -> None:
    """Print rows below the names of their columns."""
    print("  ".join(rows[0]))
    for row in rows:
        print("  ".join(f"{value:{len(name)}.4g}" for name, value in row.items()), flush=True)


def main() -> None:
    """Print a row for each repetition."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--alone", type=int, default=10, help="number of pictures that get a process each")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=1)
    parsed = parser.parse_args()
    rows = []
    for _ in range(parsed.repetitions):
        with tempfile.TemporaryDirectory() as work:
            sizes = {"alone": parsed.alone, "size": parsed.size, "threads": parsed.threads}
            rows.append(measure(Path(work), count=parsed.pictures, **sizes))
    print_table(rows)


if __name__ == "__main__":
    main()
