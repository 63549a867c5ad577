"""The plain symmetric eigendecomposition, computed wherever it can be."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from .guards import NumericalError, require_finite
from .places import Place, fastest_place


def decompose(matrix: Tensor, name: str = "the matrix") -> tuple[Tensor, Tensor]:
    """Return eigenvalues [..., C], ascending, and eigenvectors [..., C, C] in columns; no gradient.

    Args:
        matrix: Symmetric, [..., C, C]; only one triangle is read.
        name: For error messages.

    Raises:
        NumericalError: The matrix holds NaN or infinity, or the iteration did not converge.
    """
    require_finite(name, matrix)
    home = Place.of(matrix)
    channels, batch = matrix.shape[-1], matrix.shape[:-2].numel()
    place = fastest_place(home, _power_of_two(channels), _power_of_two(batch))
    try:
        eigenvalues, vectors = torch.linalg.eigh(place.bring(matrix.detach()))
    except LinAlgError as error:
        raise NumericalError(f"the eigendecomposition of {name} did not converge: {error}") from error
    return home.bring(eigenvalues), home.bring(vectors)


def _power_of_two(size: int) -> int:
    """Round up, so that few sizes have to be tried."""
    return 1 << max(0, size - 1).bit_length()
