"""Mean and covariance of features: exact enough to whiten by, differentiable, and mergeable.

A whitening divides by the square roots of small eigenvalues, so the error of its gradient is the condition
number times the rounding error of the *covariance*. Sums are therefore float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .guards import no_autocast, require_finite
from .moments import Moments, SampleGradient, measure_moments, positive
from .places import Place, choose_place, holds


class Statistics(NamedTuple):
    """First and second moments of features.

    Attributes:
        mean: [B, C], the weighted mean.
        covariance: [B, C, C], symmetric; divided by the sum of weights, that is biased: the moments of the
            samples there are, not an estimate about others.
        count: [B], sum of weights (the number of samples without weights).
    """

    mean: Tensor
    covariance: Tensor
    count: Tensor  # type: ignore[assignment]  # tuple has a method of this name


def compute_statistics(
    features: Tensor, weights: Tensor | None = None, *, dtype: torch.dtype = torch.float64
) -> Statistics:
    """Measure mean and covariance of features over their samples.

    Args:
        features: [B, C, N], N >= 1.
        weights: Soft mask of the samples, [B, N] or [1, N], >= 0; None weighs all alike.
        dtype: Of the sums and the result; never below the precision of the features.

    Returns:
        Statistics, twice differentiable with respect to features and weights; on the CPU where the device of
        the features lacks the dtype. All weights zero give zero moments and count 0: the neutral element of
        `merge_statistics`.

    Raises:
        NumericalError: NaN or infinity in features or weights; the message counts them.
        ValueError: Shapes do not fit or a weight is negative.
    """
    return measure_features("features", features, weights, dtype)


def measure_features(name: str, features: Tensor, weights: Tensor | None, dtype: torch.dtype) -> Statistics:
    """Compute statistics of features that error messages call by a name."""
    require_features(name, features)
    if weights is not None:
        weights = expand_weights(f"{name} weights", weights, features)
    features = at_least_single(features)
    with no_autocast(features):
        statistics = Statistics(*_Measure.apply(features, weights, statistics_place(features, dtype)))
    if not (torch.compiler.is_compiling() or torch.isfinite(statistics.covariance).all()):
        # Looking at the few moments first spares a pass over all samples.
        require_finite(name, features)
        require_finite(f"the covariance of finite {name}", statistics.covariance)
    return statistics


def merge_statistics(first: Statistics, *others: Statistics) -> Statistics:
    """Combine the statistics of disjoint sets of samples, such as tiles, into those of their union.

    Args:
        first: Statistics of one set.
        others: Of the others, of equal shape; any order gives the same to rounding.

    Source: Chan, Golub, LeVeque 1983, parallel variance: covariances average by count, plus the covariance of
    the means. Nothing cancels.
    """
    merged = first
    for other in others:
        count = merged.count + other.count
        share = (other.count / positive(count))[:, None]
        gap = other.mean - merged.mean  # [B, C]
        between = gap.unsqueeze(-1) * gap.unsqueeze(-2)  # [B, C, C]
        weight = share.unsqueeze(-1)
        covariance = (1 - weight) * (merged.covariance + weight * between) + weight * other.covariance
        merged = Statistics(merged.mean + share * gap, covariance, count)
    return merged


def statistics_place(features: Tensor, dtype: torch.dtype) -> Place:
    """Return where statistics of a type are computed: with the features, or on the CPU if that cannot be."""
    return choose_place(Place(features.device, torch.promote_types(dtype, features.dtype)), holds)


def require_features(name: str, features: Tensor) -> None:
    """Raise ValueError unless features are real [B, C, N] with at least one sample."""
    if features.dim() != 3 or features.shape[-1] == 0 or not features.is_floating_point():
        raise ValueError(
            f"{name} must be real [B, C, N], N >= 1, got {list(features.shape)} of {features.dtype}"
        )


def at_least_single(features: Tensor) -> Tensor:
    """Return half-precision features in float32, all others as they are."""
    return features.float() if torch.finfo(features.dtype).bits < 32 else features


def expand_weights(name: str, weights: Tensor, features: Tensor) -> Tensor:
    """Return weights as [B, N]; raise NumericalError or ValueError if not finite, negative or misshapen."""
    batch, _, samples = features.shape
    if weights.dim() != 2 or weights.shape[0] not in {1, batch} or weights.shape[1] != samples:
        raise ValueError(f"{name} must be [{batch} or 1, {samples}], got {list(weights.shape)}")
    require_finite(name, weights)
    if not torch.compiler.is_compiling() and (weights < 0).any():
        raise ValueError(f"{name} must not be negative, the smallest is {weights.min().item():g}")
    return weights if len(weights) == batch else weights.expand(batch, samples)


class _Measure(torch.autograd.Function):
    """`measure_moments` with its gradient, in differentiable operations so that it differentiates again."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weights: Tensor | None, place: Place
    ) -> tuple[Tensor, Tensor, Tensor]:
        moments = measure_moments(features, weights, place)
        ctx.save_for_backward(features, weights, *moments)
        return moments.mean, moments.covariance, moments.total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        features, weights, *moments = ctx.saved_tensors
        gradient = SampleGradient.of(Moments(*moments), Moments(*gradients), Place.of(features))
        return *gradient.at(features, weights), None
