"""Maps that give the features of one picture the statistics of another."""

from .feature_transform import TransferTarget, blend_statistics, transfer_features

__all__ = ["TransferTarget", "blend_statistics", "transfer_features"]
