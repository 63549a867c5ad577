"""The network, its weights, and what it measures of a style."""

from .architecture import Architecture
from .autoencoder import Autoencoder, measure_levels
from .manifest import (
    ModelEntry,
    available_models,
    find_entry,
    find_model,
    is_weights_path,
    plan_folders,
    verify_model,
)
from .shoulder import compress_range
from .style_statistics import StyleStatistics
from .weights import count_parameters, describe_weights, fingerprint_model, load_model, save_model

__all__ = [
    "Architecture",
    "Autoencoder",
    "ModelEntry",
    "StyleStatistics",
    "available_models",
    "compress_range",
    "count_parameters",
    "describe_weights",
    "find_entry",
    "find_model",
    "fingerprint_model",
    "is_weights_path",
    "load_model",
    "measure_levels",
    "plan_folders",
    "save_model",
    "verify_model",
]
