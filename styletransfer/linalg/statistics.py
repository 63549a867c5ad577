"""Mean and covariance of features: accurate enough for whitening, differentiable and mergeable.

Whitening divides by the square roots of small eigenvalues, so the relative error of its gradient is the
condition number times the rounding error of the covariance. The sums are therefore float64 by default.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .device_placement import DeviceDtype, first_supported, no_autocast, supports_dtype
from .function_transforms import TransformableFunction, move_to_front, values_are_available
from .moments import Moments, MomentsVjp, compute_moments, iterate_blocks, moments_jvp, nonzero_divisor
from .psd_matrices import require_finite


class Statistics(NamedTuple):
    """First and second moments of features.

    Attributes:
        mean: Weighted mean, [B, C].
        covariance: Symmetric covariance, [B, C, C]. It is divided by the sum of weights, so it is the biased
            estimate (`correction=0` in `torch.cov`).
        count: Sum of weights, which is the number of samples if there are no weights, [B].
    """

    mean: Tensor
    covariance: Tensor
    count: Tensor  # type: ignore[assignment]  # A tuple has a method of this name.


def compute_statistics(
    features: Tensor, weights: Tensor | None = None, *, dtype: torch.dtype = torch.float64
) -> Statistics:
    """Compute the mean and the covariance of features over their samples.

    Args:
        features: [B, C, N], N >= 1.
        weights: Soft mask of the samples, [B, N] or [1, N], at least 0. None gives all samples equal weights.
        dtype: Precision of the sums and of the result. It is raised to that of the features if it is lower.

    Returns:
        Statistics, twice differentiable with respect to features and weights. They are on the CPU if the
        device of the features does not support the dtype. If all weights are zero, the moments and the count
        are zero, which is the neutral element of `merge_statistics`.

    Raises:
        NumericalError: The features or the weights hold NaN or infinity; the message counts them. Or the
            covariance of finite features overflows.
        ValueError: The shapes do not fit, or a weight is negative.
    """
    return compute_named_statistics("features", features, weights, dtype)


def compute_named_statistics(
    name: str, features: Tensor, weights: Tensor | None, dtype: torch.dtype
) -> Statistics:
    """Compute statistics of features that have a name in error messages; see `compute_statistics`."""
    require_features(name, features)
    if weights is not None:
        weights = check_weights(f"{name} weights", weights, features)
    features = at_least_float32(features)
    with no_autocast(features):
        statistics = Statistics(*_Moments.call(features, weights, statistics_placement(features, dtype)))
    # The few moments are checked first, which saves a pass over all samples.
    covariance = statistics.covariance
    if values_are_available(covariance) and not torch.isfinite(covariance).all():
        require_finite(name, features)
        require_finite(f"the covariance of finite {name}", covariance)
    return statistics


def merge_statistics(first: Statistics, *others: Statistics) -> Statistics:
    """Merge the statistics of disjoint sets of samples, such as tiles, into the statistics of their union.

    Args:
        first: Statistics of one set.
        others: Statistics of the other sets, of the same shape. Their order changes rounding only.

    Source: Chan, Golub and LeVeque 1983, parallel variance. Covariances are averaged by count, and the
    covariance of the means is added. Nothing cancels.
    """
    merged = first
    for other in others:
        count = merged.count + other.count
        share = (other.count / nonzero_divisor(count))[:, None]
        difference = other.mean - merged.mean  # [B, C]
        between = difference.unsqueeze(-1) * difference.unsqueeze(-2)  # [B, C, C]
        weight = share.unsqueeze(-1)
        covariance = (1 - weight) * (merged.covariance + weight * between) + weight * other.covariance
        merged = Statistics(merged.mean + share * difference, covariance, count)
    return merged


def statistics_placement(features: Tensor, dtype: torch.dtype) -> DeviceDtype:
    """Return the device of the features, or the CPU if that does not support the dtype, and the dtype."""
    preferred = DeviceDtype(features.device, torch.promote_types(dtype, features.dtype))
    return first_supported(preferred, supports_dtype)


def require_features(name: str, features: Tensor) -> None:
    """Raise ValueError unless features are real [B, C, N] with at least one sample."""
    if features.dim() != 3 or features.shape[-1] == 0 or not features.is_floating_point():
        raise ValueError(
            f"{name} must be real [B, C, N], N >= 1, got {list(features.shape)} of {features.dtype}"
        )


def at_least_float32(features: Tensor) -> Tensor:
    """Return half-precision features in float32, and all others unchanged."""
    return features.float() if torch.finfo(features.dtype).bits < 32 else features


def check_weights(name: str, weights: Tensor, features: Tensor) -> Tensor:
    """Return the weights of features [B, C, N] expanded to [B, N].

    Raises:
        NumericalError: A weight is NaN or infinite.
        ValueError: The shape does not fit, or a weight is negative.
    """
    batch, _, samples = features.shape
    if weights.dim() != 2 or weights.shape[0] not in {1, batch} or weights.shape[1] != samples:
        raise ValueError(f"{name} must be [{batch} or 1, {samples}], got {list(weights.shape)}")
    require_finite(name, weights)
    if values_are_available(weights) and (weights < 0).any():
        raise ValueError(f"{name} must not be negative, the smallest is {weights.min().item():g}")
    return weights if len(weights) == batch else weights.expand(batch, samples)


class _Moments(TransformableFunction):
    """`compute_moments` with derivatives that are themselves made of differentiable operations."""

    @staticmethod
    def forward(
        features: Tensor, weights: Tensor | None, placement: DeviceDtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        return tuple(compute_moments(features, weights, placement))  # type: ignore[return-value]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        features, weights, _ = inputs
        ctx.save_for_backward(features, weights, *output)
        ctx.save_for_forward(features, weights, *output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        features, weights, *moments = ctx.saved_tensors
        gradient = MomentsVjp.from_moments(Moments(*moments), Moments(*gradients), DeviceDtype.of(features))
        return *gradient.evaluate(features, weights), None

    @staticmethod
    def tangents(
        ctx: Any, features_tangent: Tensor | None, weights_tangent: Tensor | None, _: None
    ) -> tuple[Tensor, Tensor, Tensor]:
        features, weights, *moments = ctx.saved_tensors
        return moments_jvp(features, weights, Moments(*moments), features_tangent, weights_tangent)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        features: Tensor,
        weights: Tensor | None,
        placement: DeviceDtype,
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        features = move_to_front(features, in_dims[0], info.batch_size)
        if weights is not None:
            weights = move_to_front(weights, in_dims[1], info.batch_size).flatten(0, 1)
        moments = _Moments.call(features.flatten(0, 1), weights, placement)
        return tuple(moment.unflatten(0, features.shape[:2]) for moment in moments), (0, 0, 0)


def gram_matrix(features: Tensor) -> Tensor:
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
