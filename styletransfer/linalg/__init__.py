"""Eigendecompositions and matrix functions with robust gradients, for features of any kind.

Imports only torch and knows nothing of pictures: statistics [B, C] and [B, C, C] in, maps out.
"""

from .barycenter import wasserstein_barycenter
from .eigh import eigh
from .guards import NumericalError
from .maps import Method, transfer_map
from .modules import WhiteningColoring, ZCAWhitening
from .newton_schulz import newton_schulz_roots
from .spectral import inverse_sqrt, matrix_sqrt, spectral_function, spectral_projector
from .statistics import Statistics, compute_statistics, merge_statistics
from .whitening_coloring import whitening_coloring

__all__ = [
    "Method",
    "NumericalError",
    "Statistics",
    "WhiteningColoring",
    "ZCAWhitening",
    "compute_statistics",
    "eigh",
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
