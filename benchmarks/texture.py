"""Score textures in the example styles against their styles.

    python -m benchmarks.texture

Every row is a style, the last one the means; see docs/evaluation.md for the scores. The last columns are
the mean differences of neighbors across the opposite edges and within 4 pixels of them, in levels of 255, and
processor seconds with the measurement of the style. With `--save FOLDER` the textures are written as well.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from styletransfer import Stylizer, synthesize_texture
from styletransfer.evaluation import PairScorer, ssim
from styletransfer.media import read_picture, write_picture
from styletransfer.model.vgg import load_vgg19
from styletransfer.options import TextureOptions

STYLES = Path(__file__).parents[1] / "examples" / "style"
SCORES = ("style_patch", "style_cover", "style_gram", "style_pyr", "swd_rgb")


def measure_seam(pixels: Tensor) -> tuple[float, float]:
    """Return the mean differences of neighbors across the opposite edges, and within 4 pixels of them."""
    across, beside = [], []
    for dim in (1, 2):
        rolled = pixels.float().roll(pixels.shape[dim] // 2, dim)
        means = rolled.diff(dim=dim).abs().mean([each for each in (0, 1, 2) if each != dim])
        seam = pixels.shape[dim] // 2 - 1
        across.append(float(means[seam]))
        beside.append(float(torch.cat([means[seam - 4 : seam], means[seam + 1 : seam + 5]]).mean()))
    return fmean(across), fmean(beside)


def main() -> None:
    """Print a row for every style and one with the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("styles", type=Path, nargs="*", help="pictures; the example styles by default")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--tileable", action="store_true")
    parser.add_argument("--refine", type=int, default=0)
    parser.add_argument("--statistics", action="store_true", help="use only the statistics of the styles")
    parser.add_argument("--seeds", action="store_true", help="compare with the texture of the next seed")
    parser.add_argument("--save", type=Path, help="folder for the textures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network, stylizer = load_vgg19(), Stylizer()
    options = TextureOptions(
        size=(arguments.size, arguments.size),
        seed=arguments.seed,
        tileable=arguments.tileable,
        refine=arguments.refine,
    )
    other = TextureOptions(size=options.size, seed=options.seed + 1, tileable=options.tileable)
    columns = (
        *SCORES,
        *(["ssim of seeds"] if arguments.seeds else []),
        "across edges",
        "beside edges",
        "seconds",
    )
    print("style".ljust(16), *(column.rjust(13) for column in columns))
    rows = []
    for path in arguments.styles or sorted(STYLES.glob("*.jpg")):
        start = time.process_time()
        style = stylizer.measure_style(path) if arguments.statistics else path
        texture = synthesize_texture(stylizer, style, options)
        seconds = time.process_time() - start
        output = texture.to_float()
        # The content does not matter for these scores.
        scores = PairScorer(network, output, read_picture(path).to_float()).score(output)
        row = [getattr(scores, name) for name in SCORES]
        if arguments.seeds:
            row.append(ssim(synthesize_texture(stylizer, style, other).to_float(), output))
        rows.append([*row, *measure_seam(texture.pixels), seconds])
        print(path.stem.ljust(16), *(f"{value:13.3f}" for value in rows[-1]), flush=True)
        if arguments.save is not None:
            arguments.save.mkdir(parents=True, exist_ok=True)
            write_picture(texture, arguments.save / f"{path.stem}.png")
    means = [fmean(column) for column in zip(*rows, strict=True)]
    print("mean".ljust(16), *(f"{value:13.3f}" for value in means))


if __name__ == "__main__":
    main()
