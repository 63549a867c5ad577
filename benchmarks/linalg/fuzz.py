"""Random features of every difficult kind, and the number of results that are not finite."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from .methods import OTHER_TRANSFERS, PACKAGE_TRANSFERS, Transfer, peer_transfers
from .tables import Table


def make_features(channels: int, samples: int, rng: random.Random) -> Tensor:
    """Return features [1, C, N], float32, with a random rank, scale and offset.

    Channels may be dead, duplicated or constant, and eigenvalues may be equal.
    """
    generator = torch.Generator().manual_seed(rng.getrandbits(63))
    features = torch.randn(channels, samples, generator=generator, dtype=torch.float64)
    kind = rng.choice(["noise", "ties", "rank 1", "low rank", "constant", "relu"])
    if kind == "ties":
        features = torch.sign(features)
    elif kind == "rank 1":
        features = torch.outer(features[:, 0], features[0])
    elif kind == "low rank":
        rank = max(1, min(channels, samples) // 4)
        features = features[:, :rank] @ features[:rank]
    elif kind == "constant":
        features = features[:, :1].expand(-1, samples).clone()
    elif kind == "relu":
        features = torch.relu(features - 1)
    if rng.random() < 0.3:
        features[:: rng.randint(1, channels)] = 0  # dead
    if rng.random() < 0.3:
        features[rng.randrange(channels)] = features[rng.randrange(channels)]  # duplicated
    if rng.random() < 0.3:
        features = features + 10 ** rng.uniform(0, 8) * torch.randn(channels, 1, generator=generator)
    return (features * 10 ** rng.uniform(-15, 15))[None].float()


def count_failures(transfer: Transfer, eps: float, trials: int, seed: int = 0) -> tuple[int, int]:
    """Return how many trials raised an error, and how many gave a result or gradient that is not finite."""
    rng = random.Random(seed)
    raised = not_finite = 0
    for _ in range(trials):
        channels = rng.choice([1, 2, 3, 8, 16])
        content, style = (make_features(channels, rng.choice([1, 2, 3, 20, 100]), rng) for _ in range(2))
        content.requires_grad_()
        style.requires_grad_()
        try:
            result = transfer(content, style, eps)
            # The loss is relative to the size of the result, so that its gradient cannot overflow by itself.
            loss = (result / result.detach().abs().max().clamp(min=1e-30)).square().sum()
            found = torch.autograd.grad(loss, (content, style))
        except (ArithmeticError, RuntimeError):
            raised += 1
            continue
        not_finite += not all(bool(value.isfinite().all()) for value in (result, *found))
    return raised, not_finite


def fuzz(trials: int = 10_000, peer_trials: int = 1_000) -> Table:
    """Count failures of the package, with and without eps, and of the published methods with eps."""
    table = Table("Failures in random trials", ["method", "eps", "trials", "raised", "not finite"])
    for name, transfer in PACKAGE_TRANSFERS.items():
        for eps in (1e-5, 0.0):
            table.add(name, eps, trials, *count_failures(transfer, eps, trials))
    for name, transfer in (OTHER_TRANSFERS | peer_transfers()).items():
        table.add(name, 1e-5, peer_trials, *count_failures(transfer, 1e-5, peer_trials))
    return table
