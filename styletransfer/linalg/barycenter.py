"""The Wasserstein barycentre of Gaussians: how several styles blend into one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .guards import symmetrize
from .maps import transfer_matrix
from .spectral import inverse_sqrt, matrix_sqrt
from .statistics import Statistics


def wasserstein_barycenter(
    statistics: Sequence[Statistics], weights: Sequence[float], *, iterations: int = 50, tolerance: float = 1e-12
) -> Statistics:
    """Blend several means and covariances along the geodesics of optimal transport.

    Args:
        statistics: Of the members, equal channels, batch B or 1.
        weights: One per member, >= 0, not all zero; only their ratios matter. A member alone is returned as it is.
        iterations: Limit of the fixed-point iteration for three members and more.
        tolerance: Relative change of the covariance at which it stops.

    Returns:
        Statistics of the barycentre; its count is the weighted mean of the counts.

    Source: Alvarez-Esteban et al. 2016 (arXiv 1511.05355), equation (7).
    Differs: two members are on one geodesic and need no iteration.
    """
    if len(statistics) != len(weights) or not statistics:
        raise ValueError(f"{len(statistics)} statistics need as many weights, got {len(weights)}")
    total = sum(weights)
    if not all(0 <= weight < float("inf") for weight in weights) or not total > 0:
        raise ValueError(f"weights must be at least 0 and not all 0, got {list(weights)}")
    members = [(member, weight / total) for member, weight in zip(statistics, weights, strict=True) if weight > 0]
    if len(members) == 1:
        return members[0][0]
    mean = _average([(member.mean, weight) for member, weight in members])
    count = _average([(member.count, weight) for member, weight in members])
    covariances = [(member.covariance, weight) for member, weight in members]
    if len(members) == 2:
        (first, _), (second, weight) = covariances
        step = transfer_matrix(first, second, eps=0.0, alpha=weight, method="monge", rtol=None)
        return Statistics(mean, symmetrize(step @ first @ step.mT), count)
    root = _average([(matrix_sqrt(covariance), weight) for covariance, weight in covariances])
    center = symmetrize(root @ root)
    for _ in range(iterations):
        root, inverse = matrix_sqrt(center), inverse_sqrt(center)
        middle = _average([(matrix_sqrt(root @ covariance @ root), weight) for covariance, weight in covariances])
        step = inverse @ middle
        updated = symmetrize(step @ step.mT)
        change = (updated - center).detach().abs().amax()
        center = updated
        if change <= tolerance * center.detach().abs().amax():
            break
    return Statistics(mean, center, count)


def _average(parts: Sequence[tuple[Tensor, float]]) -> Tensor:
    total = torch.zeros((), dtype=parts[0][0].dtype, device=parts[0][0].device)
    for part, weight in parts:
        total = total + weight * part
    return total
