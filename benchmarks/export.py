"""Exported graphs beside the program: differences over all example pairs, times and sizes.

`python -m benchmarks.export FOLDER` reads what `styletransfer export -o FOLDER` wrote.
"""

from __future__ import annotations

import argparse
import gzip
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from styletransfer.export.comparison import Difference, GraphRunner
from styletransfer.media import read_picture, resize_picture
from styletransfer.model import load_model
from styletransfer.options import DEFAULT_MATCH, RuntimeOptions, StylizeOptions
from styletransfer.pipeline import StylizationPipeline

EXAMPLES = Path(__file__).parents[1] / "styletransfer" / "page" / "examples"
STYLE_EDGE = 640
SIZES: tuple[int | tuple[int, int], ...] = (256, 512, (193, 255), (3, 700), (17, 33))


def read_examples(kind: str) -> list[Tensor]:
    paths = sorted((EXAMPLES / kind).glob("*.jpg"))
    return [resize_picture(read_picture(path), STYLE_EDGE).to_float()[0] for path in paths]


def resize(picture: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Resize to a long edge, or to a height and width, by areas."""
    if isinstance(size, int):
        factor = size / max(picture.shape[1:])
        size = round(factor * picture.shape[1]), round(factor * picture.shape[2])
    return interpolate(picture[None], size, mode="area")[0]


def measure_time(function: Callable[[], object], rounds: int = 5) -> float:
    """Return the median of the processor's seconds."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what `styletransfer export` wrote")
    parser.add_argument("-m", "--model", default="default")
    folder, name = vars(parser.parse_args()).values()
    torch.set_num_threads(1)
    data = {each: (folder / f"{each}.onnx").read_bytes() for each in ("style", "content")}
    for each, graph in data.items():
        print(f"{each}.onnx: {len(graph) / 1e6:.2f} MB, {len(gzip.compress(graph, 9)) / 1e6:.2f} gzipped")
    runner = GraphRunner(data["style"], data["content"], threads=1)
    model = load_model(name)
    exact = StylizationPipeline(model, RuntimeOptions(device="cpu", precision="fp32"))
    usual = StylizationPipeline(model, RuntimeOptions(device="cpu"))
    contents, styles = read_examples("content"), read_examples("style")
    match = DEFAULT_MATCH
    measured = [(exact.measure(style), runner.measure(style.numpy())) for style in styles]

    print(f"\n{len(contents) * len(styles)} pairs, differences in levels of 255\n")
    print("| size | 99.9 %, worst pair | largest | largest, median of the pairs |\n|---|---|---|---|")
    for size in SIZES:
        found = []
        for content in (resize(each, size) for each in contents):
            for statistics, values in measured:
                wanted = exact.stylize(content, statistics, StylizeOptions(match=match)).numpy()
                found.append(Difference.of(runner.stylize(content.numpy(), values, match), wanted))
        largest = [each.largest for each in found]
        label = size if isinstance(size, int) else f"{size[1]} x {size[0]}"
        worst = max(each.most for each in found)
        print(f"| {label} | {worst:.3f} | {max(largest):.3f} | {median(largest):.3f} |", flush=True)

    print("\nProcessor time relative to the program in fp32, one thread\n")
    print("| | fp32 | default precision | onnxruntime |\n|---|---|---|---|")
    statistics, values = measured[0]
    for edge in (256, 512):
        content = resize(contents[2], edge)
        samples = (content * 255).round().to(torch.uint8)
        floats: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = content.numpy()
        one, two, three = (
            measure_time(function)
            for function in (
                lambda: exact.stylize(samples, statistics, StylizeOptions()),  # noqa: B023
                lambda: usual.stylize(samples, statistics, StylizeOptions()),  # noqa: B023
                lambda: runner.stylize(floats, values, match),  # noqa: B023
            )
        )
        print(f"| content of {edge} | 1 ({one:.2f} s) | {two / one:.2f} | {three / one:.2f} |")
    style = styles[0]
    one, two, three = (
        measure_time(function)
        for function in (
            lambda: exact.measure(style),
            lambda: usual.measure(style),
            lambda: runner.measure(style.numpy()),
        )
    )
    print(f"| style of {STYLE_EDGE} | 1 ({one:.2f} s) | {two / one:.2f} | {three / one:.2f} |")


if __name__ == "__main__":
    main()
