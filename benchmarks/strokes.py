"""How strokes would shrink with the size of a picture, and what `--stroke-scale auto` does about it.

    python -m benchmarks.strokes PAIRS --network VGG19 --size 2048

PAIRS is a folder of NAME.content.* and NAME.style.*. Every content is stylized at its own size, enlarged, and
enlarged with strokes of one scale or another; results are reduced to the size of the content and compared
with it and with the style. Printed are style_pyr, content_in and the processor's seconds.
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
from styletransfer.pipeline.memory import hold_freed_memory


def main() -> None:
    """Print a row for each pair and their mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--vgg", type=Path, required=True, help="VGG-19 as safetensors")
    parser.add_argument("--model", default="default")
    parser.add_argument("--size", type=int, default=2048, help="long edge of enlarged contents")
    given = parser.parse_args()
    hold_freed_memory()
    stylizer = Stylizer(given.model, runtime=RuntimeOptions(device="cpu", threads=1))
    perceptual = load_vgg19(given.network)
    ways = ("as it is", f"{given.size}, --stroke-scale 1", f"{given.size}, auto")
    print("style_pyr, content_in, seconds".ljust(32), *(way.ljust(22) for way in ways))
    rows = []
    for pair in read_pairs(given.pairs, readable_extensions()):
        content, style = read_picture(pair.content), read_picture(pair.style)
        large = resize_picture(content, given.size)
        scorer = PairScorer(perceptual, content.to_float(), style.to_float())
        row: list[float] = []
        for picture, scale in ((content, None), (large, 1), (large, None)):
            start = time.process_time()
            result = stylizer.stylize(picture, style, stroke_scale=scale)
            seconds = time.process_time() - start
            scores = scorer.score(reduce_to(result, content))
            row += [scores.style_pyr, scores.content_in, seconds]
        rows.append(row)
        show(pair.name, row)
    show("mean", torch.tensor(rows).mean(0).tolist())


def reduce_to(picture: Picture, like: Picture) -> Tensor:
    """Return a result [1, 3, H, W] in the size of another picture."""
    return resize_picture(picture, max(like.width, like.height)).to_float()


def show(name: str, row: list[float]) -> None:
    """Print three columns of three numbers."""
    cells = [f"{row[i]:.3f} {row[i + 1]:.3f} {row[i + 2]:6.2f}" for i in range(0, len(row), 3)]
    print(name.ljust(32), *(cell.ljust(22) for cell in cells), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
