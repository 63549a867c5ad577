"""How the learning rate and the averaged weights move over a run."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..options import TrainOptions


def compute_learning_rate(step: int, options: TrainOptions) -> float:
    """Return the learning rate of a step: a linear warm-up, then half a cosine down to zero."""
    if step < options.warmup:
        return options.learning_rate * (step + 1) / options.warmup
    done = (step - options.warmup) / max(1, options.steps - options.warmup)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


Tensors = tuple[Tensor, ...] | list[Tensor]


def make_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return the update of exponentially averaged weights for `torch.optim.swa_utils.AveragedModel`.

    Early on the decay is smaller, (1 + n) / (10 + n) at the n-th update, so that the average forgets the
    random weights it began with.
    """

    @torch.no_grad()
    def update(averages: Tensors, currents: Tensors, updates: Tensor | int) -> None:
        n = float(updates)
        share = 1 - min(decay, (1 + n) / (10 + n))
        for average, current in zip(averages, currents, strict=True):
            average.lerp_(current, share)

    return update
