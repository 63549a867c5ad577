"""Passes over all samples of features: moments, their gradient to the samples, and affine maps.

There are many samples and few channels, so every pass goes through the features in blocks. No second copy of
the features is made, whatever the precision of the sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .device_placement import DeviceDtype
from .function_transforms import is_transformed
from .psd_matrices import lower_triangle_blocks, mirror_lower_triangle, power_of_four_scale, symmetrize

# Number of values in a block. On a CPU, 2^18 * 8 bytes = 2 MiB stay in the cache between the conversion and
# the product. Other devices need work for all of their cores, and 2^24 * 8 bytes = 128 MiB fit in their
# memory.
CPU_BLOCK_VALUES = 2**18
DEVICE_BLOCK_VALUES = 2**24


class Moments(NamedTuple):
    """First and second moments of features, or the gradients of a loss to them.

    Attributes:
        mean: [B, C].
        covariance: [B, C, C].
        total: Sum of weights, [B].
    """

    mean: Tensor
    covariance: Tensor
    total: Tensor


def iterate_blocks(features: Tensor) -> Iterator[slice]:
    """Yield slices that split the samples of [B, C, N] into blocks."""
    batch, channels, samples = features.shape
    values = CPU_BLOCK_VALUES if features.device.type == "cpu" else DEVICE_BLOCK_VALUES
    step = max(1024, values // max(1, batch * channels))
    for start in range(0, samples, step):
        yield slice(start, start + step)


def compute_moments(features: Tensor, weights: Tensor | None, placement: DeviceDtype) -> Moments:
    """Compute the moments of features in one pass, without a gradient and without checks.

    The samples of each block are first shifted by a mean that was computed in the precision of the features.
    Its difference to the exact mean is so small that subtracting its square cancels no digits.

    Args:
        features: [B, C, N].
        weights: [B, N], or None for equal weights.
        placement: Device and dtype of the sums and of the result.
    """
    batch, channels, samples = features.shape
    if weights is None:
        total = torch.full((batch,), float(samples), dtype=placement.dtype, device=placement.device)
        approximate_mean = features.mean(-1)
    else:
        total = placement.to(weights).sum(-1)
        share = (weights / weights.sum(-1, keepdim=True)).to(features.dtype)
        approximate_mean = (features @ share.unsqueeze(-1)).squeeze(-1)
    divisor = nonzero_divisor(total)[:, None]
    shift = placement.to(approximate_mean.nan_to_num(0, 0, 0)).unsqueeze(-1)  # [B, C, 1]
    first = shift.new_zeros(batch, channels)
    second = shift.new_zeros(batch, channels, channels)
    for block in iterate_blocks(features):
        shifted = placement.to(features[..., block]) - shift
        weighted = shifted if weights is None else shifted * placement.to(weights[:, None, block])
        first += weighted.sum(-1)
        for rows, columns in lower_triangle_blocks(channels):
            second[:, rows, columns].baddbmm_(weighted[:, rows], shifted[:, columns].mT)
    second = symmetrize(mirror_lower_triangle(second))
    offset = first / divisor
    covariance = second / divisor.unsqueeze(-1) - offset.unsqueeze(-1) * offset.unsqueeze(-2)
    return Moments(torch.where(total[:, None] > 0, shift.squeeze(-1) + offset, 0), covariance, total)


def moments_jvp(
    features: Tensor,
    weights: Tensor | None,
    moments: Moments,
    features_tangent: Tensor | None,
    weights_tangent: Tensor | None,
) -> Moments:
    """Return the derivatives of the moments in a direction, which `features_tangent` and the other one give.

    With the direction (dx_n, dw_n), centered samples c_n and the sum of weights W, they are
    dmean = sum_n (w_n dx_n + dw_n c_n) / W, dtotal = sum_n dw_n, and
    dcovariance = sum_n (w_n (dx_n c_n^T + c_n dx_n^T) + dw_n c_n c_n^T) / W - covariance dtotal / W.
    """
    placement = DeviceDtype.of(moments.mean)
    divisor = nonzero_divisor(moments.total)[:, None]
    centered = placement.to(features) - moments.mean.unsqueeze(-1)
    mean, covariance = torch.zeros_like(moments.mean), torch.zeros_like(moments.covariance)
    total = torch.zeros_like(moments.total)
    if features_tangent is not None:
        weighted = placement.to(features_tangent)
        if weights is not None:
            weighted = weighted * placement.to(weights).unsqueeze(1)
        product = weighted @ centered.mT
        mean, covariance = mean + weighted.sum(-1), covariance + product + product.mT
    if weights_tangent is not None:
        change = placement.to(weights_tangent)
        weighted = centered * change.unsqueeze(1)
        total = total + change.sum(-1)
        mean = mean + weighted.sum(-1)
        covariance = covariance + weighted @ centered.mT - moments.covariance * total[:, None, None]
    return Moments(mean / divisor, covariance / divisor.unsqueeze(-1), total)


def nonzero_divisor(total: Tensor) -> Tensor:
    """Return sums of weights with 1 in place of 0, so that they can be divided by."""
    return torch.where(total > 0, total, 1)


def round_mean_with_remainder(mean: Tensor, placement: DeviceDtype) -> tuple[Tensor, Tensor]:
    """Split a mean into a part that the features can represent and the remainder.

    Subtracting the first part from the samples before anything else keeps a large common offset from being
    multiplied and canceled later. The remainder goes into the constant term of the affine map that follows.

    Args:
        mean: [B, C].
        placement: Device and dtype of the features.

    Returns:
        The mean rounded to the dtype of the features, on their device; and the remainder, on the device and
        in the dtype of the mean.
    """
    rounded = placement.to(mean)
    return rounded, mean - DeviceDtype.of(mean).to(rounded)


def apply_affine_map(features: Tensor, mean: Tensor, matrix: Tensor, target_mean: Tensor) -> Tensor:
    """Return matrix @ (features - mean) + target_mean, differentiably.

    Args:
        features: [B, C, N].
        mean: [B, C], on the device of the statistics, as are the next two arguments.
        matrix: [B, C, C].
        target_mean: [B, C], the mean of the result if `mean` is the mean of the features.

    Returns:
        [B, C, N], on the device and in the dtype of the features.
    """
    placement = DeviceDtype.of(features)
    rounded, remainder = round_mean_with_remainder(mean, placement)
    offset = placement.to(target_mean - (matrix @ remainder.unsqueeze(-1)).squeeze(-1)).unsqueeze(-1)
    rounded, matrix = rounded.unsqueeze(-1), placement.to(matrix).expand(len(features), -1, -1)
    if torch.is_grad_enabled() or is_transformed():
        return torch.baddbmm(offset, matrix, features - rounded)
    result = torch.empty_like(features)
    for block in iterate_blocks(features):
        result[..., block] = torch.baddbmm(offset, matrix, features[..., block] - rounded)
    return result


def affine_map_vjp(gradient: Tensor, features: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients to the matrix and to the target mean of `apply_affine_map`.

    With g_n the gradient to the result at sample n, they are sum_n g_n (x_n - mean)^T and sum_n g_n. The
    result has no gradient of its own.

    Args:
        gradient: Gradient to the result, [B, C, N].
        features: [B, C, N].
        mean: [B, C], on the device of the statistics.

    Returns:
        [B, C, C] and [B, C], on the device and in the dtype of the mean.
    """
    placement = DeviceDtype.of(mean)
    rounded, remainder = round_mean_with_remainder(mean, DeviceDtype.of(features))
    total = torch.zeros_like(mean)
    product = mean.new_zeros(*mean.shape, mean.shape[-1])
    for block in iterate_blocks(features):
        total += placement.to(gradient[..., block].sum(-1))
        product += placement.to(gradient[..., block] @ (features[..., block] - rounded.unsqueeze(-1)).mT)
    return product - total.unsqueeze(-1) * remainder.unsqueeze(-2), total


class MomentsVjp(NamedTuple):
    """The gradient to the samples of a loss that depends on their moments.

    It is affine in the sample, w_n (matrix (x_n - mean) + slope). With dL/dmean = g, a symmetric
    dL/dcovariance = G and the sum of weights W, matrix = 2 G / W and slope = g / W. The gradient to a weight
    is dL/dw_n = (x_n - mean)^T (slope + matrix (x_n - mean) / 2) - (<G, covariance> / W - dL/dW).

    Samples are centered and scaled at once, by a power of two that brings them near one. Without the scale,
    `matrix`, which holds its square, would overflow before the gradient does.

    Attributes:
        scale: Factor of the samples, [B, 1, 1].
        offset: Minus the rounded mean times the scale, [B, C, 1]; see `round_mean_with_remainder`.
        remainder: Remainder of the mean times the scale, [B, C, 1].
        matrix: The matrix above divided by the scale, [B, C, C].
        slope: [B, C, 1].
        constant: slope - matrix @ remainder, [B, C, 1].
        weight_constant: <G, covariance> / W - dL/dW, [B, 1].
    """

    scale: Tensor
    offset: Tensor
    remainder: Tensor
    matrix: Tensor
    slope: Tensor
    constant: Tensor
    weight_constant: Tensor

    @classmethod
    def from_moments(cls, moments: Moments, gradients: Moments, placement: DeviceDtype) -> MomentsVjp:
        """Compute the coefficients from moments and the gradients to them, for samples of a placement."""
        divisor = nonzero_divisor(moments.total)[:, None, None]
        scale = power_of_four_scale(moments.covariance).rsqrt()
        rounded, remainder = round_mean_with_remainder(moments.mean, placement)
        remainder = remainder.unsqueeze(-1) * scale
        covariance = symmetrize(gradients.covariance)
        matrix = 2 * covariance / (divisor * scale)
        slope = gradients.mean.unsqueeze(-1) / divisor
        weight_constant = (covariance * moments.covariance).sum((-2, -1), keepdim=True) / divisor
        weight_constant = weight_constant.squeeze(-1) - gradients.total[:, None]
        constant = slope - matrix @ remainder
        scale = placement.to(scale)
        offset = -rounded.unsqueeze(-1) * scale
        rest = (remainder, matrix, slope, constant, weight_constant)
        return cls(scale, offset, *(placement.to(part) for part in rest))

    def evaluate(self, samples: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the gradients to samples [B, C, n] and to their weights [B, n], differentiably."""
        centered = torch.addcmul(self.offset, samples, self.scale)
        mapped = torch.baddbmm(self.constant, self.matrix, centered)
        if weights is None:
            return mapped, None
        products = ((centered - self.remainder) * (mapped + self.slope)).sum(1) / self.scale.squeeze(1)
        to_weights = (0.5 * products - self.weight_constant).to(weights.dtype)
        return mapped * weights.unsqueeze(1).to(mapped.dtype), to_weights

    def evaluate_in_blocks(
        self, features: Tensor, weights: Tensor | None, direct: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the gradients to all features and weights, without a gradient of their own.

        Args:
            features: [B, C, N].
            weights: [B, N] or None.
            direct: A matrix [B, C, C] and a gradient [B, C, N]. Their product is added to the gradient to the
                features.
        """
        to_features = torch.empty_like(features)
        to_weights = None if weights is None else torch.empty_like(weights)
        for block in iterate_blocks(features):
            block_weights = None if weights is None else weights[:, block]
            to_block, to_block_weights = self.evaluate(features[..., block], block_weights)
            if direct is not None:
                to_block.baddbmm_(direct[0], direct[1][..., block])
            to_features[..., block] = to_block
            if to_weights is not None and to_block_weights is not None:
                to_weights[:, block] = to_block_weights
        return to_features, to_weights
