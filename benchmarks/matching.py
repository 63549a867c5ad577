"""Show what matching does, and what each part of it is worth.

    python -m benchmarks.matching PAIRS --vgg16 VGG16 --model MODEL

PAIRS is a folder of NAME.content.* and NAME.style.*. Each row is a variant of the program: a strength, or
another value for a constant of `transfer.patch_matching`. The scores are means over the pairs. The
last three columns are processor seconds, the share of the style's patches that are in use (the perplexity of
their use, 1 if all are used alike), and how many times its fair share the most used patch has, each of them
averaged over the scales at which patches are chosen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from styletransfer.api import Stylizer
from styletransfer.evaluation import Pair, PairScorer, Scores, read_pairs
from styletransfer.media import read_picture, readable_extensions
from styletransfer.model.vgg import VGG16, VGG19, load_vgg16, load_vgg19
from styletransfer.options import RuntimeOptions
from styletransfer.pipeline import matching_layers
from styletransfer.transfer import patch_matching

SCORES = ("style_patch", "style_cover", "style_deep", "style_gram", "style_pyr", "content_in", "ssim")
# Name of the variant, strength, constants.
VARIANTS: list[tuple[str, float, dict[str, float]]] = [
    ("no matching", 0, {}),
    ("half strength", 0.5, {}),
    ("as it is", 1, {}),
    ("without balance of use", 1, {"BALANCE_STEPS": 0}),
    ("8 balancing steps", 1, {"BALANCE_STEPS": 8}),
    ("1 nearest patch", 1, {"NEAREST": 1}),
    ("8 nearest patches", 1, {"NEAREST": 8}),
    ("temperature .02", 1, {"TEMPERATURE": 0.02}),
    ("temperature .1", 1, {"TEMPERATURE": 0.1}),
    ("ambiguity .01", 1, {"AMBIGUITY": 0.01}),
    ("ambiguity .3", 1, {"AMBIGUITY": 0.3}),
]


@contextmanager
def replaced(values: Mapping[str, object]) -> Iterator[None]:
    """Replace constants and functions of the matching in a block."""
    modules = [(module, name) for module in (patch_matching, matching_layers) for name in values]
    before = [(module, name, getattr(module, name)) for module, name in modules if hasattr(module, name)]
    for module, name, _ in before:
        setattr(module, name, values[name])
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


class UseCounter:
    """Counts how often patches of a style are used while it replaces `find_matches`."""

    def __init__(self) -> None:
        self.uses: dict[int, Tensor] = {}
        self._find = patch_matching.find_matches

    def find_matches(self, queries: Tensor, keys: Tensor, bias: Tensor) -> patch_matching.Matches:
        """Find matches and count them, for every set of keys."""
        found = self._find(queries, keys, bias)
        use = self.uses.setdefault(keys.data_ptr(), torch.zeros(len(keys)))
        use.index_add_(0, found.indices.flatten(), found.weights.flatten())
        return found

    def describe(self) -> tuple[float, float]:
        """Return the share of patches in use, and the largest use relative to the fair one."""
        shares = [use / use.sum() for use in self.uses.values()]
        if not shares:
            return 0.0, 0.0
        in_use = [float(torch.special.entr(share).sum().exp()) / len(share) for share in shares]
        return fmean(in_use), fmean(float(share.max()) * len(share) for share in shares)


def score(
    stylizer: Stylizer, pair: Pair, vgg19: VGG19, vgg16: VGG16 | None, match: float
) -> tuple[Scores, float, float, float]:
    """Return the scores of a pair, the seconds, and the two numbers of the use of patches."""
    content, style = read_picture(pair.content).to_float(), read_picture(pair.style).to_float()
    counter = UseCounter()
    with replaced({"find_matches": counter.find_matches}):
        start = time.process_time()
        result = stylizer.stylize(content, style, match=match)
        seconds = time.process_time() - start
    return PairScorer(vgg19, content, style, vgg16).score(result), seconds, *counter.describe()


def main() -> None:
    """Print a row of means for every variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--vgg16", type=Path, required=True, help="VGG-16 as a safetensors file")
    parser.add_argument("--model", default="default", help="name of a model or path of its weights")
    parser.add_argument("--variants", type=int, nargs="*", help="rows to compute, from 0; all by default")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    vgg19, vgg16 = load_vgg19(), load_vgg16(arguments.vgg16)
    pairs = read_pairs(arguments.pairs, readable_extensions())
    print("variant".ljust(24), *(name.removeprefix("style_").rjust(10) for name in SCORES), end="")
    print("seconds".rjust(11), "in use".rjust(10), "largest".rjust(10))
    for index in arguments.variants or range(len(VARIANTS)):
        name, match, values = VARIANTS[index]
        with replaced(values):
            stylizer = Stylizer(arguments.model, runtime=RuntimeOptions(device="cpu", precision="fp32"))
            rows = [score(stylizer, pair, vgg19, vgg16, match) for pair in pairs]
        means = [fmean(getattr(scores, column) for scores, *_ in rows) for column in SCORES]
        means += [fmean(numbers) for numbers in list(zip(*rows, strict=True))[1:]]
        print(name.ljust(24), *(f"{mean:.3f}".rjust(10) for mean in means), flush=True)


if __name__ == "__main__":
    main()
