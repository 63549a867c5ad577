"""Singular values of convolutional layers: symbols, distributions, certified norms, regularisers.

A small library of its own: imports only torch and knows nothing of pictures.
"""

from .bounds import Interval, norm_bounds
from .distribution import singular_values
from .layers import build_convolution, conv_operator
from .lipschitz import LipschitzReport, lipschitz
from .norm import NormTracker, spectral_norm
from .operator import ConvOperator
from .regularization import SpectralPenalty, capped_weight, register_norm_cap, remove_norm_cap
from .summary import LayerSummary, summarize_layer
from .symbol import conv_symbol

__all__ = [
    "ConvOperator",
    "Interval",
    "LayerSummary",
    "LipschitzReport",
    "NormTracker",
    "SpectralPenalty",
    "build_convolution",
    "capped_weight",
    "conv_operator",
    "conv_symbol",
    "lipschitz",
    "norm_bounds",
    "register_norm_cap",
    "remove_norm_cap",
    "singular_values",
    "spectral_norm",
    "summarize_layer",
]
