"""The network, its weights, and the statistics of a style."""

from .autoencoder import Architecture, Autoencoder, measure_levels, soft_clip
from .coupling_network import CouplingArchitecture, CouplingNetwork
from .style_statistics import StyleStatistics
from .weights import (
    LoadedModel,
    ModelEntry,
    Network,
    available_models,
    count_parameters,
    describe_weights,
    find_entry,
    find_weights,
    is_weights_path,
    load_autoencoder,
    load_model,
    load_torchvision_model,
    save_model,
    verify_model,
)

__all__ = [
    "Architecture",
    "Autoencoder",
    "CouplingArchitecture",
    "CouplingNetwork",
    "LoadedModel",
    "ModelEntry",
    "Network",
    "StyleStatistics",
    "available_models",
    "count_parameters",
    "describe_weights",
    "find_entry",
    "find_weights",
    "is_weights_path",
    "load_autoencoder",
    "load_model",
    "load_torchvision_model",
    "measure_levels",
    "save_model",
    "soft_clip",
    "verify_model",
]
