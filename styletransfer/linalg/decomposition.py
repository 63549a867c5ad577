"""The plain symmetric eigendecomposition, computed wherever it can be."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from .guards import NumericalError, require_finite

Place = tuple[torch.device, torch.dtype]


@cache
def eigh_works(device: torch.device, dtype: torch.dtype) -> bool:
    """Try a 2 x 2 eigendecomposition: the only reliable way to know what a backend can do."""
    try:
        torch.linalg.eigvalsh(torch.eye(2, dtype=dtype, device=device))
    except (RuntimeError, TypeError, NotImplementedError):
        return False
    return True


def choose_place(
    device: torch.device, dtype: torch.dtype, works: Callable[[torch.device, torch.dtype], bool] = eigh_works
) -> Place:
    """Decide where a symmetric matrix is decomposed: at home, else on the CPU, else there in float64.

    Apple's MPS has no float64 and no eigh, no device decomposes half precision.
    """
    cpu = torch.device("cpu")
    for place in ((device, dtype), (cpu, dtype)):
        if works(*place):
            return place
    return cpu, torch.float64


def decompose(matrix: Tensor, name: str = "the matrix") -> tuple[Tensor, Tensor]:
    """Return eigenvalues [..., C], ascending, and eigenvectors [..., C, C] in columns; no gradient.

    Raises:
        NumericalError: The matrix holds NaN or infinity, or the iteration did not converge.
    """
    require_finite(name, matrix)
    matrix = matrix.detach()
    device, dtype = choose_place(matrix.device, matrix.dtype)
    try:
        eigenvalues, eigenvectors = torch.linalg.eigh(matrix.to(device, dtype))
    except torch.linalg.LinAlgError as error:
        raise NumericalError(f"the eigendecomposition of {name} did not converge: {error}") from error
    return eigenvalues.to(matrix), eigenvectors.to(matrix)
