"""Memory of the driver over the number of pictures in tar shards, and the time per picture.

    OMP_NUM_THREADS=1 python -m benchmarks.shards --pictures 1000 100000 --size 16

Makes archives of tiny PNG files, stylizes them with `--shards` by a small network with random weights (the
memory of the network is that of both runs), and reads the peak memory that the system counted.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import torch

from styletransfer.media import Picture, write_picture
from styletransfer.model import Architecture, Autoencoder, save_model

STYLE = Path(__file__).parents[1] / "examples" / "style" / "nocturne.jpg"
DIFFERENT = 100  # pictures; the others are copies under other names


def write_shards(folder: Path, pictures: int, per_shard: int, size: int) -> None:
    """Write archives of pictures of random pixels."""
    folder.mkdir()
    encoded = []
    for seed in range(DIFFERENT):
        buffer = io.BytesIO()
        pixels = torch.rand(3, size, size, generator=torch.Generator().manual_seed(seed))
        write_picture(Picture.from_float(pixels), buffer, format="png")
        encoded.append(buffer.getvalue())
    for start in range(0, pictures, per_shard):
        with tarfile.open(folder / f"{start // per_shard:06}.tar", "w") as archive:
            for number in range(start, min(start + per_shard, pictures)):
                info = tarfile.TarInfo(f"{number:09}.png")
                data = encoded[number % DIFFERENT]
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


def run(words: list[str]) -> dict[str, float]:
    """Run a program to its end; return its peak memory in MiB, its processor time and all seconds."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "styletransfer", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}")
    return {
        "peak_mib": usage.ru_maxrss / 1024,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        "seconds": time.perf_counter() - start,
    }


def main() -> None:
    """Print a line of JSON for every number of pictures, and the growth of the peak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--per-shard", type=int, default=1000)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("options", nargs="*", help="further options of `stylize`, after --")
    arguments = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.manual_seed(0)
        model = Autoencoder(Architecture(widths=(4, 6), convolutions=(1, 1)))
        save_model(model, folder / "small.safetensors", {})
        for pictures in arguments.pictures:
            write_shards(folder / f"in{pictures}", pictures, arguments.per_shard, arguments.size)
            words = ["stylize", str(folder / f"in{pictures}"), str(STYLE), "--shards", "-q"]
            words += ["-m", str(folder / "small.safetensors"), "-o", f"{folder}/out{pictures}/"]
            words += ["--threads", str(arguments.threads), "--device", "cpu", *arguments.options]
            row = run(words)
            peaks.append(row["peak_mib"])
            print(json.dumps({"pictures": pictures} | {key: round(each, 1) for key, each in row.items()}))
    print(json.dumps({"growth_mib": round(max(peaks) - min(peaks), 1)}))


if __name__ == "__main__":
    main()
