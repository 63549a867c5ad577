"""Square roots by matrix products only, for devices and export formats without an eigendecomposition."""

from __future__ import annotations

import torch
from torch import Tensor

from .guards import even_power_of_two, require_finite, require_square, symmetrize
from .spectral import shift_spectrum

# Each step multiplies the smallest eigenvalue by up to 9/4 until it is near one, then squares the error:
# log(1e8) / log(9/4) + 5 steps reach float64 precision at condition 1e8.
ITERATIONS = 28


def newton_schulz_roots(matrix: Tensor, *, eps: float = 1e-5, iterations: int = ITERATIONS) -> tuple[Tensor, Tensor]:
    """Return the square root and its inverse of positive definite matrices [..., C, C].

    Args:
        matrix: Positive semi-definite; eps must make it positive definite.
        eps: Added to every eigenvalue, relative to the mean eigenvalue.
        iterations: Steps of the coupled iteration.

    Source: Higham 2008, Functions of Matrices, (6.35). Differs: each matrix is normalised by its own trace.
    """
    require_square("matrix", matrix)
    require_finite("matrix", matrix)
    matrix = symmetrize(matrix)
    scale = even_power_of_two(matrix)
    scaled = shift_spectrum(matrix / scale, eps)
    trace = scaled.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    norm = torch.where(trace > 0, trace, 1)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    root, inverse = scaled / norm, identity.expand_as(matrix) * (trace > 0)
    for _ in range(iterations):
        step = 0.5 * (3 * identity - inverse @ root)
        root, inverse = root @ step, step @ inverse
    factor = (norm * scale).sqrt()
    return root * factor, inverse / factor
