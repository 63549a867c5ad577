"""The Wasserstein barycenter of Gaussians, which blends several means and covariances into one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .function_transforms import values_are_available
from .matrix_functions import inverse_sqrt, matrix_sqrt
from .psd_matrices import symmetrize
from .statistics import Statistics

# The fixed-point iteration for three or more Gaussians ends after this many steps, or earlier if the relative
# change of the covariance is below the tolerance.
MAX_ITERATIONS = 100
TOLERANCE = 1e-12


def wasserstein_barycenter(statistics: Sequence[Statistics], weights: Sequence[float]) -> Statistics:
    """Blend means and covariances along the geodesics of optimal transport.

    Args:
        statistics: Statistics with equal numbers of channels and batch B or 1. Covariances may be singular.
        weights: One weight for each, at least 0 and not all 0. Only their ratios matter.

    Returns:
        Statistics of the barycenter, differentiable. Its count is the weighted mean of the counts. If one
        weight is positive and all others are 0, the object with this weight itself is returned.

    Raises:
        NumericalError: A covariance holds NaN or infinity.
        ValueError: The number of weights does not fit, or they are negative, not finite or all 0.

    Source: Alvarez-Esteban et al. 2016 (arXiv 1511.05355), the fixed-point iteration. Differs: The barycenter
    of two Gaussians lies on the geodesic between them and is computed without an iteration.
    """
    total = sum(weights)
    if len(statistics) != len(weights):
        raise ValueError(f"{len(statistics)} statistics need as many weights, got {len(weights)}")
    if not all(weight >= 0 for weight in weights) or not 0 < total < float("inf"):
        raise ValueError(f"weights must be finite, at least 0 and not all 0, got {list(weights)}")
    pairs = zip(statistics, weights, strict=True)
    members = [(member, weight / total) for member, weight in pairs if weight > 0]
    if len(members) == 1:
        return members[0][0]
    shares = [share for _, share in members]
    covariances = [member.covariance for member, _ in members]
    mean = _weighted_sum([member.mean for member, _ in members], shares)
    count = _weighted_sum([member.count for member, _ in members], shares)
    if len(members) == 2:
        return Statistics(mean, _geodesic(covariances[0], covariances[1], shares[1]), count)
    return Statistics(mean, _fixed_point(covariances, shares), count)


def _geodesic(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Return the covariance of (1 - t) x + t y for optimally coupled x and y with these covariances."""
    root = matrix_sqrt(second)
    # E[x y^T] = A R (R A R)^(-1/2) R with R = B^(1/2). No square root of A is inverted, so A and B may be
    # singular.
    coupling = first @ root @ inverse_sqrt(root @ first @ root) @ root
    return (1 - share) ** 2 * first + share**2 * second + 2 * share * (1 - share) * symmetrize(coupling)


def _fixed_point(covariances: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    root = _weighted_sum([matrix_sqrt(covariance) for covariance in covariances], shares)
    # This start is exact if the covariances commute, and its range contains the range of each covariance.
    center = symmetrize(root @ root)
    for _ in range(MAX_ITERATIONS):
        root, inverse = matrix_sqrt(center), inverse_sqrt(center)
        middle = _weighted_sum([matrix_sqrt(root @ covariance @ root) for covariance in covariances], shares)
        step = inverse @ middle
        previous, center = center, symmetrize(step @ step.mT)
        change = (center - previous).detach().abs().amax()
        if values_are_available(change) and change <= TOLERANCE * center.detach().abs().amax():
            break
    return center


def _weighted_sum(tensors: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    total = shares[0] * tensors[0]
    for tensor, share in zip(tensors[1:], shares[1:], strict=True):
        total = total + share * tensor
    return total
