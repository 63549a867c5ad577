"""Short trainings with the project's trainer, and scores of what they give."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from torch import Tensor, nn

from styletransfer import Stylizer
from styletransfer.evaluation import Pair, PairScorer, Scores, average_scores
from styletransfer.media import read_picture
from styletransfer.model import Autoencoder, save_model
from styletransfer.model.vgg import VGG16, VGG19
from styletransfer.options import RuntimeOptions, TrainOptions
from styletransfer.training import PicturePool, Processes, Trainer, TrainingPairs
from styletransfer.training.transfer_loss import LossTerms, TransferLoss

from .tied import plain_copy


class Judges(NamedTuple):
    """The frozen networks that training and scores compare features of."""

    perceptual: VGG19
    deep: VGG16 | None


class UnsavedTrainer(Trainer[Autoencoder]):
    """A trainer of networks that have no weights file: those with ties or parametrizations."""

    def save(self) -> None:
        """Keep nothing; the run is short."""


class PenalizedLoss(TransferLoss):
    """The training loss plus a penalty on the weights.

    Args:
        penalty: Module without inputs that returns a scalar. The other arguments are those of the loss.
    """

    def __init__(self, model: Autoencoder, judges: Judges, options: TrainOptions, penalty: nn.Module) -> None:
        super().__init__(model, judges.perceptual, options, judges.deep)
        self.weight_penalty = penalty

    def forward(self, content: Tensor, style: Tensor, step: int | None = None) -> LossTerms:
        """Compute the loss of a batch, see `TransferLoss`."""
        terms = super().forward(content, style, step)
        return terms._replace(total=terms.total + self.weight_penalty())


def train(
    network: Autoencoder,
    options: TrainOptions,
    arguments: argparse.Namespace,
    judges: Judges,
    penalty: nn.Module | None = None,
) -> float:
    """Train a network in place.

    Args:
        network: The network, which becomes the average of its steps.
        options: The recipe.
        arguments: `content` and `style` are lists of folders or archives of pictures.
        judges: Networks that judge the results.
        penalty: Penalty on the weights; None for none.

    Returns:
        The mean loss of the last quarter of the steps, without the penalty.
    """
    pools = [PicturePool(path) for path in arguments.content], [PicturePool(path) for path in arguments.style]
    data = TrainingPairs(*pools, options.crop, options.seed, options.steps * options.batch)
    processes = Processes(0, 1, torch.device("cpu"))
    with TemporaryDirectory() as folder:
        trainer = UnsavedTrainer(
            Path(folder), network, data, judges.perceptual, options, processes, deep_network=judges.deep
        )
        if penalty is not None:
            trainer.loss = PenalizedLoss(network, judges, options, penalty)
        losses = []
        for report in trainer.run():
            own = 0.0 if penalty is None else penalty().item()
            losses.append(report.terms["total"] - own)
        network.load_state_dict(trainer.average.module.state_dict())
    return fmean(losses[-max(1, len(losses) // 4) :])


@torch.no_grad()
def score(
    network: Autoencoder, pairs: Sequence[Pair], alphas: Sequence[float], judges: Judges
) -> list[Scores]:
    """Return the mean scores of a network over pairs, one for every strength."""
    with TemporaryDirectory() as folder:
        save_model(plain_copy(network), Path(folder) / "model.safetensors")
        runtime = RuntimeOptions(precision="fp32")
        stylizer = Stylizer(Path(folder) / "model.safetensors", runtime=runtime, device="cpu")
        scores: dict[float, list[Scores]] = {alpha: [] for alpha in alphas}
        for pair in pairs:
            content, style = (read_picture(path).to_float() for path in (pair.content, pair.style))
            scorer = PairScorer(judges.perceptual, content, style, judges.deep)
            for alpha in alphas:
                scores[alpha].append(scorer.score(stylizer.stylize(content, style, alpha=alpha)))
    return [average_scores(each) for each in scores.values()]


def at_content(scores: Sequence[Scores], content: float, name: str) -> float:
    """Interpolate a score linearly to where `content_in` has a value; beyond the ends, extrapolate.

    Args:
        scores: Scores at two or more strengths, `content_in` rising from one to the next.
        content: The value of `content_in`.
        name: The score that is wanted.
    """
    pieces = list(pairwise(scores))
    low, high = next((each for each in pieces if each[1].content_in >= content), pieces[-1])
    share = (content - low.content_in) / (high.content_in - low.content_in)
    start: float = getattr(low, name)
    return start + share * (float(getattr(high, name)) - start)
