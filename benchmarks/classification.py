"""Does a network with a whitening layer train? Success rate and accuracy by gradient and whitening dimension.

The first layer of a classifier is whitened by a ZCA layer of 64 channels in groups of d: before its ReLU, in
place of the normalisation, as in the papers; or after it, where style transfer whitens and dead channels make
eigenvalues tie exactly. A run succeeds if every loss and gradient is finite.

    python -m benchmarks.classification                                   scikit-learn's digits, offline, CPU
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
    """The ZCA layer with a peer's inverse square root, all in float32 as published."""

    def __init__(self, channels: int, groups: int, peer: Peer) -> None:
        super().__init__(channels, groups=groups, eps=EPS, statistics_dtype=torch.float32)
        self.peer = peer

    def whitening_matrix(self, covariance: Tensor) -> Tensor:
        """Return the peer's inverse square root of the covariance with eps on its diagonal."""
        level = EPS * covariance.diagonal(dim1=-2, dim2=-1).mean(-1)
        identity = torch.eye(covariance.shape[-1], device=covariance.device)
        return self.peer(covariance + level[:, None, None] * identity, -0.5)


def exact(groups: int) -> nn.Module:
    """Return the package's layer."""
    return ZCAWhitening(CHANNELS, groups=groups, eps=EPS)


METHODS: dict[str, Callable[[int], nn.Module]] = {
    "eigh autograd": lambda groups: PeerWhitening(CHANNELS, groups, PEERS["eigh autograd"]),
    "svd autograd": lambda groups: PeerWhitening(CHANNELS, groups, PEERS["svd autograd"]),
    "taylor 9": lambda groups: PeerWhitening(CHANNELS, groups, PEERS["taylor 9"]),
    "exact": exact,
}


class Images(NamedTuple):
    """Pictures [N, channels, height, width] and labels [N], for training and for testing."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


Builder = Callable[[nn.Module, str], nn.Module]  # whitening layer, "before" or "after" the ReLU -> network


class Task(NamedTuple):
    """Data, the network for it, and how long to train."""

    load: Callable[[Path], Images]
    build: Builder
    epochs: int
    rate: float
    augment: Callable[[Tensor], Tensor]


def load_digits(folder: Path) -> Images:
    """Return the 1,797 digits of scikit-learn, 8 x 8; every fifth is for testing."""
    from sklearn.datasets import load_digits as read

    data = read()
    pictures = torch.from_numpy(data.images).float()[:, None] / 16
    labels = torch.from_numpy(data.target)
    held = torch.arange(len(labels)) % 5 == 0
    return Images((pictures[~held], labels[~held]), (pictures[held], labels[held]))


def load_cifar10(folder: Path) -> Images:
    """Return CIFAR-10 from a folder, downloaded there if it is not."""
    from torchvision.datasets import CIFAR10

    parts = []
    for train in (True, False):
        data = CIFAR10(str(folder), train=train, download=True)
        pictures = torch.from_numpy(data.data).permute(0, 3, 1, 2).float() / 255
        parts.append((pictures - 0.47, torch.tensor(data.targets)))
    return Images(*parts)


def build_small(whitening: nn.Module, position: str) -> nn.Module:
    """Return two convolutions for 8 x 8 grey pictures."""
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
    """Return ResNet-18 for 32 x 32 pictures, its first normalisation (or unused first pooling) replaced."""
    from torchvision.models import resnet18

    network: nn.Module = resnet18(num_classes=10)
    network.conv1 = nn.Conv2d(3, CHANNELS, 3, padding=1, bias=False)
    before = position == "before"
    network.bn1, network.maxpool = (whitening, nn.Identity()) if before else (nn.Identity(), whitening)
    return network


def crop_and_flip(pictures: Tensor) -> Tensor:
    """Shift a batch by up to four pixels and mirror half of the time."""
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
    """Train and return the accuracy on the test pictures in percent; None if a number was not finite."""
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
            optimizer.zero_grad()
            try:
                loss = functional.cross_entropy(network(task.augment(pictures[chosen])), labels[chosen])
                loss.backward()  # type: ignore[no-untyped-call]
            except (RuntimeError, ArithmeticError):  # a solver met NaN or did not converge
                return None
            gradients = [p.grad for p in network.parameters() if p.grad is not None]
            if not torch.isfinite(torch.stack([loss, *(g.abs().max() for g in gradients)])).all():
                return None
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        starts = range(0, len(images.test[1]), 500)
        found = [network(images.test[0][i : i + 500].to(device)).argmax(1).cpu() for i in starts]
    return 100 * float((torch.cat(found) == images.test[1]).double().mean())


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
    """Run the demonstration and print its table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.classification", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", choices=TASKS, default="digits", help="default: %(default)s")
    parser.add_argument("--folder", type=Path, default=Path("data"), help="of CIFAR-10; default: %(default)s")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--dimensions", nargs="+", type=int, choices=DIMENSIONS, default=DIMENSIONS)
    parser.add_argument("--position", choices=("before", "after"), default="before", help="the first ReLU")
    parser.add_argument("--seeds", type=int, default=5, help="runs per cell; default: %(default)s")
    parser.add_argument("--epochs", type=int, help="default: 10 for digits, 30 for CIFAR-10")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", action="store_true", help="one JSON object a row instead of a table")
    arguments = parser.parse_args()
    task = TASKS[arguments.data]
    try:
        images = task.load(arguments.folder)
    except (ImportError, OSError, RuntimeError) as error:
        parser.exit(1, f"cannot load {arguments.data}: {error}; give a --folder that holds it\n")
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
