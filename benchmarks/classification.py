"""Train classifiers with a whitening layer, and report success rate and accuracy by gradient and group size.

The first layer of a classifier is followed by a ZCA whitening layer of 64 channels in groups of d channels.
The layer is before the ReLU, in place of the normalization, as in the papers; or after the ReLU, as in style
transfer, where dead channels have exactly equal eigenvalues. A run succeeds if all losses and gradients are
finite.

    python -m benchmarks.classification                                   digits of scikit-learn, offline, CPU
    python -m benchmarks.classification --data cifar10 --folder DIR       ResNet-18, downloads 170 MB once
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from styletransfer.linalg import ZCAWhitening

from .linalg.peers import PEERS, Peer
from .linalg.tables import Table

CHANNELS = 64
DIMENSIONS = (4, 8, 16, 32, 64)
EPS = 1e-5


class PeerWhitening(ZCAWhitening):
    """The ZCA whitening layer with the inverse square root of a published method, in float32 as published."""

    def __init__(self, channels: int, groups: int, peer: Peer) -> None:
        super().__init__(channels, groups=groups, eps=EPS, statistics_dtype=torch.float32)
        self.peer = peer

    def whitening_matrix(self, covariance: Tensor) -> Tensor:
        """Return the inverse square root of the covariance with eps added to its diagonal."""
        level = EPS * covariance.diagonal(dim1=-2, dim2=-1).mean(-1)
        identity = torch.eye(covariance.shape[-1], device=covariance.device)
        return self.peer(covariance + level[:, None, None] * identity, -0.5)


def exact(groups: int) -> nn.Module:
    """Return the whitening layer of the package."""
    return ZCAWhitening(CHANNELS, groups=groups, eps=EPS)


METHODS: dict[str, Callable[[int], nn.Module]] = {
    "eigh autograd": lambda groups: PeerWhitening(CHANNELS, groups, PEERS["eigh autograd"]),
    "svd autograd": lambda groups: PeerWhitening(CHANNELS, groups, PEERS["svd autograd"]),
    "taylor 9": lambda groups: PeerWhitening(CHANNELS, groups, PEERS["taylor 9"]),
    "exact": exact,
}


class Images(NamedTuple):
    """Images [N, channels, height, width] and labels [N], for training and for testing."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


Builder = Callable[[nn.Module, str], nn.Module]  # whitening layer, "before" or "after" the ReLU -> network


class Task(NamedTuple):
    """A data set, a network for it, and the length of the training."""

    load: Callable[[Path], Images]
    build: Builder
    epochs: int
    rate: float
    augment: Callable[[Tensor], Tensor]


def load_digits(folder: Path) -> Images:
    """Return the 1,797 digits of scikit-learn, 8 x 8 pixels. Every fifth is for testing."""
    from sklearn.datasets import load_digits as read

    data = read()
    pictures = torch.from_numpy(data.images).float()[:, None] / 16
    labels = torch.from_numpy(data.target)
    held = torch.arange(len(labels)) % 5 == 0
    return Images((pictures[~held], labels[~held]), (pictures[held], labels[held]))


def load_cifar10(folder: Path) -> Images:
    """Return CIFAR-10 from a folder. It is downloaded if it is not there."""
    from torchvision.datasets import CIFAR10

    parts = []
    for train in (True, False):
        data = CIFAR10(str(folder), train=train, download=True)
        pictures = torch.from_numpy(data.data).permute(0, 3, 1, 2).float() / 255
        parts.append((pictures - 0.47, torch.tensor(data.targets)))
    return Images(*parts)


def build_small(whitening: nn.Module, position: str) -> nn.Module:
    """Return a network of two convolutions for gray images of 8 x 8 pixels."""
    first = nn.Conv2d(1, CHANNELS, 3, padding=1)
    return nn.Sequential(
        *((first, whitening, nn.ReLU()) if position == "before" else (first, nn.ReLU(), whitening)),
        nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(CHANNELS),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(CHANNELS * 16, 10),
    )


def build_resnet18(whitening: nn.Module, position: str) -> nn.Module:
    """Return ResNet-18 for 32 x 32 pixels, with its first normalization or its first pooling replaced."""
    from torchvision.models import resnet18

    network: nn.Module = resnet18(num_classes=10)
    network.conv1 = nn.Conv2d(3, CHANNELS, 3, padding=1, bias=False)
    before = position == "before"
    network.bn1, network.maxpool = (whitening, nn.Identity()) if before else (nn.Identity(), whitening)
    return network


def crop_and_flip(pictures: Tensor) -> Tensor:
    """Shift a batch by up to four pixels, and mirror it with probability 1/2."""
    size = pictures.shape[-1]
    padded = functional.pad(pictures, (4, 4, 4, 4))
    top, left = torch.randint(9, (2,)).tolist()
    cropped = padded[..., top : top + size, left : left + size]
    return cropped.flip(-1) if torch.rand(()) < 0.5 else cropped


TASKS = {
    "digits": Task(load_digits, build_small, 10, 0.05, lambda pictures: pictures),
    "cifar10": Task(load_cifar10, build_resnet18, 30, 0.1, crop_and_flip),
}


def train_once(
    task: Task, images: Images, network: nn.Module, epochs: int, device: torch.device, batch: int = 128
) -> float | None:
    """Train, and return the accuracy on the test images in percent, or None if a value was not finite."""
    network = network.to(device)
    optimizer = torch.optim.SGD(
        network.parameters(), task.rate, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    pictures, labels = (part.to(device) for part in images.train)
    steps = epochs * (len(labels) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, task.rate, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(labels), device=device)
        for chosen in order[: steps // epochs * batch].view(-1, batch):
            inputs, targets = task.augment(pictures[chosen]), labels[chosen]

            def objective(inputs: Tensor = inputs, targets: Tensor = targets) -> tuple[Tensor, Tensor]:
                loss = functional.cross_entropy(network(inputs), targets)
                return loss, loss

            if descend(optimizer, objective) is None:
                return None
            schedule.step()
    network.eval()
    with torch.no_grad():
        starts = range(0, len(images.test[1]), 500)
        found = [network(images.test[0][i : i + 500].to(device)).argmax(1).cpu() for i in starts]
    return 100 * float((torch.cat(found) == images.test[1]).double().mean())


def descend(optimizer: torch.optim.Optimizer, objective: Callable[[], tuple[Tensor, Tensor]]) -> float | None:
    """Take one step, unless a value is not finite.

    Args:
        optimizer: Holds the parameters.
        objective: Returns the loss, and the loss with all penalties, which is differentiated.

    Returns:
        The loss, or None if a loss or a gradient was not finite; then the parameters are unchanged.
    """
    optimizer.zero_grad()
    try:
        loss, penalized = objective()
        penalized.backward()  # type: ignore[no-untyped-call]
    except (RuntimeError, ArithmeticError):  # An eigensolver met NaN or did not converge.
        return None
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not torch.isfinite(torch.stack([penalized, *(g.abs().max() for g in gradients)])).all():
        return None
    optimizer.step()
    return loss.item()


def classify(
    task: Task,
    images: Images,
    *,
    methods: Sequence[str],
    dimensions: Sequence[int],
    position: str,
    seeds: int,
    epochs: int,
    device: torch.device,
) -> Table:
    """Train every method at every whitening dimension from several seeds."""
    table = Table(
        f"Classification with a whitening layer {position} the first ReLU",
        ["method", "dimension", "runs", "success %", "accuracy % of successes"],
    )
    for method in methods:
        for dimension in dimensions:
            scores = []
            for seed in range(seeds):
                torch.manual_seed(seed)
                network = task.build(METHODS[method](CHANNELS // dimension), position)
                scores.append(train_once(task, images, network, epochs, device))
            finished = [score for score in scores if score is not None]
            accuracy = mean(finished) if finished else float("nan")
            table.add(method, dimension, seeds, 100 * len(finished) / seeds, accuracy)
    return table


def main() -> None:
    """Train all classifiers and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.classification", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", choices=TASKS, default="digits", help="Data set (default: %(default)s).")
    parser.add_argument(
        "--folder", type=Path, default=Path("data"), help="Folder of CIFAR-10 (default: %(default)s)."
    )
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=list(METHODS), help="Gradients to compare."
    )
    parser.add_argument(
        "--dimensions",
        nargs="+",
        type=int,
        choices=DIMENSIONS,
        default=DIMENSIONS,
        help="Channels per group.",
    )
    parser.add_argument(
        "--position",
        choices=("before", "after"),
        default="before",
        help="Position of the whitening layer relative to the first ReLU (default: %(default)s).",
    )
    parser.add_argument(
        "--seeds", type=int, default=5, help="Number of runs per cell (default: %(default)s)."
    )
    parser.add_argument(
        "--epochs", type=int, help="Number of epochs (default: 10 for digits, 30 for CIFAR-10)."
    )
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="Torch device."
    )
    parser.add_argument(
        "--json", action="store_true", help="Print one JSON object per row instead of a table."
    )
    arguments = parser.parse_args()
    task = TASKS[arguments.data]
    try:
        images = task.load(arguments.folder)
    except (ImportError, OSError, RuntimeError) as error:
        parser.exit(
            1, f"cannot load {arguments.data}: {error}; use --folder to name the folder that holds it\n"
        )
    table = classify(
        task,
        images,
        methods=arguments.methods,
        dimensions=arguments.dimensions,
        position=arguments.position,
        seeds=arguments.seeds,
        epochs=arguments.epochs or task.epochs,
        device=torch.device(arguments.device),
    )
    print(table.to_json() if arguments.json else table.to_markdown())


if __name__ == "__main__":
    main()
