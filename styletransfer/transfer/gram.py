"""The Gram matrix of features: which channels are active together, anywhere in the picture."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..linalg.moments import iterate_blocks


def gram(features: Tensor) -> Tensor:
    """Compute the Gram matrix F F^T / N of features.

    Unlike the covariance it keeps the mean, and its size does not depend on the number of pixels.

    Args:
        features: [B, C, N], N >= 1 pixels.

    Returns:
        [B, C, C], symmetric, positive semi-definite, in the precision of the features, but float32 at least.

    Source: Gatys et al. 2016 (CVPR, "Image Style Transfer Using Convolutional Neural Networks"), equation 3.
    Differs: divides by the number of pixels.
    """
    matrix: Tensor = _Gram.apply(features)
    return matrix


class _Gram(torch.autograd.Function):
    """The Gram matrix with a backward pass of one product, where autograd computes two and adds them."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        batch, channels, pixels = features.shape
        # Gram matrices are subtracted later, and bfloat16 would keep only two digits of the sums.
        wide = torch.promote_types(features.dtype, torch.float32)
        matrix = features.new_zeros(batch, channels, channels, dtype=wide)
        for block in iterate_blocks(features):
            part = features[..., block].to(wide)
            matrix.baddbmm_(part, part.mT)
        return matrix / pixels

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        features: Tensor
        (features,) = ctx.saved_tensors
        return ((gradient + gradient.mT) / features.shape[-1]).to(features.dtype) @ features
