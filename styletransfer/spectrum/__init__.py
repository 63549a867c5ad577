"""Singular values of convolutional layers: symbols, certified norms, distributions, regularizers.

A library of its own: it imports only torch and works with the convolutions of any network. docs/spectrum.md
describes its functions, docs/conv-spectra.md the theory and the measurements.
"""

from .composition import compose, compose_layers, factorize
from .conv_operator import (
    ConvOperator,
    build_convolution,
    build_convolutions,
    conv_operator,
    find_convolutions,
)
from .distribution import LayerSummary, singular_values, summarize_layer
from .lipschitz import LayerLipschitz, LipschitzReport, lipschitz
from .norm_bounds import NormBounds, norm_bounds
from .regularization import (
    SpectralPenalty,
    capped_weight,
    register_norm_cap,
    register_norm_caps,
    remove_norm_cap,
    state_dict_without_norm_caps,
)
from .spectral_norm import NormTracker, spectral_norm
from .symbol import conv_symbol

__all__ = [
    "ConvOperator",
    "LayerLipschitz",
    "LayerSummary",
    "LipschitzReport",
    "NormBounds",
    "NormTracker",
    "SpectralPenalty",
    "build_convolution",
    "build_convolutions",
    "capped_weight",
    "compose",
    "compose_layers",
    "conv_operator",
    "conv_symbol",
    "factorize",
    "find_convolutions",
    "lipschitz",
    "norm_bounds",
    "register_norm_cap",
    "register_norm_caps",
    "remove_norm_cap",
    "singular_values",
    "spectral_norm",
    "state_dict_without_norm_caps",
    "summarize_layer",
]
