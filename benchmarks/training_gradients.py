"""The same recipe with three gradients of the eigendecomposition: `python -m benchmarks.training_gradients`.

The network, the data, the seed and the number of steps are the same; only the gradient through the whitening
and coloring differs: torch's eigh as it is, the Taylor expansion of degree 9, and the exact gradient of the
spectral functions. Reports steps without finite gradients, the losses at the end, and the time of a step.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import torch
from torch import Tensor

from benchmarks.linalg.tables import Table
from styletransfer.linalg import Statistics, compute_statistics, eigh
from styletransfer.model.vgg import load_vgg19
from styletransfer.options import TrainOptions
from styletransfer.training import PicturePool, Processes, Trainer, TrainingPairs, build_network
from styletransfer.transfer import transfer_features
from styletransfer.transfer.feature_transform import EPS

Transfer = Callable[[Tensor, Statistics, str], Tensor]
Decompose = Callable[[Tensor], tuple[Tensor, Tensor]]


def transfer_by(decompose: Decompose, dtype: torch.dtype) -> Transfer:
    """Return a transfer whose gradient flows through eigenvalues and eigenvectors."""

    def power(covariance: Tensor, exponent: float) -> Tensor:
        size = covariance.shape[-1]
        ridge = EPS * covariance.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
        values, vectors = decompose((covariance + ridge * torch.eye(size)).to(dtype))
        return (vectors * values.unsqueeze(-2) ** exponent) @ vectors.mT

    def transfer(features: Tensor, target: Statistics, transform: str = "wct") -> Tensor:
        flat = features.flatten(2)
        own = compute_statistics(flat, dtype=dtype)
        matrix = power(target.covariance, 0.5) @ power(own.covariance, -0.5)
        centred = flat - own.mean.unsqueeze(-1).to(flat.dtype)
        moved = matrix.to(flat.dtype) @ centred + target.mean.unsqueeze(-1).to(flat.dtype)
        return moved.view(features.shape)

    return transfer


TRANSFERS: dict[str, Transfer] = {
    "torch eigh, float32": transfer_by(lambda matrix: torch.linalg.eigh(matrix), torch.float32),
    "torch eigh, float64": transfer_by(lambda matrix: torch.linalg.eigh(matrix), torch.float64),
    "Taylor 9, float32": transfer_by(lambda matrix: eigh(matrix, backward="taylor"), torch.float32),
    "Taylor 9, float64": transfer_by(lambda matrix: eigh(matrix, backward="taylor"), torch.float64),
    "exact, float64 (ours)": transfer_features,
}


def compare(arguments: argparse.Namespace) -> Table:
    """Train with each gradient and tabulate what came of it."""
    options = TrainOptions(
        steps=arguments.steps, batch=2, crop=arguments.crop, warmup=20, octaves=2, seed=arguments.seed
    )
    perceptual = load_vgg19(arguments.network)
    pools = [PicturePool(arguments.content)], [PicturePool(arguments.style)]
    data = TrainingPairs(*pools, options.crop, options.seed, options.steps * options.batch)
    table = Table(
        f"{options.steps} steps, {options.batch} crops of {options.crop} pixels, seed {options.seed}",
        ["gradient", "skipped steps", "content", "style", "identity", "median gradient norm", "ms / step"],
    )
    for name, transfer in TRANSFERS.items():
        with (
            TemporaryDirectory() as folder,
            mock.patch("styletransfer.model.autoencoder.transfer_features", transfer),
        ):
            model = build_network(options, perceptual=perceptual)
            alone = Processes(0, 1, torch.device("cpu"))
            trainer = Trainer(Path(folder), model, data, perceptual, options, alone)
            reports = list(trainer.run())
        last = [
            report
            for report in reports[-len(reports) // 5 :]
            if report.terms["total"] == report.terms["total"]
        ]
        ends = [
            statistics.mean(report.terms[term] for report in last) if last else float("nan")
            for term in ("content", "style", "identity")
        ]
        norms = statistics.median(report.gradient_norm for report in reports)
        time = statistics.median(1000 * options.batch / report.pairs_per_second for report in reports)
        table.add(name, reports[-1].skipped_steps, *ends, norms, time)
        print(table.to_markdown().splitlines()[-1], flush=True)
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("content", "style", "network"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    result = compare(chosen)
    print(result.to_json() if chosen.json else result.to_markdown())
