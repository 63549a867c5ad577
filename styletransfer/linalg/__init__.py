"""Eigendecompositions, matrix functions and whitening with robust gradients, for features of any kind.

This is a library of its own: it imports only torch, and it does not depend on images. The documentation is in
docs/linalg.md.
"""

from .barycenter import wasserstein_barycenter
from .differentiable_wct import whitening_coloring
from .divided_differences import ScalarFunction
from .eigh import EighBackward, eigh
from .matrix_functions import inverse_sqrt, matrix_sqrt, spectral_function, spectral_projector
from .newton_schulz import newton_schulz_roots
from .psd_matrices import NumericalError
from .statistics import Statistics, compute_statistics, gram_matrix, merge_statistics
from .transfer_matrix import TransferMethod, transfer_map
from .whitening_layers import WhiteningColoring, ZCAWhitening

__all__ = [
    "EighBackward",
    "NumericalError",
    "ScalarFunction",
    "Statistics",
    "TransferMethod",
    "WhiteningColoring",
    "ZCAWhitening",
    "compute_statistics",
    "eigh",
    "gram_matrix",
    "inverse_sqrt",
    "matrix_sqrt",
    "merge_statistics",
    "newton_schulz_roots",
    "spectral_function",
    "spectral_projector",
    "transfer_map",
    "wasserstein_barycenter",
    "whitening_coloring",
]
