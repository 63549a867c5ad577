"""Train one classifier of paintings and measure it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from styletransfer.spectrum import find_convolutions, norm_bounds

from ..classification import Images, descend
from .network import CAPS, PENALTIES, SIZE, build_network, normalization
from .pictures import normalize, read_images, read_index, split_for_testing, split_for_validation, vary

BATCH = 50
EPOCHS = 20
RATE = 0.1
WEIGHT_DECAY = 5e-4  # of the whitening experiment
LOOKS = 5  # points of the curves


@dataclass(frozen=True)
class Run:
    """What identifies a run; equal runs give equal results, up to rounding.

    Attributes:
        experiment: "whitening" or "regularization".
        method: Gradient of the whitening, or the regularizer.
        seed: Seed of the split, the initial weights, the batches and the variations, which methods share.
        dimension: Channels that are whitened together; 0 without whitening.
        everywhere: Whether all normalizations whiten, not the first only.
        strength: Weight of the penalty, weight decay, or cap.
        validation: Whether it is for choosing a strength, and tested on artists whom no other run tests.
        epochs: Length of the training.
    """

    experiment: str
    method: str
    seed: int
    dimension: int = 0
    everywhere: bool = False
    strength: float = 0.0
    validation: bool = False
    epochs: int = EPOCHS


class Paintings:
    """The images that runs need, read when they are first asked for.

    Args:
        folder: Folder that holds `art.tar` and `art_index.csv`.
    """

    def __init__(self, folder: Path) -> None:
        self.archive = folder / "art.tar"
        self.paintings = read_index(folder / "art_index.csv")
        self._kept: tuple[tuple[bool, int], Images] | None = None

    def images(self, run: Run) -> Images:
        """Return the images of the split of a run. Those of the last run are kept."""
        split = (run.validation, 0 if run.validation else run.seed)
        if self._kept is None or self._kept[0] != split:
            paintings = self.paintings
            parts = split_for_validation(paintings) if split[0] else split_for_testing(paintings, split[1])
            self._kept = split, read_images(self.archive, parts)
        return self._kept[1]


class Learner:
    """The network, the penalty and the optimizer of a run, at its first step.

    Args:
        run: What to build.
        steps: Length of the schedule of the learning rate.
    """

    def __init__(self, run: Run, steps: int) -> None:
        torch.manual_seed(run.seed)
        self.network = _build(run)
        self.strength = run.strength
        self.penalty = PENALTIES[run.method](self.network) if run.method in PENALTIES else None
        decay = {"whitening": WEIGHT_DECAY}.get(run.experiment, run.strength * (run.method == "weight decay"))
        parameters = self.network.parameters()
        self.optimizer = torch.optim.SGD(parameters, RATE, momentum=0.9, weight_decay=decay, nesterov=True)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, RATE, total_steps=steps)

    def step(self, inputs: Tensor, labels: Tensor) -> float | None:
        """Take a step, and return the loss without the penalty, or None if a value was not finite."""

        def objective() -> tuple[Tensor, Tensor]:
            loss = functional.cross_entropy(self.network(inputs), labels)
            return loss, loss if self.penalty is None else loss + self.strength * self.penalty()

        loss = descend(self.optimizer, objective)
        if loss is not None:
            self.schedule.step()
        return loss

    @torch.no_grad()
    def test(self, inputs: Tensor, labels: Tensor) -> tuple[float, float]:
        """Return the accuracy in percent, and the mean cross entropy."""
        self.network.eval()
        scores = torch.cat([self.network(part) for part in torch.split(inputs, BATCH)])
        self.network.train()
        right = (scores.argmax(1) == labels).double().mean()
        return round(100 * right.item(), 2), round(functional.cross_entropy(scores, labels).item(), 4)

    @torch.no_grad()
    def norms(self) -> list[float]:
        """Return a certified upper bound of the norm of every convolution."""
        with parametrize.cached():
            layers = find_convolutions(self.network.eval()).values()
            bounds = [round(norm_bounds(layer, SIZE).upper, 4) for layer in layers]
        self.network.train()
        return bounds


def train(run: Run, images: Images) -> dict[str, Any]:
    """Train as a run says, and return its fields with what was measured.

    Returns:
        "succeeded", and "steps" until the end or the first value that is not finite. If it succeeded also
        "train" and "test", accuracies in percent on unvaried pictures, "test_loss", "curve" (epoch, mean loss
        since the last point, train and test accuracy), "norms" (upper bounds by layer), "step_ms" (median
        processor time of a step, without reading and varying pictures).
    """
    labels = images.train[1]
    per_epoch = len(labels) // BATCH
    learner = Learner(run, run.epochs * per_epoch)
    train_inputs, test_inputs = (normalize(pictures) for pictures, _ in images)
    generator = torch.Generator().manual_seed(run.seed)
    result: dict[str, Any] = asdict(run) | {"succeeded": False}
    curve: list[list[float]] = []
    losses: list[float] = []
    times: list[float] = []
    for epoch in range(1, run.epochs + 1):
        order = torch.randperm(len(labels), generator=generator)[: per_epoch * BATCH]
        for batch in order.view(-1, BATCH):
            inputs = vary(train_inputs[batch], generator)
            start = time.process_time()
            loss = learner.step(inputs, labels[batch])
            if loss is None:
                return result | {"steps": len(times)}
            times.append(time.process_time() - start)
            losses.append(loss)
        if epoch % max(1, run.epochs // LOOKS) == 0 or epoch == run.epochs:
            known, (accuracy, test_loss) = (
                learner.test(train_inputs, labels),
                learner.test(test_inputs, images.test[1]),
            )
            curve.append([epoch, round(mean(losses), 4), known[0], accuracy])
            losses.clear()
    return result | {
        "succeeded": True,
        "steps": len(times),
        "train": known[0],
        "test": accuracy,
        "test_loss": test_loss,
        "curve": curve,
        "norms": learner.norms(),
        "step_ms": round(1000 * median(times), 1),
    }


def _build(run: Run) -> nn.Module:
    batch_norm = normalization("batch norm", 0)
    if run.experiment == "whitening":
        whitening = normalization(run.method, run.dimension)
        return build_network(whitening, whitening if run.everywhere else batch_norm)
    network = build_network(batch_norm, batch_norm)
    if run.method in CAPS:
        CAPS[run.method](network, run.strength)
    return network
