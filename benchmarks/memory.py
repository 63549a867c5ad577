"""Measure the peak memory of a stylization, above that of a process that only imports torch.

    python -m benchmarks.memory 2048x2048 4096x4096 10240x4096
    python -m benchmarks.memory 10000x10000 --formats jpg png -- --max-memory 1G

The command line runs on files, as users run it; arguments after -- are passed to it. The peak is the
operating system's count for the whole process (ru_maxrss). Contents are tiled from an enlarged example.
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


def measure_process(*arguments: str | Path) -> tuple[int, float]:
    """Run Python with some arguments, and return the bytes of its peak memory and its processor seconds.

    Raises:
        subprocess.CalledProcessError: The process failed.
    """
    process = subprocess.Popen([sys.executable, *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return usage.ru_maxrss * MAXRSS_UNIT, usage.ru_utime + usage.ru_stime


def make_content(path: Path, width: int, height: int) -> None:
    """Write a picture that repeats an enlarged example."""
    example = resize_picture(read_picture(EXAMPLES / "content" / "china.jpg"), 2048).pixels
    across, down = -(-width // example.shape[2]), -(-height // example.shape[1])
    pixels = torch.cat([torch.cat([example] * across, 2)[:, :, :width]] * down, 1)[:, :height]
    write_picture(Picture(pixels), path)


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split arguments at the first --, into those of this program and those that it passes on."""
    words = list(arguments)
    end = words.index("--") if "--" in words else len(words)
    return words[:end], words[end + 1 :]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each size and format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sizes", nargs="+", metavar="WIDTHxHEIGHT")
    parser.add_argument("--formats", nargs="+", default=["jpg"], help="file formats of content and result")
    own, passed_on = split_arguments(sys.argv[1:] if arguments is None else arguments)
    parsed = parser.parse_args(own)
    bare, _ = measure_process("-c", "import torch")
    print("size         format  peak MiB above torch  processor s  per megapixel")
    with tempfile.TemporaryDirectory() as folder:
        style = EXAMPLES / "style" / "knife.jpg"
        for size in parsed.sizes:
            width, height = map(int, size.split("x"))
            for suffix in parsed.formats:
                content = Path(folder, f"{size}.{suffix}")
                make_content(content, width, height)
                result = content.with_stem("result")
                command = ("-m", "styletransfer", "stylize", content, style, "-o", result, "-f")
                peak, seconds = measure_process(*command, *passed_on)
                row = f"{size:12} {suffix:6} {(peak - bare) / 2**20:21.0f} {seconds:12.1f}"
                print(f"{row} {seconds * 1e6 / (width * height):14.3f}", flush=True)


if __name__ == "__main__":
    main()
