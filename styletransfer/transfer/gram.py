"""The Gram matrix: which channels fire together, wherever in the picture."""

from __future__ import annotations

from torch import Tensor


def gram(features: Tensor) -> Tensor:
    """Compute the Gram matrix F F^T / N of features.

    Unlike the covariance it keeps the mean, and its size does not depend on the number of pixels.

    Args:
        features: [B, C, N], N >= 1 pixels.

    Returns:
        [B, C, C], symmetric, positive semi-definite, in the precision of the features.

    Source: Gatys et al. 2016 (CVPR, "Image Style Transfer Using Convolutional Neural Networks"), equation 3.
    Differs: divides by the number of pixels.
    """
    return features @ features.mT / features.shape[-1]
