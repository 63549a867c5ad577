"""Blend several styles, or a style with the content, by blending their statistics."""

from __future__ import annotations

from collections.abc import Sequence

from ..linalg import Statistics, wasserstein_barycenter


def blend_statistics(
    levels: Sequence[Sequence[Statistics]], weights: Sequence[float]
) -> tuple[Statistics, ...]:
    """Blend the statistics of several pictures, level by level.

    The blend of two is the point on the shortest path between their Gaussians in optimal transport, so
    it stays a valid covariance, keeps the strength of both (averaged features would cancel) and returns
    a member itself where that has all the weight.

    Args:
        levels: For each picture, its statistics at every level; equal numbers of levels.
        weights: One non-negative number per picture, not all zero; their scale does not matter.

    Returns:
        One statistics per level, in their order.
    """
    total = sum(weights)
    kept = [(picture, weight / total) for picture, weight in zip(levels, weights, strict=True) if weight > 0]
    if len(kept) == 1:
        return tuple(kept[0][0])
    pictures = [picture for picture, _ in kept]
    shares = [share for _, share in kept]
    return tuple(wasserstein_barycenter(level, shares) for level in zip(*pictures, strict=True))
