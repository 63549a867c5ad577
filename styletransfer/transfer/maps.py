"""Give feature maps the statistics of a style, by any of the transforms the program offers."""

from __future__ import annotations

from torch import Tensor

from ..linalg import Statistics, TransferMethod, whitening_coloring

# Names as the user types them, and as `linalg` calls the map between the two covariances.
METHODS: dict[str, TransferMethod] = {"wct": "eigh", "monge": "monge", "adain": "adain"}

# Relative to the mean eigenvalue. Directions in which the content hardly varies hold rounding and
# compression noise: whitening would raise them to the style's strength, seen as speckle in flat areas.
EPS = 1e-3


def transfer_features(features: Tensor, target: Statistics, transform: str = "wct") -> Tensor:
    """Move and mix the channels of feature maps so that their mean and covariance become the target's.

    The map is affine and the same at every pixel, `y = T (x - mean) + mean_target`. Differentiable in
    the features and in the target, also where eigenvalues meet.

    Args:
        features: [B, C, H, W]; computed in float32 whatever comes in, the statistics in float64.
        target: Mean [B or 1, C] and covariance [B or 1, C, C] to reach.
        transform: A key of METHODS.

    Returns:
        [B, C, H, W], in the type of the features.

    Raises:
        NumericalError: The features hold NaN or infinity.
    """
    flat = features.flatten(2).float()  # [B, C, H*W]
    moved = whitening_coloring(flat, target, eps=EPS, method=METHODS[transform])
    return moved.view(features.shape).to(features.dtype)
