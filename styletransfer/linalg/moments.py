"""The passes over all samples: sums of moments, their pull-back, and the affine map.

Samples are many and channels few, so every pass goes through the features block by block: no second copy of
them is made, whatever the precision of the sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .guards import even_power_of_two
from .places import Place
from .products import mirror, panels, symmetrize

# Values of a block. On a CPU 2^18 * 8 bytes = 2 MiB stay in the cache between conversion and product; other
# devices want work for all their cores, and 2^24 * 8 bytes = 128 MiB are little to them.
BLOCK_VALUES = 2**18
DEVICE_BLOCK_VALUES = 2**24


class Moments(NamedTuple):
    """Mean [B, C], covariance [B, C, C] and sum of weights [B]; or the gradients to each."""

    mean: Tensor
    covariance: Tensor
    total: Tensor


def blocks(features: Tensor) -> Iterator[slice]:
    """Yield slices of the samples of [B, C, N]."""
    batch, channels, samples = features.shape
    values = BLOCK_VALUES if features.device.type == "cpu" else DEVICE_BLOCK_VALUES
    step = max(1024, values // max(1, batch * channels))
    for start in range(0, samples, step):
        yield slice(start, start + step)


def measure_moments(features: Tensor, weights: Tensor | None, place: Place) -> Moments:
    """Measure [B, C, N] with sums at a place; no gradient, no checks.

    One pass: blocks are shifted by the mean in the features' own precision. What remains to the exact mean is
    tiny and leaves the products without cancellation.
    """
    batch, channels, samples = features.shape
    if weights is None:
        total = torch.full((batch,), float(samples), dtype=place.dtype, device=place.device)
        rough = features.mean(-1)
    else:
        total = place.bring(weights).sum(-1)
        share = (weights / weights.sum(-1, keepdim=True)).to(features.dtype)
        rough = (features @ share.unsqueeze(-1)).squeeze(-1)
    divisor = positive(total)[:, None]
    shift = place.bring(rough.nan_to_num(0, 0, 0)).unsqueeze(-1)  # [B, C, 1]
    first = shift.new_zeros(batch, channels)
    second = shift.new_zeros(batch, channels, channels)
    for block in blocks(features):
        shifted = place.bring(features[..., block]) - shift
        weighted = shifted if weights is None else shifted * place.bring(weights[:, None, block])
        first += weighted.sum(-1)
        for rows, columns in panels(channels):
            second[:, rows, columns].baddbmm_(weighted[:, rows], shifted[:, columns].mT)
    second = symmetrize(mirror(second))
    offset = first / divisor
    covariance = second / divisor.unsqueeze(-1) - offset.unsqueeze(-1) * offset.unsqueeze(-2)
    return Moments(torch.where(total[:, None] > 0, shift.squeeze(-1) + offset, 0), covariance, total)


def positive(total: Tensor) -> Tensor:
    """Return sums of weights to divide by: 1 in place of 0."""
    return torch.where(total > 0, total, 1)


def split_mean(mean: Tensor, place: Place) -> tuple[Tensor, Tensor]:
    """Return a mean [B, C] as the features' place can hold it, and what that leaves out, where the mean is.

    Subtracting the former from samples before anything else keeps a large common offset from being multiplied
    and cancelled; the latter goes into the constant of whatever affine map follows.
    """
    near = place.bring(mean)
    return near, mean - Place.of(mean).bring(near)


def apply_map(features: Tensor, mean: Tensor, matrix: Tensor, target: Tensor) -> Tensor:
    """Return matrix @ (features - mean) + target, [B, C, N], at the place of the features; differentiable.

    Args:
        features: [B, C, N].
        mean: [B, C], at the place of the statistics, as are the next two.
        matrix: [B, C, C].
        target: [B, C], the mean of the result where `mean` is that of the features.
    """
    place = Place.of(features)
    near, residual = split_mean(mean, place)
    offset = place.bring(target - (matrix @ residual.unsqueeze(-1)).squeeze(-1)).unsqueeze(-1)
    near, matrix = near.unsqueeze(-1), place.bring(matrix).expand(len(features), -1, -1)
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return torch.baddbmm(offset, matrix, features - near)
    result = torch.empty_like(features)
    for block in blocks(features):
        result[..., block] = torch.baddbmm(offset, matrix, features[..., block] - near)
    return result


def correlate(gradient: Tensor, features: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Return sum_n g_n (x_n - mean)^T [B, C, C] and sum_n g_n [B, C], where the mean is; no gradient."""
    place = Place.of(mean)
    near, residual = split_mean(mean, Place.of(features))
    total = torch.zeros_like(mean)
    product = mean.new_zeros(*mean.shape, mean.shape[-1])
    for block in blocks(features):
        total += place.bring(gradient[..., block].sum(-1))
        product += place.bring(gradient[..., block] @ (features[..., block] - near.unsqueeze(-1)).mT)
    return product - total.unsqueeze(-1) * residual.unsqueeze(-2), total


class SampleGradient(NamedTuple):
    """The gradient of a function of the moments to the samples: affine, w_n (matrix (x_n - mean) + slope).

    With dL/dmean = g, symmetric dL/dcovariance = G and the sum of weights W: matrix = 2 G / W, slope = g / W,
    and dL/dw_n = (x_n - mean)^T (slope + matrix (x_n - mean) / 2) - (<G, covariance> / W - dL/dW).

    Samples are centred and scaled at once, by a power of two that brings them near one: `matrix` holds the
    square of their scale and would overflow before the gradient does.
    """

    unit: Tensor  # [B, 1, 1], times the samples
    near: Tensor  # [B, C, 1], minus the mean as the features' place can hold it, times unit
    residual: Tensor  # [B, C, 1], what near leaves out of the mean, times unit
    matrix: Tensor  # [B, C, C], over unit
    slope: Tensor  # [B, C, 1]
    constant: Tensor  # [B, C, 1], slope - matrix @ residual
    level: Tensor  # [B, 1]

    @classmethod
    def of(cls, moments: Moments, gradients: Moments, place: Place) -> SampleGradient:
        """Prepare from the moments and the gradients to them, for samples at a place."""
        divisor = positive(moments.total)[:, None, None]
        unit = even_power_of_two(moments.covariance).rsqrt()
        near, residual = split_mean(moments.mean, place)
        residual = residual.unsqueeze(-1) * unit
        covariance = symmetrize(gradients.covariance)
        matrix = 2 * covariance / (divisor * unit)
        slope = gradients.mean.unsqueeze(-1) / divisor
        level = (covariance * moments.covariance).sum((-2, -1), keepdim=True) / divisor
        level = level.squeeze(-1) - gradients.total[:, None]
        unit, rest = place.bring(unit), (residual, matrix, slope, slope - matrix @ residual, level)
        return cls(unit, -near.unsqueeze(-1) * unit, *(place.bring(part) for part in rest))

    def at(self, samples: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the gradients to samples [B, C, n] and their weights [B, n]; differentiable operations."""
        centered = torch.addcmul(self.near, samples, self.unit)
        pulled = torch.baddbmm(self.constant, self.matrix, centered)
        if weights is None:
            return pulled, None
        along = ((centered - self.residual) * (pulled + self.slope)).sum(1) / self.unit.squeeze(1)
        return pulled * weights.unsqueeze(1).to(pulled.dtype), (0.5 * along - self.level).to(weights.dtype)

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
                samples.baddbmm_(direct[0], direct[1][..., block])
            to_features[..., block] = samples
            if to_weights is not None and masses is not None:
                to_weights[:, block] = masses
        return to_features, to_weights
