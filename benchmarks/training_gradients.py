"""Compare three gradients of the eigendecomposition in training: `python -m benchmarks.training_gradients`.

Network, data, seed and number of steps are the same. Only the gradient through whitening and coloring
differs: autograd through torch's eigh, the Taylor expansion of degree 9, or the exact gradient of the
spectral functions. The table shows the number of steps without finite gradients, the losses at the end, and
the time per step.
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
PATHS = {
    "content": "Folder or tar archive of photographs.",
    "style": "Folder or tar archive of artworks.",
    "vgg": "Safetensors file with VGG-19.",
}


def transfer_by(decompose: Decompose, dtype: torch.dtype) -> Transfer:
    """Return a feature transform whose gradient flows through eigenvalues and eigenvectors.

    Args:
        decompose: Computes eigenvalues and eigenvectors of symmetric matrices.
        dtype: Precision of the decomposition and of the statistics.
    """

    def power(covariance: Tensor, exponent: float) -> Tensor:
        size = covariance.shape[-1]
        ridge = EPS * covariance.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
        values, vectors = decompose((covariance + ridge * torch.eye(size)).to(dtype))
        return (vectors * values.unsqueeze(-2) ** exponent) @ vectors.mT

    def transfer(features: Tensor, target: Statistics, transform: str = "wct") -> Tensor:
        flat = features.flatten(2)
        own = compute_statistics(flat, dtype=dtype)
        matrix = power(target.covariance, 0.5) @ power(own.covariance, -0.5)
        centered = flat - own.mean.unsqueeze(-1).to(flat.dtype)
        moved = matrix.to(flat.dtype) @ centered + target.mean.unsqueeze(-1).to(flat.dtype)
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
    """Train with each gradient and return a table of the results."""
    options = TrainOptions(
        steps=arguments.steps, batch=2, crop=arguments.crop, warmup=20, octaves=2, seed=arguments.seed
    )
    perceptual = load_vgg19(arguments.vgg)
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
            process = Processes(0, 1, torch.device("cpu"))
            trainer = Trainer(Path(folder), model, data, perceptual, options, process)
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
    for name, text in PATHS.items():
        parser.add_argument(f"--{name}", type=Path, required=True, help=text)
    parser.add_argument("--steps", type=int, default=150, help="Number of steps (%(default)s).")
    parser.add_argument("--crop", type=int, default=64, help="Pixels on each side of a crop (%(default)s).")
    parser.add_argument("--seed", type=int, default=0, help="Seed of weights and crops (%(default)s).")
    parser.add_argument("--json", action="store_true", help="Print JSON instead of Markdown.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = compare(arguments)
    print(result.to_json() if arguments.json else result.to_markdown())
