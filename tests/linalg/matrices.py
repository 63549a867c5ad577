"""Matrices and features with known spectra, and reference derivatives in 50 digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mpmath
import torch
from torch import Tensor

DISTINCT = (3.0, 2.0, 1.0, 0.4)
CLUSTERS = (2.0, 2.0, 0.5, 0.5)
IDENTITY = (3.0, 3.0, 3.0, 3.0)
SPECTRA = {"distinct": DISTINCT, "clusters": CLUSTERS, "3I": IDENTITY}


def with_eigenvalues(eigenvalues: Sequence[float], *, seed: int = 0) -> Tensor:
    """Return a symmetric float64 matrix with these eigenvalues, in a random basis unless all are equal."""
    values = torch.tensor(eigenvalues, dtype=torch.float64)
    if (values == values[0]).all():
        return torch.diag(values)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(values), len(values), generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(noise).Q
    matrix: Tensor = (basis * values) @ basis.mT
    return (matrix + matrix.mT) / 2


def random_features(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return correlated features [B, C, N] with means."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(*shape, generator=generator, dtype=torch.float64)
    mixing = torch.randn(shape[0], shape[1], shape[1], generator=generator, dtype=torch.float64)
    mean = torch.randn(shape[0], shape[1], 1, generator=generator, dtype=torch.float64)
    return (mixing @ noise + mean).to(dtype)


def gradient(result: Tensor, point: Tensor, upstream: Tensor | None = None) -> Tensor:
    """Return the gradient of <upstream, result> at a point. Without upstream, that of the sum."""
    (found,) = torch.autograd.grad(result, point, torch.ones_like(result) if upstream is None else upstream)
    return found


def relative_error(found: Tensor, truth: Tensor) -> float:
    """Return the norm of the difference over the norm of the truth, in float64."""
    truth = truth.double().cpu()
    return float((found.double().cpu() - truth).norm() / truth.norm())


def exact_matrix(matrix: Tensor) -> mpmath.matrix:
    """Return a matrix [C, C] in 50 digits."""
    return mpmath.matrix(matrix.double().tolist())


def exact_root(matrix: mpmath.matrix, power: float, rtol: float = 1e-9) -> mpmath.matrix:
    """Return a power of a positive semi-definite matrix, 0 on eigenvalues up to rtol times the largest."""
    eigenvalues, vectors = mpmath.eigsy(matrix)
    cut = rtol * max(eigenvalues)
    values = [mpmath.mpf(x) ** mpmath.mpf(power) if x > cut else mpmath.mpf(0) for x in eigenvalues]
    result: mpmath.matrix = vectors * mpmath.diag(values) * vectors.T
    return result


def exact_gradient(loss: Callable[[mpmath.matrix], mpmath.mpf], at: Tensor) -> Tensor:
    """Return the gradient of a loss at [R, K] by central differences, accurate to 30 digits."""
    point = mpmath.matrix(at.double().tolist())
    step = mpmath.mpf(10) ** -25
    gradient = torch.zeros(at.shape, dtype=torch.float64)
    for i in range(at.shape[0]):
        for j in range(at.shape[1]):
            ends = []
            for sign in (1, -1):
                moved = point.copy()
                moved[i, j] += sign * step
                ends.append(loss(moved))
            gradient[i, j] = float((ends[0] - ends[1]) / (2 * step))
    return gradient


def exact_sum(weights: Tensor, matrix: mpmath.matrix) -> mpmath.mpf:
    """Return sum_ij weights_ij matrix_ij."""
    rows = weights.double().tolist()
    return mpmath.fsum(rows[i][j] * matrix[i, j] for i in range(matrix.rows) for j in range(matrix.cols))
