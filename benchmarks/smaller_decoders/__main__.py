"""Command line of the benchmark: every command prints one table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from styletransfer import Stylizer
from styletransfer.evaluation import Scores, read_pairs
from styletransfer.media import readable_extensions
from styletransfer.model import Autoencoder, count_parameters, load_autoencoder
from styletransfer.model.vgg import load_vgg16, load_vgg19
from styletransfer.options import RuntimeOptions, TrainOptions
from styletransfer.spectrum.composition import Unfolding
from styletransfer.training import build_autoencoder

from ..linalg.stopwatch import compare
from ..linalg.tables import Table
from . import __doc__ as description
from .low_rank import (
    SingularPenalty,
    decompose_decoder,
    factorize_decoder,
    orthogonality_defect,
)
from .tied import plain_copy, tie_decoder
from .training import Judges, at_content, score, train

UNFOLDINGS: tuple[Unfolding, ...] = ("separable", "channels")
SHARES = (0.75, 0.5, 0.25)
ALPHAS = (0.6, 1.0)
REPETITIONS = 5
# The recipe of the shipped model's last part (weights/default.toml), with small crops.
SHIPPED = TrainOptions(
    batch=1,
    crop=128,
    learning_rate=4e-4,
    warmup=20,
    content_weight=2.3,
    style_weight=70.0,
    patch_weight=11.0,
    deep_weight=3.5,
    color_weight=15.0,
    identity_weight=45.0,
    stability_weight=90.0,
    range_weight=60.0,
    octave_decay=1.0,
    ema=0.97,
    precision="bf16",
)
SMALL = TrainOptions(
    batch=1, crop=128, warmup=30, ema=0.98, precision="bf16", widths=(16, 32, 64), convolutions=(2, 2, 2)
)
NARROW = (11, 23, 45)  # widths of an untied network with the parameters of a tied one


def time_decoders(size: int) -> Table:
    """Time the convolutions and activations of the decoder, factorized or not, on one picture and core.

    "whole program" stylizes a picture of that size as shipped, its style measured before.
    """
    tasks: dict[str, Callable[[], object]] = {}
    decoders = {"as shipped": load_autoencoder()}
    for unfolding in UNFOLDINGS:
        for share in SHARES:
            decoders[f"{unfolding}, {share:.0%}"] = each = load_autoencoder()
            factorize_decoder(each, share, unfolding)
    inputs = [
        torch.randn(1, width, size >> scale, size >> scale).to(memory_format=torch.channels_last)
        for scale, width in enumerate(decoders["as shipped"].architecture.widths)
    ]
    for name, network in decoders.items():
        tasks[name] = partial(_apply, network.decoder.scales, inputs)
    stylizer, generator = Stylizer(runtime=RuntimeOptions(precision="fp32"), device="cpu"), torch.Generator()
    picture = torch.rand(1, 3, size, size, generator=generator.manual_seed(0))
    style = stylizer.measure_style(picture[..., :512, :512])
    tasks["whole program"] = partial(stylizer.stylize, picture, style)
    with torch.inference_mode():
        times = compare(tasks, REPETITIONS)
    table = Table(f"{size} x {size} pixels", ["decoder", "parameters", "multiplications a pixel", "ms"])
    for name, network in decoders.items():
        table.add(
            name, count_parameters(network.decoder.scales), multiplications(network), f"{times[name]:.0f}"
        )
    table.add("whole program", count_parameters(decoders["as shipped"]), "-", f"{times['whole program']:.0f}")
    return table


def multiplications(network: Autoencoder) -> int:
    """Return the multiplications of the decoder's convolutions per pixel of the picture."""
    kernels = [
        sum(layer.weight.numel() for layer in scale.modules() if isinstance(layer, nn.Conv2d))
        for scale in network.decoder.scales
    ]
    whole: float = sum(count / 4**scale for scale, count in enumerate(kernels))
    return round(whole)


def _apply(scales: nn.ModuleList, inputs: Sequence[Tensor]) -> None:
    for scale, features in zip(scales, inputs, strict=True):
        scale(features)


class Comparison:
    """A table of networks scored on pairs, in which every row is printed as soon as it is known.

    Strengths between `ALPHAS` are interpolated, or beyond, to have the content distance of the first network
    at full strength.
    """

    def __init__(self, title: str, arguments: argparse.Namespace) -> None:
        pairs = read_pairs(arguments.pairs, readable_extensions())
        self.pairs = [pair for pair in pairs if not arguments.only or pair.name in arguments.only]
        deep = None if arguments.vgg16 is None else load_vgg16(arguments.vgg16)
        self.judges = Judges(load_vgg19(arguments.vgg), deep)
        self.reference: list[Scores] = []
        names = ["style_gram", "style_patch", "content_in", "ssim", "style_patch at equal content"]
        self.table = Table(title, ["network", "parameters", "loss", "defect", *names])

    def add(
        self, name: str, network: Autoencoder, parameters: int, loss: str = "-", defect: str = "-"
    ) -> None:
        """Score a network and print its row."""
        scores = score(network, self.pairs, ALPHAS, self.judges)
        self.reference = self.reference or scores
        last = scores[-1]
        equal = at_content(scores, self.reference[-1].content_in, "style_patch")
        values = last.style_gram, last.style_patch, last.content_in, last.ssim, equal
        self.table.add(name, parameters, loss, defect, *(f"{value:.3f}" for value in values))
        print(self.table.to_markdown().splitlines()[-1], flush=True)


def compare_truncations(arguments: argparse.Namespace) -> Table:
    """Score the shipped network with the kernels of its decoder truncated, without any training."""
    comparison = Comparison("Truncated decoders", arguments)
    shipped = load_autoencoder()
    comparison.add("as shipped", shipped, count_parameters(shipped.decoder.scales))
    for unfolding in UNFOLDINGS:
        for share in SHARES:
            network = load_autoencoder()
            decompose_decoder(network, share, unfolding)
            comparison.add(f"{unfolding}, {share:.0%}", network, count_parameters(network.decoder.scales))
    return comparison.table


def compare_trainings(arguments: argparse.Namespace) -> Table:
    """Train the shipped network for some more steps, whole and with a decoder of low rank."""
    comparison = Comparison(f"{arguments.steps} steps", arguments)
    options = replace(SHIPPED, steps=arguments.steps, seed=arguments.seed)
    share, unfolding = arguments.share, arguments.unfolding
    weight, sparsity = arguments.orthogonality, arguments.sparsity
    rows: dict[str, tuple[bool, bool, float]] = {  # low rank, sparse first half, orthogonality
        "whole": (False, False, 0.0),
        "low rank": (True, False, 0.0),
        "low rank, orthogonal": (True, False, weight),
        "sparse and orthogonal, then low rank": (True, True, weight),
    }
    for name, (low, sparse, orthogonality) in rows.items():
        network, recipe = load_autoencoder().train().requires_grad_(True), options
        if sparse:
            recipe = replace(options, steps=options.steps // 2)
            decompose_decoder(network, None, unfolding)
            penalty = SingularPenalty(network.decoder, orthogonality, sparsity)
            train(network, recipe, arguments, comparison.judges, penalty)
            network = plain_copy(network).train()
            recipe = replace(recipe, seed=options.seed + 1)
        defect, penalty_or_none = "-", None
        if low:
            decompose_decoder(network, share, unfolding)
            penalty_or_none = SingularPenalty(network.decoder, orthogonality)
        loss = train(network, recipe, arguments, comparison.judges, penalty_or_none)
        if penalty_or_none is not None:
            defects = [orthogonality_defect(layer).item() for layer in penalty_or_none.layers]
            defect = f"{max(defects):.1g}"
        comparison.add(name, network, count_parameters(network.decoder.scales), f"{loss:.2f}", defect)
    return comparison.table


def compare_ties(arguments: argparse.Namespace) -> Table:
    """Train small networks from random weights, tied and untied, without matching."""
    comparison = Comparison(f"{arguments.steps} steps", arguments)
    options = replace(SMALL, steps=arguments.steps, seed=arguments.seed)
    for name in ("untied", "tied", "untied, narrow"):
        recipe = replace(options, widths=NARROW) if "narrow" in name else options
        network = build_autoencoder(recipe, perceptual=comparison.judges.perceptual)
        if name == "tied":
            tie_decoder(network)
        loss = train(network, recipe, arguments, comparison.judges)
        comparison.add(name, network, count_parameters(network), f"{loss:.2f}")
    return comparison.table


def main() -> None:
    """Run one command on one core and print its table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.smaller_decoders",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("time", "truncate", "low-rank", "tied"))
    parser.add_argument("--size", type=int, default=1024, help="time: side of the picture (%(default)s).")
    parser.add_argument("--pairs", type=Path, help="Folder of pairs to score the networks on.")
    parser.add_argument("--only", nargs="+", help="Names of the pairs (all).")
    for name in ("content", "style"):
        text = "Folder or tar archive of pictures to train on. Repeat for several."
        parser.add_argument(f"--{name}", type=Path, action="append", help=text)
    parser.add_argument("--vgg", type=Path, help="Safetensors file with VGG-19 (that of the program).")
    parser.add_argument("--vgg16", type=Path, help="Safetensors file with VGG-16 (none).")
    parser.add_argument("--steps", type=int, default=150, help="Steps of every training (%(default)s).")
    parser.add_argument("--seed", type=int, default=0, help="Seed of weights and crops (%(default)s).")
    parser.add_argument(
        "--share", type=float, default=0.5, help="Share of the decoder's parameters kept (%(default)s)."
    )
    parser.add_argument("--unfolding", choices=UNFOLDINGS, default="separable", help="(%(default)s)")
    parser.add_argument("--orthogonality", type=float, default=100.0, help="Its weight (%(default)s).")
    parser.add_argument("--sparsity", type=float, default=0.1, help="Its weight (%(default)s).")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    commands = {"truncate": compare_truncations, "low-rank": compare_trainings, "tied": compare_ties}
    if arguments.command == "time":
        print(time_decoders(arguments.size).to_markdown())
    else:
        print(commands[arguments.command](arguments).to_markdown())


if __name__ == "__main__":
    main()
