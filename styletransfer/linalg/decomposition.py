"""The plain symmetric eigendecomposition, computed wherever it can be."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from .guards import NumericalError, require_finite
from .places import Place, choose_place, decomposes


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
    place = choose_place(home, decomposes)
    try:
        eigenvalues, vectors = torch.linalg.eigh(place.bring(matrix.detach()))
    except LinAlgError as error:
        raise NumericalError(f"the eigendecomposition of {name} did not converge: {error}") from error
    return home.bring(eigenvalues), home.bring(vectors)
