"""Test whether penalized norms make a classifier generalize better, as Yi 2020 claims, on ResNets.

The data are a few of the digits of scikit-learn (offline), or CIFAR-10 where it can be downloaded. For each
seed, the runs with every penalty see the same examples, initial weights and batches.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from styletransfer.spectrum import SpectralPenalty

from ..classification import Images, crop_and_flip, load_cifar10, load_digits
from ..linalg.tables import Table


class Trial(NamedTuple):
    """One configuration of the training.

    Attributes:
        data: "digits", or a folder for CIFAR-10.
        examples: Number of training examples, chosen by the seed; all test pictures are used.
        blocks: Number of residual blocks in each of three stages; 3 gives ResNet-20.
        widths: Channels of the stages.
        epochs: Number of passes over the training examples.
        batch: Examples per step.
        rate: Largest learning rate.
        weight_decay: Weight decay of SGD.
    """

    data: str = "digits"
    examples: int = 200
    blocks: int = 3
    widths: tuple[int, int, int] = (16, 32, 64)
    epochs: int = 40
    batch: int = 50
    rate: float = 0.1
    weight_decay: float = 5e-4


# Each weight is the better of 1e-1 and 1e-2, or of 1e-2 and 1e-3, on seeds 100 and 101, which no table uses.
PENALTIES: dict[str, Callable[[nn.Module], tuple[SpectralPenalty, float]] | None] = {
    "none": None,
    "norm above 1": lambda network: (SpectralPenalty(network, 1.0, size=(8, 8)), 1e-2),
    "norm": lambda network: (SpectralPenalty(network, 0.0, size=(8, 8)), 1e-2),
    "unfoldings (Yi)": lambda network: (SpectralPenalty(network, 0.0, bound="unfoldings", size=(8, 8)), 1e-3),
}


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Add the output of the convolutions to the shortcut."""
        return functional.relu(self.body(maps) + self.shortcut(maps))


def build_resnet(trial: Trial, channels: int) -> nn.Sequential:
    """Return a ResNet for small pictures, as in He et al. 2016, section 4.2."""
    width = trial.widths[0]
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    for stage, outputs in enumerate(trial.widths):
        for block in range(trial.blocks):
            layers.append(Block(width, outputs, 2 if stage and not block else 1))
            width = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def compare_penalties(trial: Trial, seeds: int) -> Table:
    """Train with every penalty, from the same seeds."""
    images = load_digits(Path()) if trial.data == "digits" else load_cifar10(Path(trial.data))
    table = Table(
        f"Test accuracy, ResNet-{6 * trial.blocks + 2} on {trial.examples} {trial.data}, {seeds} seeds",
        ["penalty", "mean %", "standard deviation", "wins over none", "largest layer norm"],
    )
    without: list[float] = []
    for name in PENALTIES:
        runs = [train_once(trial, images, name, seed) for seed in range(seeds)]
        scores, norms = [run[0] for run in runs], [run[1] for run in runs]
        without = without or scores
        better = sum(a > b for a, b in zip(scores, without, strict=True))
        worse = sum(a < b for a, b in zip(scores, without, strict=True))
        spread = f"{stdev(scores):.2f}" if seeds > 1 else "-"
        table.add(name, f"{mean(scores):.2f}", spread, f"{better} : {worse}", f"{mean(norms):.2f}")
    return table


def train_once(trial: Trial, images: Images, penalty: str, seed: int) -> tuple[float, float]:
    """Train one network; return its accuracy in percent and the largest norm among its convolutions."""
    torch.manual_seed(seed)
    pictures, labels = images.train
    chosen = torch.randperm(len(labels))[: trial.examples]
    pictures, labels = pictures[chosen], labels[chosen]
    network = build_resnet(trial, pictures.shape[1])
    factory = PENALTIES[penalty]
    regularizer, weight = factory(network) if factory else (None, 0.0)
    optimizer = torch.optim.SGD(
        network.parameters(), trial.rate, momentum=0.9, weight_decay=trial.weight_decay, nesterov=True
    )
    steps = trial.epochs * (len(labels) // trial.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, trial.rate, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(trial.epochs):
        order = torch.randperm(len(labels), generator=generator)
        for batch in order[: len(labels) // trial.batch * trial.batch].view(-1, trial.batch):
            inputs = pictures[batch] if trial.data == "digits" else crop_and_flip(pictures[batch])
            loss = functional.cross_entropy(network(inputs), labels[batch])
            if regularizer:
                loss = loss + weight * regularizer()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        found = torch.cat([network(part).argmax(1) for part in torch.split(images.test[0], 500)])
        norms = SpectralPenalty(network, size=(8, 8)).norms()
    accuracy = 100 * float((found == images.test[1]).double().mean())
    return accuracy, float(torch.stack(norms).max())
