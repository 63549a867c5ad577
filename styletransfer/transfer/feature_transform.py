"""Give features the mean and covariance of a style, by any transform that the program offers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from ..linalg import (
    Statistics,
    TransferMethod,
    compute_statistics,
    eigh,
    inverse_sqrt,
    matrix_sqrt,
    transfer_map,
    wasserstein_barycenter,
    whitening_coloring,
)
from .color_curves import find_curves

# Transforms by the names that users type, with the name of `linalg` for the map between the covariances.
METHODS: dict[str, TransferMethod] = {"wct": "eigh", "monge": "monge", "adain": "adain"}

# Added to every eigenvalue, relative to the mean eigenvalue. Where the content hardly varies, its features
# are rounding and compression noise, which whitening would amplify until they show as speckle.
EPS = 1e-3
# Variance, relative to the squared mean, up to which features count as constant. Rounding causes some 1e-15
# where a processor computes the pixels at an edge in another way than the others.
LEAST_VARIANCE = 1e-12
# A direction of color with less variance than this, relative to the mean eigenvalue, counts as empty. Gray
# pictures that were compressed in color have less, paintings some 1e-2, brown ink on white 2e-4.
EMPTY_SHARE = 1e-4


def transfer_features(features: Tensor, target: Statistics, transform: str = "wct") -> Tensor:
    """Map features so that their mean and covariance become those of a target.

    The map is affine and the same at every pixel, y = T (x - mean) + mean_target. It is differentiable in the
    features and in the target, also where eigenvalues coincide.

    Args:
        features: [B, C, H, W]. They are mapped in float32 and their statistics are float64.
        target: Mean [B or 1, C] and covariance [B or 1, C, C] to reach.
        transform: A key of METHODS.

    Returns:
        [B, C, H, W], in the dtype of the features.

    Raises:
        NumericalError: The features hold NaN or infinity.
    """
    flat = features.flatten(2).float()  # [B, C, H*W]
    moved = whitening_coloring(flat, target, eps=EPS, method=METHODS[transform])
    return moved.view(features.shape).to(features.dtype)


def whitening_map(statistics: Statistics) -> tuple[Tensor, Tensor]:
    """Return the map y = matrix @ x + offset that whitens features: mean 0, covariance of the identity.

    Args:
        statistics: Statistics of the features.

    Returns:
        matrix [B, C, C] and offset [B, C], float64.
    """
    matrix = inverse_sqrt(statistics.covariance, eps=EPS)
    return matrix, -(matrix @ statistics.mean.unsqueeze(-1)).squeeze(-1)


def whiten_features(features: Tensor) -> Tensor:
    """Whiten features [B, C, H, W] in float32, with gradients as robust as those of `transfer_features`."""
    flat = features.flatten(2).float()
    matrix, offset = whitening_map(compute_statistics(flat))
    return torch.baddbmm(offset.float().unsqueeze(-1), matrix.float(), flat).view(features.shape)


class TransferTarget:
    """The statistics that a transfer shall reach, with square roots that serve any number of contents.

    Args:
        levels: Mean and covariance to reach at every level, batch 1, the picture's first.
        transform: A key of METHODS.
        colors: Quantiles of the colors to reach, see `color_curves`; None reaches mean and covariance only.
    """

    def __init__(
        self,
        levels: Sequence[Statistics],
        transform: str,
        colors: Tensor | None = None,
    ) -> None:
        self.levels = levels
        self.transform = transform
        self.colors = colors

    @cached_property
    def roots(self) -> list[Tensor]:
        """Square roots [1, C, C] of the covariances."""
        return [matrix_sqrt(level.covariance, eps=EPS) for level in self.levels]

    def find_map(self, content: Statistics, level: int) -> tuple[Tensor, Tensor]:
        """Return the map y = matrix @ x + offset from the content's statistics to those of a level.

        Args:
            content: Statistics of the content's features at the level, batch 1.
            level: Index into `levels`.

        Returns:
            matrix [C, C] and offset [C].
        """
        target = self.levels[level]
        if METHODS[self.transform] == "eigh":
            matrix = (self.roots[level] @ inverse_sqrt(content.covariance, eps=EPS))[0]
        else:
            matrix = transfer_map(content, target, eps=EPS, method=METHODS[self.transform])[0][0]
        if level == 0 and self._color_range is not None:
            matrix = self._color_range @ matrix
        return matrix, target.mean[0] - matrix @ content.mean[0]

    def find_curves(self, distribution: Tensor) -> Tensor | None:
        """Return the curves that follow the map of the colors; None if only mean and covariance count.

        Args:
            distribution: What `color_curves.measure_distribution` finds in the result of the map.
        """
        return None if self.colors is None else find_curves(distribution, self.colors)

    @cached_property
    def _color_range(self) -> Tensor | None:
        """The map [3, 3] that removes colors which the target does not have; None if it has all.

        EPS adds a little variance in every direction, which would tint the result of a gray style. This
        takes it away again: for the root of a covariance it is C^(1/2) (C + eps)^(-1/2), exactly. A
        diagonal map does not follow the directions of the colors, so there only those without any variance
        are removed.
        """
        covariance = self.levels[0].covariance
        eigenvalues, _ = eigh(covariance)
        if (eigenvalues.amin(-1) >= EMPTY_SHARE * eigenvalues.mean(-1)).all():
            return None
        eps = EMPTY_SHARE if METHODS[self.transform] == "adain" else EPS
        return (matrix_sqrt(covariance) @ inverse_sqrt(covariance, eps=eps))[0]


def blend_statistics(
    levels: Sequence[Sequence[Statistics]], weights: Sequence[float]
) -> tuple[Statistics, ...]:
    """Blend the statistics of several pictures, level by level.

    The blend of two Gaussians is the point on the geodesic of optimal transport between them. It is a valid
    covariance and keeps the strength of both, where averaged features would cancel. With all the weight on
    one picture, the blend is that picture's statistics.

    Args:
        levels: Statistics at every level of each picture; all pictures have equally many levels.
        weights: One non-negative number per picture, not all zero; only their ratios matter.

    Returns:
        One statistics per level.
    """
    total = sum(weights)
    kept = [(picture, weight / total) for picture, weight in zip(levels, weights, strict=True) if weight > 0]
    if len(kept) == 1:
        return tuple(kept[0][0])
    pictures = [picture for picture, _ in kept]
    shares = [share for _, share in kept]
    return tuple(wasserstein_barycenter(level, shares) for level in zip(*pictures, strict=True))
