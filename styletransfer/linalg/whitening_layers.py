"""Layers: whitening as a decorrelated batch normalization, and whitening and coloring."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .device_placement import DeviceDtype, no_autocast
from .differentiable_wct import whitening_coloring
from .matrix_functions import inverse_sqrt
from .moments import apply_affine_map
from .statistics import Statistics, compute_statistics, statistics_placement
from .transfer_matrix import TransferMethod


class ZCAWhitening(nn.Module):
    """Normalize features to zero mean and identity covariance, in groups of channels.

    Training uses the statistics of the batch, and evaluation uses the running statistics. As in batch
    normalization, a batch is whitened with its biased covariance, and the running covariance is unbiased. An
    empty batch leaves the running statistics unchanged. The input is [B, C, ...] and the output has the same
    shape.

    Args:
        channels: Number of channels C of the input.
        groups: Number of groups of channels that are whitened separately. It must divide C.
        eps: Added to every eigenvalue, relative to the mean eigenvalue.
        momentum: Share of the newest batch in the running statistics. None averages over all batches.
        affine: Whether to learn a scale and a shift per channel, as batch normalization does.
        statistics_dtype: Precision of means, covariances and the decomposition.

    Raises:
        ValueError: The groups do not divide the channels.
    """

    running_mean: Tensor
    running_covariance: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        channels: int,
        *,
        groups: int = 1,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
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
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.long))

    def forward(self, features: Tensor) -> Tensor:
        """Return whitened features.

        Args:
            features: [B, C, ...].

        Returns:
            [B, C, ...], in the dtype of the features.

        Raises:
            NumericalError: The features hold NaN or infinity; the message counts them. Only in training.
            ValueError: The shape does not fit.
        """
        if features.dim() < 2 or features.shape[1] != self.channels:
            raise ValueError(f"features must be [B, {self.channels}, ...], got {list(features.shape)}")
        batch, width = features.shape[0], self.channels // self.groups
        samples_per_entry = features.shape[2:].numel()
        grouped = features.reshape(batch, self.groups, width, samples_per_entry).permute(1, 2, 0, 3)
        samples = grouped.flatten(2)  # [groups, C / groups, B * N]
        with no_autocast(features):
            if self.training and samples.shape[-1] > 0:
                statistics = compute_statistics(samples, dtype=self.statistics_dtype)
                mean, covariance, _ = statistics
                self._update_running_statistics(statistics)
            else:
                placement = statistics_placement(samples, self.statistics_dtype)
                mean, covariance = placement.to(self.running_mean), placement.to(self.running_covariance)
            matrix = self.whitening_matrix(covariance)
            white = apply_affine_map(samples, mean, matrix, torch.zeros_like(mean))
        white = white.view(grouped.shape).permute(2, 0, 1, 3).reshape(features.shape)
        if self.weight is None or self.bias is None:
            return white
        shape = (-1, *[1] * (features.dim() - 2))
        return white * self.weight.view(shape) + self.bias.view(shape)

    def whitening_matrix(self, covariance: Tensor) -> Tensor:
        """Return the matrix that whitens features. Override it to whiten by another rule.

        Args:
            covariance: Covariance of every group of features, [groups, C / groups, C / groups].

        Returns:
            [groups, C / groups, C / groups].
        """
        return inverse_sqrt(covariance, eps=self.eps)

    def extra_repr(self) -> str:
        """Return the options for `repr`."""
        return f"{self.channels}, groups={self.groups}, eps={self.eps}, momentum={self.momentum}"

    @torch.no_grad()
    def _update_running_statistics(self, statistics: Statistics) -> None:
        mean, covariance, count = statistics
        unbiased = covariance * (count / (count - 1).clamp(min=1))[:, None, None]
        placement = DeviceDtype.of(self.running_mean)
        self.num_batches_tracked += 1
        share: Tensor | float | None = self.momentum
        if share is None:
            share = placement.to(1 / self.num_batches_tracked)
        self.running_mean.lerp_(placement.to(mean), share)
        self.running_covariance.lerp_(placement.to(unbiased), share)


class WhiteningColoring(nn.Module):
    """Apply `whitening_coloring` as a layer without parameters. The arguments are those of the function."""

    def __init__(
        self,
        *,
        eps: float = 1e-5,
        alpha: float = 1.0,
        statistics_dtype: torch.dtype = torch.float64,
        method: TransferMethod = "eigh",
    ) -> None:
        super().__init__()
        self.eps, self.alpha, self.statistics_dtype = eps, alpha, statistics_dtype
        self.method: TransferMethod = method

    def forward(
        self,
        content: Tensor,
        style: Tensor | Statistics,
        content_weights: Tensor | None = None,
        style_weights: Tensor | None = None,
    ) -> Tensor:
        """Return content features with the mean and covariance of the style, [B, C, N]."""
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
        """Return the options for `repr`."""
        return f"eps={self.eps}, alpha={self.alpha}, method={self.method!r}"
