"""Layers: whitening as a decorrelated batch normalisation, and whitening-coloring."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .guards import no_autocast
from .maps import Method
from .moments import apply_map
from .places import Place
from .spectral import inverse_sqrt
from .statistics import Statistics, compute_statistics, statistics_place
from .whitening_coloring import whitening_coloring


class ZCAWhitening(nn.Module):
    """Normalise features to zero mean and identity covariance, by groups of channels.

    Args:
        channels: Channels C of the input.
        groups: Number of groups of channels whitened apart; must divide C.
        eps: Added to every eigenvalue, relative to the mean eigenvalue.
        momentum: Share of the newest batch in the running statistics.
        affine: Learn a scale and a shift per channel, as batch normalisation does.
        statistics_dtype: Of means, covariances and the decomposition.

    Shapes: input [B, C, ...], output the same. Training uses the statistics of the batch, evaluation the
    running ones.
    """

    running_mean: Tensor
    running_covariance: Tensor
    batches_seen: Tensor

    def __init__(
        self,
        channels: int,
        *,
        groups: int = 1,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        statistics_dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(f"{groups} groups do not divide {channels} channels")
        width = channels // groups
        self.channels, self.groups, self.eps, self.momentum = channels, groups, eps, momentum
        self.statistics_dtype = statistics_dtype
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(groups, width))
        self.register_buffer("running_covariance", torch.eye(width).repeat(groups, 1, 1))
        self.register_buffer("batches_seen", torch.zeros((), dtype=torch.long))

    def forward(self, features: Tensor) -> Tensor:
        """Return whitened features, [B, C, ...]."""
        if features.dim() < 2 or features.shape[1] != self.channels:
            raise ValueError(f"features must be [B, {self.channels}, ...], got {list(features.shape)}")
        batch, width = features.shape[0], self.channels // self.groups
        grouped = features.reshape(batch, self.groups, width, -1).permute(1, 2, 0, 3)
        samples = grouped.flatten(2)  # [groups, C / groups, B * N]
        with no_autocast(features):
            if self.training:
                mean, covariance, _ = compute_statistics(samples, dtype=self.statistics_dtype)
                self._update(mean.detach(), covariance.detach())
            else:
                place = statistics_place(samples, self.statistics_dtype)
                mean, covariance = place.bring(self.running_mean), place.bring(self.running_covariance)
            white = apply_map(samples, mean, self.whitening_matrix(covariance), torch.zeros_like(mean))
        white = white.view(grouped.shape).permute(2, 0, 1, 3).reshape(features.shape)
        if self.weight is None or self.bias is None:
            return white
        shape = (-1, *[1] * (features.dim() - 2))
        return white * self.weight.view(shape) + self.bias.view(shape)

    def whitening_matrix(self, covariance: Tensor) -> Tensor:
        """Return what whitens features of a covariance [groups, C / groups, C / groups]; to be overridden."""
        return inverse_sqrt(covariance, eps=self.eps)

    def extra_repr(self) -> str:
        """Return the settings that print shows."""
        return f"{self.channels}, groups={self.groups}, eps={self.eps}, momentum={self.momentum}"

    @torch.no_grad()
    def _update(self, mean: Tensor, covariance: Tensor) -> None:
        place = Place.of(self.running_mean)
        self.running_mean.lerp_(place.bring(mean), self.momentum)
        self.running_covariance.lerp_(place.bring(covariance), self.momentum)
        self.batches_seen += 1


class WhiteningColoring(nn.Module):
    """`whitening_coloring` as a layer without parameters; arguments as there."""

    def __init__(
        self,
        *,
        eps: float = 1e-5,
        alpha: float = 1.0,
        statistics_dtype: torch.dtype = torch.float64,
        method: Method = "eigh",
    ) -> None:
        super().__init__()
        self.eps, self.alpha, self.statistics_dtype = eps, alpha, statistics_dtype
        self.method: Method = method

    def forward(
        self,
        content: Tensor,
        style: Tensor | Statistics,
        content_weights: Tensor | None = None,
        style_weights: Tensor | None = None,
    ) -> Tensor:
        """Return content features with the style's mean and covariance, [B, C, N]."""
        return whitening_coloring(
            content,
            style,
            eps=self.eps,
            alpha=self.alpha,
            content_weights=content_weights,
            style_weights=style_weights,
            statistics_dtype=self.statistics_dtype,
            method=self.method,
        )

    def extra_repr(self) -> str:
        """Return the settings that print shows."""
        return f"eps={self.eps}, alpha={self.alpha}, method={self.method!r}"
