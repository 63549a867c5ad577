"""Speed and memory of `styletransfer video`.

    python -m benchmarks.video                    frames per second of processor time, and of the network's
    python -m benchmarks.video --wall             the same by the clock on the wall, on an idle machine
    python -m benchmarks.video --memory           peak memory of a 10-minute clip against 10 seconds

Frames are a pan over examples/content/china.jpg. The network alone is `Stylizer.stylize_picture`, one frame
after the other, in memory; the frames alone are `Stylizer.frame_stylizer`, in memory; the command decodes
H.264 and encodes H.264. Runs alternate, and the best of each counts, because other programs slow some down.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import torch
from torch.nn.functional import interpolate

from styletransfer import Stylizer
from styletransfer.media import Picture, read_picture
from styletransfer.model import Architecture, Autoencoder, save_model
from styletransfer.options import StylizeOptions, VideoOptions
from styletransfer.temporal import Frame
from styletransfer.video import (
    PartStore,
    RenderPlan,
    Selection,
    SourceInfo,
    describe_result,
    open_source,
    plan_output,
    render_video,
)
from styletransfer.video.encoding import EncodedPart

ROOT = Path(__file__).parents[1]
CONTENT, STYLE = ROOT / "examples/content/china.jpg", ROOT / "examples/style/watercolor.jpg"
SIZES = ((256, 144), (512, 288), (1280, 720))
RATE = 25
MEBIBYTE = 2**20
# Runs the command line and says at the end how much memory the process has taken, in KiB.
MEASURED = (
    "import resource, sys; from styletransfer.cli import program\n"
    "try: program.main(sys.argv[1:])\n"
    "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
)


def make_pan(width: int, height: int, count: int) -> list[Picture]:
    """Return frames of a slow pan over a photograph."""
    photo = read_picture(CONTENT).to_float()
    scale = max((width + 64) / photo.shape[3], (height + 8) / photo.shape[2])
    large = interpolate(photo, scale_factor=scale, mode="bicubic", antialias=True)[0]
    lefts = [round(index * 64 / max(count - 1, 1)) for index in range(count)]
    return [Picture.from_float(large[:, :height, left : left + width]) for left in lefts]


def write_clip(path: Path, frames: list[Picture], count: int, rate: int) -> None:
    """Write frames forth and back, as often as needed, as H.264."""
    first = frames[0]
    info = SourceInfo("pan", first.width, first.height, Fraction(1, rate), Fraction(rate))
    part = EncodedPart(path, plan_output(Path("pan.mp4"), info, VideoOptions()), info, 1)
    there_and_back = frames + frames[::-1]
    for index in range(count):
        part.write(there_and_back[index % len(there_and_back)], index)
    part.close()


def render(stylizer: Stylizer, clip: Path, folder: Path, steadiness: float, threads: int) -> None:
    """Do what the command does."""
    source = open_source(clip, "clip", threads=threads)
    selection = Selection()
    info = describe_result(source.info, selection, None, square_pixels=False)
    output = plan_output(folder / "out.mp4", info, VideoOptions())
    plan = RenderPlan(source, selection, info, output, clip, threads=threads)
    frames = stylizer.frame_stylizer(STYLE, steadiness=steadiness, bit_depth=8, workers=threads)
    render_video(plan, frames, PartStore(folder / "out.mp4", None), lambda seconds, count: None)
    source.close()


def measure_speed(count: int, repeats: int, largest: int, *, wall: bool) -> None:
    """Print a table of frames per second."""
    print("| size | threads | network alone | frames alone | command | of network | of frames alone |")
    print("|---|---|---|---|---|---|---|")
    stylizer = Stylizer()
    for width, height in SIZES:
        if width > largest:
            continue
        pictures = make_pan(width, height, count)
        for threads in (1, 2):
            # As the command does: two frames at once on one thread each.
            torch.set_num_threads(1)
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                write_clip(folder / "clip.mkv", pictures, count, RATE)

                def network(pictures: list[Picture] = pictures) -> None:
                    for picture in pictures:
                        stylizer.stylize_picture(picture, STYLE, StylizeOptions(), bit_depth=8)

                def frames(pictures: list[Picture] = pictures, threads: int = threads) -> None:
                    given = (Frame(each, index / RATE, index) for index, each in enumerate(pictures))
                    for _ in stylizer.frame_stylizer(STYLE, bit_depth=8, workers=threads).stylize(given):
                        pass

                def command(folder: Path = folder, threads: int = threads) -> None:
                    render(stylizer, folder / "clip.mkv", folder, 1.0, threads)

                seconds = best_of((network, frames, command), repeats, wall=wall)
                # The network alone runs on one thread, whose time more threads would divide at best.
                shared = (True, not wall, not wall)
                rates = [
                    count / each * (threads if divide else 1)
                    for each, divide in zip(seconds, shared, strict=True)
                ]
                cells = " | ".join(f"{rate:.2f}" for rate in rates)
                shares = f"{rates[2] / rates[0]:.2f} | {rates[2] / rates[1]:.2f}"
                print(f"| {width}x{height} | {threads} | {cells} | {shares} |", flush=True)


def best_of(functions: tuple[Callable[[], None], ...], repeats: int, *, wall: bool) -> list[float]:
    """Return the least seconds that each function takes, of all threads or by the clock on the wall.

    The first calls warm up.
    """
    clock = time.perf_counter if wall else time.process_time
    best = [float("inf")] * len(functions)
    for repeat in range(repeats + 1):
        for index, function in enumerate(functions):
            start = clock()
            function()
            if repeat:
                best[index] = min(best[index], clock() - start)
    return best


def measure_memory(seconds: tuple[int, ...], rate: int, untrained: bool) -> None:
    """Print the peak memory of processes for clips of several lengths."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = []
        if untrained:
            torch.manual_seed(0)
            architecture = Architecture(widths=(4, 6, 8), convolutions=(1, 1, 1))
            save_model(Autoencoder(architecture), folder / "small.safetensors")
            model = ["-m", str(folder / "small.safetensors")]
        frames = make_pan(320, 180, 64)
        for length in seconds:
            clip = folder / f"{length}.mkv"
            write_clip(clip, frames, length * rate, rate)
            words = ["video", str(clip), str(STYLE), "-o", str(folder / f"{length}.mp4"), "--threads", "1"]
            done = subprocess.run(
                [sys.executable, "-c", MEASURED, *words, *model], capture_output=True, text=True, check=True
            )
            peak = int(done.stderr.split()[-1]) * 1024 / MEBIBYTE
            print(f"{length} s, {length * rate} frames: {peak:.0f} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--wall", action="store_true", help="time by the clock on the wall")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--untrained", action="store_true", help="a small network, for the memory of files")
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 600])
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--largest", type=int, default=1280, help="width of the largest frames")
    arguments = parser.parse_args()
    if arguments.memory:
        measure_memory(tuple(arguments.seconds), arguments.rate, arguments.untrained)
    else:
        measure_speed(arguments.frames, arguments.repeats, arguments.largest, wall=arguments.wall)


if __name__ == "__main__":
    main()
