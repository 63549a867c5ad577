"""The same short training with one thing changed at a time: `python -m benchmarks.training_variants`.

    python -m benchmarks.training_variants --content TAR --style TAR --network VGG19 --pairs PAIRS

Every variant sees as many pixels: a larger crop takes fewer steps. As by `styletransfer evaluate`, scored are
the averaged network on a folder of NAME.content.* and NAME.style.*, and contents in their own statistics.
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
from styletransfer.training import PicturePool, Processes, Trainer, TrainingPairs, build_network
from styletransfer.transfer import transfer_features

BASE = TrainOptions(batch=2, crop=128, warmup=30, ema=0.98, precision="bf16", seed=11)


class Variant(NamedTuple):
    """What is changed.

    Attributes:
        options: Of the training.
        encoder: See `build_network`.
        untouched: Levels, named by their channels, that keep their statistics.
        slope: Of the activations below zero; None for the network's own.
    """

    options: Mapping[str, Any] = MappingProxyType({})
    encoder: str | None = None
    untouched: frozenset[int] = frozenset()
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
    "the picture's colours not transferred": Variant(untouched=frozenset({3})),
    "transfer at the three coarse scales only": Variant(untouched=frozenset({16, 32})),
    "transfer at the two fine scales only": Variant(untouched=frozenset({64, 128})),
    "content weight 0.3": Variant({"content_weight": 0.3}),
    "no term color": Variant({"color_weight": 0.0}),
    "no term stability": Variant({"stability_weight": 0.0}),
    "the shipped encoder, frozen": Variant({"stage": "decoder"}, encoder="default"),
}


def leave(untouched: frozenset[int]) -> AbstractContextManager[Any]:
    """Have features of some widths pass the decoder as they are."""

    def transfer(features: Tensor, target: Statistics, transform: str = "wct") -> Tensor:
        return features if features.shape[1] in untouched else transfer_features(features, target, transform)

    return (
        mock.patch("styletransfer.model.autoencoder.transfer_features", transfer)
        if untouched
        else nullcontext()
    )


def train(variant: Variant, steps: int, arguments: argparse.Namespace, perceptual: VGG19) -> Autoencoder:
    """Train a variant and return its averaged network."""
    options = replace(BASE, **variant.options)
    options = replace(options, steps=round(steps * (BASE.crop / options.crop) ** 2))
    pools = [PicturePool(path) for path in arguments.content], [PicturePool(path) for path in arguments.style]
    data = TrainingPairs(*pools, options.crop, options.seed, options.steps * options.batch)
    model = build_network(options, encoder=variant.encoder, perceptual=perceptual)
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
    """Return the means of the scores over pairs."""
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
    """Train and score the variants, and print each as it is done."""
    perceptual = load_vgg19(arguments.network)
    pairs = read_pairs(arguments.pairs, readable_extensions())
    names = ["style_gram", "style_pyr", "content_in", "ssim", "swd_rgb", "own, dB"]
    table = Table(
        f"{arguments.steps} steps of {BASE.batch} crops of {BASE.crop} pixels, or as many pixels",
        ["variant", "parameters", *names],
    )
    for name in arguments.only or VARIANTS:
        with leave(VARIANTS[name].untouched):
            network = train(VARIANTS[name], arguments.steps, arguments, perceptual)
            table.add(name, count_parameters(network), *score(network, pairs, perceptual))
        print(table.to_markdown().splitlines()[-1], flush=True)
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("content", "style"):
        parser.add_argument(f"--{name}", type=Path, required=True, action="append", help="repeatable")
    for name in ("network", "pairs"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, help="variants, all without")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(compare(chosen).to_markdown())
