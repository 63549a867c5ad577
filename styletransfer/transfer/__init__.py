"""Statistics of features and the maps that carry one picture's statistics onto another's."""

from .blending import blend_statistics
from .gram import gram
from .maps import transfer_features

__all__ = ["blend_statistics", "gram", "transfer_features"]
