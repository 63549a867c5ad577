"""Peak memory of a stylization, above that of a process that only imports torch.

    python -m benchmarks.memory 2048x2048 4096x4096 10240x4096
    python -m benchmarks.memory 10000x10000 --formats jpg png -- --max-memory 1G

The command line runs as users run it, on files; the words after -- go to it. The peak is the operating
system's count for the whole process (ru_maxrss). Contents are made of an example, enlarged.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.workers import MAXRSS_UNIT
from styletransfer.media import Picture, read_picture, resize_picture, write_picture

EXAMPLES = Path(__file__).parents[1] / "examples"


def measure_process(*words: str | Path) -> tuple[int, float]:
    """Run Python with some arguments; returns the bytes of its peak and its seconds of processor time.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    process = subprocess.Popen([sys.executable, *map(str, words)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return usage.ru_maxrss * MAXRSS_UNIT, usage.ru_utime + usage.ru_stime


def make_content(path: Path, width: int, height: int) -> None:
    """Write an enlarged example, filled up by repetition."""
    example = resize_picture(read_picture(EXAMPLES / "content" / "china.jpg"), 2048).pixels
    across, down = -(-width // example.shape[2]), -(-height // example.shape[1])
    pixels = torch.cat([torch.cat([example] * across, 2)[:, :, :width]] * down, 1)[:, :height]
    write_picture(Picture(pixels), path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a row for each size and format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sizes", nargs="+", metavar="WIDTHxHEIGHT")
    parser.add_argument("--formats", nargs="+", default=["jpg"], help="of content and result")
    words = list(sys.argv[1:] if arguments is None else arguments)
    ours, _, theirs = " ".join(words).partition(" -- ")
    given = parser.parse_args(ours.split())
    bare, _ = measure_process("-c", "import torch")
    print("size         format  peak MiB above torch  processor s  per megapixel")
    with tempfile.TemporaryDirectory() as folder:
        style = EXAMPLES / "style" / "knife.jpg"
        for size in given.sizes:
            width, height = map(int, size.split("x"))
            for form in given.formats:
                content = Path(folder, f"{size}.{form}")
                make_content(content, width, height)
                result = content.with_stem("result")
                command = ("-m", "styletransfer", "stylize", content, style, "-o", result, "-f")
                peak, seconds = measure_process(*command, *theirs.split())
                row = f"{size:12} {form:6} {(peak - bare) / 2**20:21.0f} {seconds:12.1f}"
                print(f"{row} {seconds * 1e6 / (width * height):14.3f}", flush=True)


if __name__ == "__main__":
    main()
