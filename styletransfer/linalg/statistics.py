"""Mean and covariance of features: exact enough to whiten by, differentiable, and mergeable.

A whitening divides by the square roots of small eigenvalues, so the error of a gradient is the condition
number times the rounding error of the *covariance*. Sums are therefore float64, one block of pixels at a
time: no float64 copy of the features is ever made.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from .guards import require_finite, symmetrize

# Values of one block in float64: 2^18 * 8 bytes = 2 MiB stay in the cache between conversion and product.
BLOCK_VALUES = 2**18
# Rows of the covariance computed at once: only the blocks on and below its diagonal are needed.
PANEL = 128


class Statistics(NamedTuple):
    """First and second moments of features.

    Attributes:
        mean: [B, C], the weighted mean.
        covariance: [B, C, C], symmetric; divided by the sum of weights, i.e. the biased estimate: the moments
            that the pixels have, not an estimate about a population.
        count: [B], sum of weights (number of pixels without weights).
    """

    mean: Tensor
    covariance: Tensor
    count: Tensor


def compute_statistics(
    features: Tensor, weights: Tensor | None = None, *, dtype: torch.dtype = torch.float64
) -> Statistics:
    """Measure mean and covariance of features over their pixels.

    Args:
        features: [B, C, N], N >= 1.
        weights: Soft mask per pixel, [B, N] or [1, N], >= 0; None weighs all alike.
        dtype: Of the sums and the result; never below the precision of the features.

    Returns:
        Statistics, differentiable twice with respect to features and weights. All weights zero give
        zero moments and count 0: the neutral element of `merge_statistics`.

    Raises:
        NumericalError: NaN or infinity in features or weights; the message counts them.
        ValueError: Shapes do not fit or a weight is negative.
    """
    if features.dim() != 3 or features.shape[-1] == 0 or not features.is_floating_point():
        raise ValueError(
            f"features must be real [B, C, N] with N >= 1, got {list(features.shape)} of {features.dtype}"
        )
    if weights is not None:
        weights = _expand_weights(features, weights)
    mean, covariance, count = _Moments.apply(features, weights, torch.promote_types(dtype, features.dtype))
    if not (torch.compiler.is_compiling() or torch.isfinite(covariance).all()):
        require_finite("features", features)
        require_finite("covariance of the features", covariance)
    return Statistics(mean, covariance, count)


def merge_statistics(first: Statistics, *others: Statistics) -> Statistics:
    """Combine statistics of disjoint sets of pixels, such as tiles, into those of their union.

    Source: Chan, Golub, LeVeque 1983, parallel variance: the covariances average by count, plus the
    covariance of the means. No cancellation, so any order of tiles agrees to rounding.
    """
    merged = first
    for other in others:
        count = merged.count + other.count
        share = torch.where(count > 0, other.count / count.clamp(min=torch.finfo(count.dtype).tiny), 0)
        gap = other.mean - merged.mean  # [B, C]
        between = gap.unsqueeze(-1) * gap.unsqueeze(-2)  # [B, C, C]
        weight = share[:, None, None]
        covariance = (1 - weight) * merged.covariance + weight * other.covariance + weight * (1 - weight) * between
        merged = Statistics(merged.mean + share[:, None] * gap, covariance, count)
    return merged


def _expand_weights(features: Tensor, weights: Tensor) -> Tensor:
    batch, _, pixels = features.shape
    if weights.dim() != 2 or weights.shape[0] not in {1, batch} or weights.shape[1] != pixels:
        raise ValueError(f"weights must be [{batch} or 1, {pixels}], got {list(weights.shape)}")
    if not torch.compiler.is_compiling():
        require_finite("weights", weights)
        if (weights < 0).any():
            raise ValueError(f"weights must not be negative, the smallest is {weights.min().item():g}")
    return weights.expand(batch, pixels)


def measure(
    features: Tensor, weights: Tensor | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean [B, C], covariance [B, C, C] and count [B]; no gradient, no checks.

    One pass: every block is shifted by the mean in the features' own precision, which leaves only the tiny
    distance to the exact mean to be removed from the products, without cancellation.
    """
    batch, channels, pixels = features.shape
    if weights is None:
        count = torch.full((batch,), float(pixels), dtype=dtype, device=features.device)
        rough = features.mean(-1)
    else:
        count = weights.sum(-1, dtype=dtype)
        rough = torch.einsum("bcn,bn->bc", features, (weights / weights.sum(-1, keepdim=True)).to(features.dtype))
    divisor = torch.where(count > 0, count, 1)
    shift = rough.nan_to_num(0, 0, 0).to(dtype).unsqueeze(-1)  # [B, C, 1]
    total = shift.new_zeros(batch, channels)
    product = shift.new_zeros(batch, channels, channels)
    step = max(256, BLOCK_VALUES // max(1, batch * channels))
    for start in range(0, pixels, step):
        block = features[..., start : start + step].to(dtype) - shift
        weighted = block if weights is None else block * weights[:, None, start : start + step].to(dtype)
        total += weighted.sum(-1)
        for row in range(0, channels, PANEL):
            end = min(row + PANEL, channels)
            product[:, row:end, :end].baddbmm_(weighted[:, row:end], block[:, :end].mT)
    lower = product.tril()
    product = lower + lower.tril(-1).mT
    offset = total / divisor[:, None]
    covariance = product / divisor[:, None, None] - offset.unsqueeze(-1) * offset.unsqueeze(-2)
    mean = torch.where(count[:, None] > 0, shift.squeeze(-1) + offset, 0)
    return mean, covariance, count


class _Moments(torch.autograd.Function):
    """`measure` with its gradient, written in differentiable operations so that it differentiates again."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, features: Tensor, weights: Tensor | None, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, covariance, count = measure(features, weights, dtype)
        ctx.save_for_backward(features, weights, mean, covariance, count)
        return mean, covariance, count

    @staticmethod
    def backward(ctx, grad_mean: Tensor, grad_covariance: Tensor, grad_count: Tensor):  # type: ignore[no-untyped-def, override]
        features, weights, mean, covariance, count = ctx.saved_tensors
        divisor = torch.where(count > 0, count, 1)[:, None, None]
        centered = features.to(mean.dtype) - mean.unsqueeze(-1)
        pulled = symmetrize(grad_covariance) @ centered  # [B, C, N]
        grad_features = (grad_mean.unsqueeze(-1) + 2 * pulled) / divisor
        grad_weights = None
        if weights is not None:
            grad_features = grad_features * weights.unsqueeze(1).to(mean.dtype)
            level = (grad_covariance * covariance).sum((-2, -1), keepdim=True)
            per_pixel = (centered * (grad_mean.unsqueeze(-1) + pulled)).sum(1, keepdim=True) - level
            grad_weights = ((per_pixel / divisor).squeeze(1) + grad_count[:, None]).to(weights.dtype)
        return grad_features.to(features.dtype), grad_weights, None
