"""Show the exchange between the colors of the style and the structure of the content in `--color-only`.

    python -m benchmarks.color_transfer PAIRS

PAIRS is a folder of NAME.content.* and NAME.style.*. Each row is the mean over the pairs: distance of colors,
structural similarity, share of clipped values, largest slope of the table, processor seconds of its fit. The
last row is the brightness of the style, matched exactly by a map of the content's: its ssim is about the most
that a result with the colors of the style can have.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor

from styletransfer.evaluation import clipped, read_pairs, ssim, swd_rgb
from styletransfer.evaluation.pixel_metrics import LUMA
from styletransfer.linalg import compute_statistics
from styletransfer.media import read_picture, readable_extensions
from styletransfer.transfer import color_transfer
from styletransfer.transfer.color_lut import apply_lut, identity_lut
from styletransfer.transfer.color_transfer import ColorHistogram, compress_gamut, gaussian_color_map

# Name of the variant, strength, constants of the module.
VARIANTS: list[tuple[str, float, dict[str, float]]] = [
    ("as it is", 1, {}),
    ("alpha .8", 0.8, {}),
    ("alpha .6", 0.6, {}),
    ("alpha .5", 0.5, {}),
    ("slopes up to 1.5", 1, {"LARGEST_SLOPE": 1.5}),
    ("slopes up to 2.5", 1, {"LARGEST_SLOPE": 2.5}),
    ("slopes up to 2.9", 1, {"LARGEST_SLOPE": 2.9}),
    ("slopes up to 3.5, smoothness 2e-6", 1, {"LARGEST_SLOPE": 3.5, "SMOOTHNESS": 2e-6}),
    ("smoothness 1e-4", 1, {"SMOOTHNESS": 1e-4}),
    ("smoothness 1e-6", 1, {"SMOOTHNESS": 1e-6}),
    ("5 rounds", 1, {"ROUNDS": 5}),
    ("30 rounds", 1, {"ROUNDS": 30}),
]


class PicturePair(NamedTuple):
    """A content and a style, each [1, 3, H, W] in 0..1."""

    content: Tensor
    style: Tensor


def list_colors(picture: Tensor) -> Tensor:
    """Return the colors of a picture [1, 3, H, W] as [H * W, 3]."""
    return picture[0].flatten(1).T.contiguous()


def fit_table(pair: PicturePair) -> Tensor:
    """Fit the table of a pair, [33, 33, 33, 3]."""
    distributions = []
    for picture in pair:
        histogram = ColorHistogram()
        histogram.add(list_colors(picture))
        distribution = histogram.summarize()
        assert distribution is not None
        distributions.append(distribution)
    return color_transfer.fit_color_lut(distributions[0], distributions[1:], [1.0])


def score(pair: PicturePair, colors: Tensor) -> list[float]:
    """Return swd_rgb, ssim and clipped of a result with some colors [H * W, 3], rounded to 8 bits."""
    result = colors.T.reshape(pair.content.shape).mul(255).round().div(255)
    return [swd_rgb(result, pair.style), ssim(result, pair.content), clipped(result)]


def score_table(pair: PicturePair, alpha: float) -> list[float]:
    """Return the scores of the table, its largest slope, and the seconds that its fit takes."""
    start = time.process_time()
    table = identity_lut().lerp(fit_table(pair), alpha)
    seconds = time.process_time() - start
    slope = max(float(table.diff(dim=axis).abs().max()) for axis in range(3)) * (len(table) - 1)
    return [*score(pair, apply_lut(table, list_colors(pair.content))), slope, seconds]


def score_gaussian(pair: PicturePair) -> list[float]:
    """Return the scores of the map of means and covariances alone."""
    content, style = (compute_statistics(picture.flatten(2)) for picture in pair)
    matrix, offset = gaussian_color_map(content, style)
    return score(pair, compress_gamut(list_colors(pair.content).double() @ matrix.mT + offset).float())


def score_brightness(pair: PicturePair) -> list[float]:
    """Return the scores of a gray result whose luma has exactly the distribution of the style's."""
    content, style = (list_colors(picture) @ torch.tensor(LUMA) for picture in pair)
    ranks = content.argsort().argsort()
    matched = style.sort().values[(ranks + 0.5).div(len(content)).mul(len(style)).long()]
    return score(pair, matched[:, None].expand(-1, 3))


def main() -> None:
    """Print a row of means for every variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pairs", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pairs = [
        PicturePair(read_picture(pair.content).to_float(), read_picture(pair.style).to_float())
        for pair in read_pairs(arguments.pairs, readable_extensions())
    ]

    def print_row(name: str, compute: Callable[[PicturePair], list[float]]) -> None:
        columns = zip(*map(compute, pairs), strict=True)
        print(name.ljust(36), *(f"{fmean(column):.4f}".rjust(9) for column in columns), flush=True)

    print(
        "variant".ljust(36), *(name.rjust(9) for name in ("swd_rgb", "ssim", "clipped", "slope", "seconds"))
    )
    print_row("the content itself", lambda pair: score(pair, list_colors(pair.content)))
    print_row("means and covariances", score_gaussian)
    for name, alpha, values in VARIANTS:
        before = {each: getattr(color_transfer, each) for each in values}
        for each, value in values.items():
            setattr(color_transfer, each, value)
        print_row(name, lambda pair, alpha=alpha: score_table(pair, alpha))  # type: ignore[misc]
        for each, value in before.items():
            setattr(color_transfer, each, value)
    print_row("brightness alone, exactly", score_brightness)


if __name__ == "__main__":
    main()
