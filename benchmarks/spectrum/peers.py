"""Published bounds and estimates of the norm of a zero-padded convolution, written from their papers.

Those that `styletransfer.spectrum` itself offers (unfoldings, taps, Hoelder, tensor norm) are not repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

GRID = 64  # frequencies per axis at which a supremum is sampled
CHUNK = 64  # frequencies processed at once


def reshaped(weight: Tensor, size: int) -> float:
    """Return the norm of the kernel as a matrix [out, in kh kw], as torch's `spectral_norm` does."""
    return float(torch.linalg.matrix_norm(weight.flatten(1), 2))


def circular(weight: Tensor, size: int) -> float:
    """Return the largest singular value of the kernel's discrete Fourier transform.

    Source: Sedghi et al. 2019 (arXiv 1805.10408).
    """
    return float(torch.stack([torch.linalg.svdvals(part).max() for part in _parts(weight, size)]).max())


def gram_iteration(weight: Tensor, size: int) -> float:
    """Run six steps of Gram iteration in the Fourier domain, for circular padding.

    Source: Delattre et al. 2023 (arXiv 2305.16173).
    """
    return float(torch.stack([_iterate_gram(part) for part in _parts(weight, size)]).max())


def _iterate_gram(matrix: Tensor) -> Tensor:
    logarithm = torch.zeros(len(matrix), dtype=torch.float64)
    for step in range(6):
        norm = torch.linalg.matrix_norm(matrix)
        matrix = matrix / norm[:, None, None]
        matrix = matrix.mH @ matrix
        logarithm = logarithm + norm.log() / 2**step
    logarithm += torch.linalg.matrix_norm(matrix).log() / 2**6
    return logarithm.max().exp()


def gram_iteration_in_space(weight: Tensor, size: int) -> float:
    """Run five steps of Gram iteration on the kernel itself (norm2toep).

    T* T of a zero-padded convolution is at most the convolution with the kernel's autocorrelation; after the
    last step the largest row sum bounds the norm.

    Source: Delattre et al. 2024 (arXiv 2402.00240).
    """
    if weight.shape[0] < weight.shape[1]:
        weight = weight.transpose(0, 1)
    logarithm = 0.0
    for step in range(5):
        norm, reach = float(weight.norm()), weight.shape[2] - 1
        matrix = _transform(weight / norm, 2 * reach + 1)
        wrapped = torch.fft.ifft2((matrix.mH @ matrix).permute(2, 3, 0, 1)).real
        weight = wrapped.roll((reach, reach), (2, 3))  # negative lags first
        logarithm += math.log(norm) / 2**step
    rows = float(weight.abs().sum((1, 2, 3)).max())
    return math.exp(logarithm + math.log(rows) / 2**5)


def lip_bound(weight: Tensor, size: int) -> float:
    """Return the better of LipBound's two variants.

    Source: Araujo et al. 2021 (arXiv 2006.08391).
    """
    squares = _transform(weight, GRID).abs().square().flatten(0, 1)  # [P, out, in]
    variants = (squares.sum(2).amax(0).sum(), squares.sum(1).amax(0).sum())
    return float(torch.stack(variants).min().sqrt())


def _parts(weight: Tensor, size: int) -> tuple[Tensor, ...]:
    """Return the transform's matrices [P, out, in] in small parts; all at once would take gigabytes."""
    return torch.split(_transform(weight, size).flatten(0, 1), CHUNK)


def _transform(weight: Tensor, size: int) -> Tensor:
    transform: Tensor = torch.fft.fft2(weight, (size, size))
    return transform.permute(2, 3, 0, 1)


PEERS: dict[str, Callable[[Tensor, int], float]] = {
    "reshaped kernel (torch)": reshaped,
    "LipBound": lip_bound,
    "Gram iteration in space (norm2toep)": gram_iteration_in_space,
    "circular (Sedghi)": circular,
    "Gram iteration, circular": gram_iteration,
}
