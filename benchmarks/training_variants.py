"""Compare short trainings in which one thing at a time is changed: `python -m benchmarks.training_variants`.

    python -m benchmarks.training_variants --content TAR --style TAR --vgg VGG19 --pairs PAIRS

All variants see the same number of pixels, so larger crops take fewer steps. The averaged network is scored
on a folder of NAME.content.* and NAME.style.* with the metrics of `styletransfer evaluate`. The last column
is the PSNR of contents that are stylized in their own statistics.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor

from benchmarks.linalg.tables import Table
from styletransfer.evaluation import Pair, PairScorer, psnr, read_pairs
from styletransfer.linalg import Statistics
from styletransfer.media import read_picture, readable_extensions
from styletransfer.model import Autoencoder, count_parameters, soft_clip
from styletransfer.model.vgg import VGG19, load_vgg19
from styletransfer.options import TrainOptions
from styletransfer.training import PicturePool, Processes, Trainer, TrainingPairs, build_autoencoder
from styletransfer.transfer import transfer_features

BASE = TrainOptions(batch=2, crop=128, warmup=30, ema=0.98, precision="bf16", seed=11)


class Variant(NamedTuple):
    """Differences of a training run from the base.

    Attributes:
        options: Training options that differ.
        encoder: Encoder to start from, see `build_autoencoder`.
        untransferred: Numbers of channels of the levels whose statistics are not transferred.
        slope: Slope of the activations below zero. None keeps the network's own.
    """

    options: Mapping[str, Any] = MappingProxyType({})
    encoder: str | None = None
    untransferred: frozenset[int] = frozenset()
    slope: float | None = None


VARIANTS = {
    "base": Variant(),
    "Adam": Variant({"optimizer": "adam"}),
    "one convolution at the decoder's finest scale": Variant({"decoder_convolutions": (1, 2, 2, 1, 1)}),
    "wider, one convolution a scale, 16/48/96/128/64": Variant(
        {
            "widths": (16, 48, 96, 128, 64),
            "convolutions": (1,) * 5,
            "decoder_convolutions": (2, 1, 1, 1, 1),
        }
    ),
    "four scales, 16/32/64/128": Variant({"widths": (16, 32, 64, 128), "convolutions": (2, 2, 2, 1)}),
    "one octave": Variant({"octaves": 1}),
    "two octaves": Variant({"octaves": 2}),
    "four octaves": Variant({"octaves": 4}),
    "all octaves alike": Variant({"octave_decay": 1.0}),
    "crops of 192": Variant({"crop": 192}),
    "crops of 64": Variant({"crop": 64}),
    "ReLUs": Variant(slope=0),
    "the picture's colors not transferred": Variant(untransferred=frozenset({3})),
    "transfer at the three coarse scales only": Variant(untransferred=frozenset({16, 32})),
    "transfer at the two fine scales only": Variant(untransferred=frozenset({64, 128})),
    "content weight 0.3": Variant({"content_weight": 0.3}),
    "no term color": Variant({"color_weight": 0.0}),
    "no term stability": Variant({"stability_weight": 0.0}),
    "the shipped encoder, frozen": Variant({"stage": "decoder"}, encoder="default"),
}


def skip_transfers(untransferred: frozenset[int]) -> AbstractContextManager[Any]:
    """Return a context in which the decoder does not transfer the levels with some numbers of channels."""

    def transfer(features: Tensor, target: Statistics, transform: str = "wct") -> Tensor:
        if features.shape[1] in untransferred:
            return features
        return transfer_features(features, target, transform)

    return (
        mock.patch("styletransfer.model.autoencoder.transfer_features", transfer)
        if untransferred
        else nullcontext()
    )


def train(variant: Variant, steps: int, arguments: argparse.Namespace, perceptual: VGG19) -> Autoencoder:
    """Train a variant and return its averaged network.

    Args:
        variant: The variant.
        steps: Number of steps of the base. Variants with larger crops take fewer.
        arguments: Arguments of the command line.
        perceptual: VGG-19 with the style layers.
    """
    options = replace(BASE, **variant.options)
    options = replace(options, steps=round(steps * (BASE.crop / options.crop) ** 2))
    pools = [PicturePool(path) for path in arguments.content], [PicturePool(path) for path in arguments.style]
    data = TrainingPairs(*pools, options.crop, options.seed, options.steps * options.batch)
    model = build_autoencoder(options, encoder=variant.encoder, perceptual=perceptual)
    if variant.slope is not None:
        weights = model.state_dict()
        model = Autoencoder(replace(model.architecture, negative_slope=variant.slope))
        model.load_state_dict(weights)
    with TemporaryDirectory() as folder:
        trainer = Trainer(
            Path(folder), model, data, perceptual, options, Processes(0, 1, torch.device("cpu"))
        )
        for _ in trainer.run():
            pass
        return trainer.averaged_model.eval()


@torch.no_grad()
def score(network: Autoencoder, pairs: Iterable[Pair], perceptual: VGG19) -> list[float]:
    """Return the scores of a network, averaged over pairs."""
    rows = []
    for pair in pairs:
        content, style = (read_picture(path).to_float() for path in (pair.content, pair.style))
        scores = PairScorer(perceptual, content, style).score(soft_clip(network(content, style)))
        own = psnr(soft_clip(network(content, content)), content)
        rows.append(
            [scores.style_gram, scores.style_pyr, scores.content_in, scores.ssim, scores.swd_rgb, own]
        )
    return torch.tensor(rows).mean(0).tolist()


def compare(arguments: argparse.Namespace) -> Table:
    """Train and score the variants, print a row after each, and return the table."""
    perceptual = load_vgg19(arguments.vgg)
    pairs = read_pairs(arguments.pairs, readable_extensions())
    names = ["style_gram", "style_pyr", "content_in", "ssim", "swd_rgb", "own, dB"]
    table = Table(
        f"{arguments.steps} steps of {BASE.batch} crops of {BASE.crop} pixels, or as many pixels",
        ["variant", "parameters", *names],
    )
    for name in arguments.only or VARIANTS:
        with skip_transfers(VARIANTS[name].untransferred):
            network = train(VARIANTS[name], arguments.steps, arguments, perceptual)
            table.add(name, count_parameters(network), *score(network, pairs, perceptual))
        print(table.to_markdown().splitlines()[-1], flush=True)
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("content", "style"):
        text = "Folder or tar archive of pictures. Repeat for several."
        parser.add_argument(f"--{name}", type=Path, required=True, action="append", help=text)
    parser.add_argument("--vgg", type=Path, required=True, help="Safetensors file with VGG-19.")
    parser.add_argument("--pairs", type=Path, required=True, help="Folder of pairs to score the networks on.")
    parser.add_argument("--steps", type=int, default=400, help="Number of steps of the base (%(default)s).")
    parser.add_argument(
        "--only", nargs="+", choices=VARIANTS, metavar="VARIANT", help="Variants to train (all)."
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(compare(arguments).to_markdown())
