"""Show how strokes shrink as pictures grow, and how `--stroke-scale auto` prevents it.

    python -m benchmarks.strokes PAIRS --vgg VGG19 --size 2048

PAIRS is a folder of NAME.content.* and NAME.style.*. Every content is stylized at its own size, and enlarged
with strokes of scale 1 and of the automatic scale. The results are reduced to the size of the content and
compared with the content and with the style. Each cell shows style_patch, style_pyr, content_in and processor
seconds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

from styletransfer.api import Stylizer
from styletransfer.evaluation import PairScorer, read_pairs
from styletransfer.media import Picture, read_picture, readable_extensions, resize_picture
from styletransfer.model.vgg import load_vgg19
from styletransfer.options import RuntimeOptions
from styletransfer.pipeline.process_memory import tune_allocator


def main() -> None:
    """Print a row for each pair and a row of means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--vgg", type=Path, required=True, help="VGG-19 as a safetensors file")
    parser.add_argument("--model", default="default", help="name of a model or path of its weights")
    parser.add_argument("--size", type=int, default=2048, help="long edge of the enlarged contents")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tune_allocator()
    stylizer = Stylizer(arguments.model, runtime=RuntimeOptions(device="cpu"))
    vgg = load_vgg19(arguments.vgg)
    columns = ("own size", f"{arguments.size}, --stroke-scale 1", f"{arguments.size}, auto")
    print("style_patch, style_pyr, content_in, seconds".ljust(44), *(column.ljust(26) for column in columns))
    rows = []
    for pair in read_pairs(arguments.pairs, readable_extensions()):
        content, style = read_picture(pair.content), read_picture(pair.style)
        enlarged = resize_picture(content, arguments.size)
        scorer = PairScorer(vgg, content.to_float(), style.to_float())
        row: list[float] = []
        for picture, scale in ((content, None), (enlarged, 1), (enlarged, None)):
            start = time.process_time()
            result = stylizer.stylize(picture, style, stroke_scale=scale)
            seconds = time.process_time() - start
            scores = scorer.score(resize_to(result, content))
            row += [scores.style_patch, scores.style_pyr, scores.content_in, seconds]
        rows.append(row)
        print_row(pair.name, row)
    print_row("mean", torch.tensor(rows).mean(0).tolist())


def resize_to(picture: Picture, other: Picture) -> Tensor:
    """Return a picture [1, 3, H, W] in the size of another one."""
    return resize_picture(picture, max(other.width, other.height)).to_float()


def print_row(name: str, row: list[float]) -> None:
    """Print three cells of four numbers each."""
    cells = [
        " ".join(f"{score:.3f}" for score in row[i : i + 3]) + f" {row[i + 3]:6.2f}"
        for i in range(0, len(row), 4)
    ]
    print(name.ljust(44), *(cell.ljust(26) for cell in cells), flush=True)


if __name__ == "__main__":
    main()
