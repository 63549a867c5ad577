"""The passes over all samples: sums of moments, their pull-back, and the affine map.

Samples are many and channels few, so every pass goes through the features block by block: no second copy of
them is made, whatever the precision of the sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .guards import symmetrize

# Values of a block: 2^18 * 8 bytes = 2 MiB stay in the cache between conversion and product.
BLOCK_VALUES = 2**18
# Rows of a covariance computed at once: of the symmetric product only panels up to the diagonal are needed.
PANEL = 128


def blocks(features: Tensor) -> Iterator[slice]:
    """Yield slices of the samples of [B, C, N] that keep a block in the cache."""
    batch, channels, samples = features.shape
    step = max(1024, BLOCK_VALUES // max(1, batch * channels))
    for start in range(0, samples, step):
        yield slice(start, start + step)


def measure_moments(
    features: Tensor, weights: Tensor | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean [B, C], covariance [B, C, C] and count [B] of [B, C, N]; no gradient, no checks.

    One pass: blocks are shifted by the mean in the features' own precision. What remains to the exact mean is
    tiny and leaves the products without cancellation.
    """
    batch, channels, samples = features.shape
    if weights is None:
        count = torch.full((batch,), float(samples), dtype=dtype, device=features.device)
        rough = features.mean(-1)
    else:
        count = weights.sum(-1, dtype=dtype)
        share = (weights / weights.sum(-1, keepdim=True)).to(features.dtype)
        rough = (features @ share.unsqueeze(-1)).squeeze(-1)
    divisor = positive(count)
    shift = rough.nan_to_num(0, 0, 0).to(dtype).unsqueeze(-1)  # [B, C, 1]
    total = shift.new_zeros(batch, channels)
    product = shift.new_zeros(batch, channels, channels)
    for block in blocks(features):
        shifted = features[..., block].to(dtype) - shift
        weighted = shifted if weights is None else shifted * weights[:, None, block].to(dtype)
        total += weighted.sum(-1)
        for row in range(0, channels, PANEL):
            end = min(row + PANEL, channels)
            product[:, row:end, :end].baddbmm_(weighted[:, row:end], shifted[:, :end].mT)
    product = product.tril() + product.tril(-1).mT
    offset = total / divisor[:, None]
    covariance = product / divisor[:, None, None] - offset.unsqueeze(-1) * offset.unsqueeze(-2)
    mean = torch.where(count[:, None] > 0, shift.squeeze(-1) + offset, 0)
    return mean, covariance, count


def positive(count: Tensor) -> Tensor:
    """Return counts to divide by: 1 in place of 0."""
    return torch.where(count > 0, count, 1)


class Centering(NamedTuple):
    """A mean split for subtraction: what the features' precision can hold, and what rounding left out.

    Subtracting `near` from samples first keeps a large common offset from being multiplied and cancelled.
    """

    near: Tensor  # [B, C, 1], dtype of the features
    residual: Tensor  # [B, C], dtype of the statistics

    @classmethod
    def split(cls, mean: Tensor, dtype: torch.dtype) -> Centering:
        """Split a mean [B, C] for features of a type."""
        near = mean.to(dtype)
        return cls(near.unsqueeze(-1), mean - near.to(mean.dtype))


class SampleGradient(NamedTuple):
    """The gradient of a function of the moments: affine in each sample, dL/dx_n = w_n (matrix (x_n - mean) + slope).

    With dL/dmean = g, dL/dcovariance = G symmetric and the sum of weights W: matrix = 2 G / W, slope = g / W, and
    dL/dw_n = (x_n - mean)^T (slope + matrix (x_n - mean) / 2) - (<G, covariance> / W - dL/dcount).
    """

    near: Tensor  # [B, C, 1]
    residual: Tensor  # [B, C, 1]
    matrix: Tensor  # [B, C, C]
    slope: Tensor  # [B, C, 1]
    constant: Tensor  # [B, C, 1], slope - matrix @ residual
    level: Tensor  # [B, 1]

    @classmethod
    def of(
        cls, moments: tuple[Tensor, Tensor, Tensor], gradients: tuple[Tensor, Tensor, Tensor], dtype: torch.dtype
    ) -> SampleGradient:
        """Prepare from moments (mean, covariance, count) and the gradients to each; samples of the dtype given."""
        mean, covariance, count = moments
        grad_mean, grad_covariance, grad_count = gradients
        divisor = positive(count)[:, None]
        near, residual = Centering.split(mean, dtype)
        grad_covariance = symmetrize(grad_covariance)
        matrix = 2 * grad_covariance / divisor.unsqueeze(-1)
        slope = grad_mean / divisor
        constant = slope - (matrix @ residual.unsqueeze(-1)).squeeze(-1)
        level = (grad_covariance * covariance).sum((-2, -1)).unsqueeze(-1) / divisor - grad_count[:, None]
        return cls(
            near,
            residual.to(dtype).unsqueeze(-1),
            matrix.to(dtype),
            slope.to(dtype).unsqueeze(-1),
            constant.to(dtype).unsqueeze(-1),
            level.to(dtype),
        )

    def at(self, samples: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the gradients to samples [B, C, n] and to their weights [B, n]; differentiable operations."""
        centered = samples - self.near
        pulled = torch.baddbmm(self.constant, self.matrix, centered)
        if weights is None:
            return pulled, None
        to_weights = 0.5 * ((centered - self.residual) * (pulled + self.slope)).sum(1) - self.level
        return pulled * weights.unsqueeze(1).to(pulled.dtype), to_weights.to(weights.dtype)

    def everywhere(
        self, features: Tensor, weights: Tensor | None, direct: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the gradients to all features and weights; no graph.

        Args:
            features: [B, C, N].
            weights: [B, N] or None.
            direct: matrix [B, C, C] and gradient [B, C, N] whose product is added to that of the features.
        """
        to_features = torch.empty_like(features)
        to_weights = None if weights is None else torch.empty_like(weights)
        for block in blocks(features):
            samples, masses = self.at(features[..., block], None if weights is None else weights[:, block])
            if direct is not None:
                samples.baddbmm_(direct[0].to(samples.dtype).expand(len(samples), -1, -1), direct[1][..., block])
            to_features[..., block] = samples
            if to_weights is not None and masses is not None:
                to_weights[:, block] = masses
        return to_features, to_weights


def apply_map(features: Tensor, mean: Tensor, matrix: Tensor, target: Tensor) -> Tensor:
    """Return matrix @ (features - mean) + target in the dtype of features, [B, C, N]; differentiable.

    Args:
        features: [B, C, N].
        mean: [B, C], in the precision of the statistics, as are the next two.
        matrix: [B, C, C].
        target: [B, C], the mean of the result where `mean` is that of the features.
    """
    near, residual = Centering.split(mean, features.dtype)
    offset = (target - (matrix @ residual.unsqueeze(-1)).squeeze(-1)).to(features.dtype).unsqueeze(-1)
    matrix = matrix.to(features.dtype).expand(len(features), -1, -1)
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return torch.baddbmm(offset, matrix, features - near)
    result = torch.empty_like(features)
    for block in blocks(features):
        torch.baddbmm(offset, matrix, features[..., block] - near, out=result[..., block])
    return result


def correlate(gradient: Tensor, features: Tensor, mean: Tensor) -> Tensor:
    """Return sum_n gradient_n (features_n - mean)^T, [B, C, C] in the precision of the mean; no gradient."""
    near, residual = Centering.split(mean, features.dtype)
    product = mean.new_zeros(*mean.shape, mean.shape[-1])
    for block in blocks(features):
        product += gradient[..., block] @ (features[..., block] - near).mT
    return product - gradient.sum(-1, dtype=mean.dtype).unsqueeze(-1) * residual.unsqueeze(-2)
