"""Maps that give the features of one picture the statistics and the patches of another."""

from .feature_transform import (
    TransferTarget,
    blend_statistics,
    transfer_features,
    whiten_features,
    whitening_map,
)

__all__ = [
    "TransferTarget",
    "blend_statistics",
    "transfer_features",
    "whiten_features",
    "whitening_map",
]
