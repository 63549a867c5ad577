"""The optimal transport map between features of photographs, with bounded gains."""

from __future__ import annotations

import torch
from torch import Tensor

from ..linalg import Statistics, spectral_function, transfer_map
from .feature_transform import EPS

# Largest factor by which the map may enlarge or reduce any direction of the features. The map is symmetric,
# so these are its eigenvalues. Beyond them noise and blocks of compression show in skies.
LARGEST_GAIN = 3.0


class _BoundedGain:
    """The scalar function clamp(x, 1 / LARGEST_GAIN, LARGEST_GAIN), with its divided differences."""

    def value(self, x: Tensor) -> Tensor:
        return x.clamp(1 / LARGEST_GAIN, LARGEST_GAIN)

    def first_difference(self, x: Tensor, y: Tensor) -> Tensor:
        """Return f[x, y], which is the share of the way from x to y that lies within the bounds."""
        inside = ((x > 1 / LARGEST_GAIN) & (x < LARGEST_GAIN)).to(x)
        gap = x - y
        apart = gap != 0
        return torch.where(apart, (self.value(x) - self.value(y)) / torch.where(apart, gap, 1), inside)

    def second_difference(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        raise NotImplementedError("a bounded gain can be differentiated once")


def bounded_monge_map(content: Statistics, style: Statistics, alpha: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return the map y = matrix @ x + offset from the content's statistics towards those of the style.

    The matrix is that of optimal transport between Gaussians, which is symmetric and positive: among all maps
    that reach the style's covariance it moves the features least. Its eigenvalues are clamped.

    Args:
        content: Statistics of the features to be mapped, batch B.
        style: Statistics to reach, batch B.
        alpha: Strength, 0..1. The map is interpolated with the identity, which it is at 0.

    Returns:
        Matrix [B, C, C] and offset [B, C], float64, differentiable in both statistics also where eigenvalues
        coincide.

    Raises:
        NumericalError: A covariance is not finite.
    """
    matrix, _ = transfer_map(content, style, eps=EPS, method="monge")
    matrix = spectral_function(matrix, _BoundedGain())
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    matrix = identity.lerp(matrix, alpha)
    mean = torch.lerp(content.mean, style.mean, alpha)
    return matrix, mean - (matrix @ content.mean.unsqueeze(-1)).squeeze(-1)
