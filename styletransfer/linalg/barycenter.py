"""The Wasserstein barycentre of Gaussians: how several styles blend into one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .products import symmetrize
from .spectral import inverse_sqrt, matrix_sqrt
from .statistics import Statistics

# Limit of the fixed-point iteration for three members and more, and the relative change that ends it before.
ITERATIONS = 100
TOLERANCE = 1e-12


def wasserstein_barycenter(statistics: Sequence[Statistics], weights: Sequence[float]) -> Statistics:
    """Blend several means and covariances along the geodesics of optimal transport.

    Args:
        statistics: Members of equal channels, batch B or 1. Covariances may be singular.
        weights: One per member, >= 0, not all zero; only their ratios matter.

    Returns:
        Statistics of the barycentre, differentiable; its count is the weighted mean of the counts. A member
        that has all the weight is returned itself.

    Raises:
        NumericalError: A covariance holds NaN or infinity.
        ValueError: Weights do not fit, are negative or all zero.

    Source: Alvarez-Esteban et al. 2016 (arXiv 1511.05355), the fixed-point iteration. Differs: two members
    lie on one geodesic, which needs none.
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
    mean = _average([member.mean for member, _ in members], shares)
    count = _average([member.count for member, _ in members], shares)
    if len(members) == 2:
        return Statistics(mean, _geodesic(covariances[0], covariances[1], shares[1]), count)
    return Statistics(mean, _fixed_point(covariances, shares), count)


def _geodesic(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Return the covariance of (1 - t) x + t y for x and y of these covariances, coupled optimally."""
    root = matrix_sqrt(second)
    # E[x y^T] = A R (R A R)^(-1/2) R with R = B^(1/2): no root of A is inverted, so both may be singular.
    coupling = first @ root @ inverse_sqrt(root @ first @ root) @ root
    return (1 - share) ** 2 * first + share**2 * second + 2 * share * (1 - share) * symmetrize(coupling)


def _fixed_point(covariances: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    root = _average([matrix_sqrt(covariance) for covariance in covariances], shares)
    center = symmetrize(root @ root)  # exact if the members commute; spans all that they span
    for _ in range(ITERATIONS):
        root, inverse = matrix_sqrt(center), inverse_sqrt(center)
        middle = _average([matrix_sqrt(root @ covariance @ root) for covariance in covariances], shares)
        step = inverse @ middle
        previous, center = center, symmetrize(step @ step.mT)
        change = (center - previous).detach().abs().amax()
        if change <= TOLERANCE * center.detach().abs().amax():
            break
    return center


def _average(parts: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    total = shares[0] * parts[0]
    for part, share in zip(parts[1:], shares[1:], strict=True):
        total = total + share * part
    return total
