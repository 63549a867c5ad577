"""Whitening and coloring of features as one node of the autograd graph."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .guards import symmetrize
from .maps import Method, transfer_matrix
from .spectral import cut_off
from .statistics import Statistics, compute_statistics


class _Settings(NamedTuple):
    eps: float
    alpha: float
    dtype: torch.dtype
    method: Method
    rtol: float


def whitening_coloring(
    content: Tensor,
    style: Tensor | Statistics,
    *,
    eps: float = 1e-5,
    alpha: float = 1.0,
    content_weights: Tensor | None = None,
    style_weights: Tensor | None = None,
    statistics_dtype: torch.dtype = torch.float64,
    method: Method = "eigh",
) -> Tensor:
    """Give content features the mean and covariance of the style.

    Args:
        content: [B, C, N].
        style: Features [B or 1, C, M], or Statistics measured before.
        eps: Added to every eigenvalue of both covariances, relative to each mean eigenvalue. 0 leaves out
            eigenvalues up to C times the machine epsilon of the features, relative to the largest.
        alpha: Strength 0..1 along the path of targets that `transfer_map` describes; 0 returns the content.
        content_weights: Soft mask [B, N] of the pixels that the content is measured on; all are mapped.
        style_weights: Soft mask [B, M] of the style pixels; only for style features.
        statistics_dtype: Of means, covariances and all C x C work.
        method: Rule of the map, see `transfer_map`.

    Returns:
        [B, C, N] in the dtype of content; gradients are exact to content, style and weights, and
        differentiable again. Content without any variance receives the style's mean only.

    Raises:
        NumericalError: NaN or infinity in an input; the message counts and locates them.
        ValueError: Shapes do not fit, or an option is out of its range.
    """
    if content.dim() != 3:
        raise ValueError(f"content must be [B, C, N], got {list(content.shape)}")
    if isinstance(style, Statistics) and style_weights is not None:
        raise ValueError("style_weights need style features, the statistics are measured already")
    dtype = torch.promote_types(statistics_dtype, content.dtype)
    settings = _Settings(eps, alpha, dtype, method, cut_off(content.dtype, content.shape[1], eps))
    measured = isinstance(style, Statistics)
    features = None if measured else style
    if isinstance(style, Statistics):
        style_mean, style_covariance = style.mean.to(content.device, dtype), style.covariance.to(content.device, dtype)
    else:
        style_mean = style_covariance = None
    channels = style_mean.shape[1] if style_mean is not None else features.shape[1]
    if channels != content.shape[1]:
        raise ValueError(f"content has {content.shape[1]} channels, style has {channels}")
    inputs = (content, content_weights, features, style_weights, style_mean, style_covariance)
    return _compose(*inputs, settings)


def _compose(
    content: Tensor,
    content_weights: Tensor | None,
    style: Tensor | None,
    style_weights: Tensor | None,
    style_mean: Tensor | None,
    style_covariance: Tensor | None,
    settings: _Settings,
) -> Tensor:
    """Return the result by parts that are each differentiable."""
    mean, covariance, _ = compute_statistics(content, content_weights, dtype=settings.dtype)
    if style is not None:
        style_mean, style_covariance, _ = compute_statistics(style, style_weights, dtype=settings.dtype)
    matrix = transfer_matrix(
        covariance, style_covariance, eps=settings.eps, alpha=settings.alpha, method=settings.method, rtol=settings.rtol
    )
    target = mean + settings.alpha * (style_mean - mean)
    return apply_map(content, mean, matrix, target)


def apply_map(content: Tensor, mean: Tensor, matrix: Tensor, target: Tensor) -> Tensor:
    """Return matrix @ (content - mean) + target in the dtype of content, [B, C, N].

    The content is centred first: a large common offset would otherwise cancel only after it was rounded.
    """
    near = mean.to(content.dtype)
    residual = mean - near.to(mean.dtype)  # what rounding the mean left out
    offset = target - (matrix @ residual.unsqueeze(-1)).squeeze(-1)
    centered = content - near.unsqueeze(-1)
    batch = torch.broadcast_shapes(content.shape[:1], matrix.shape[:1])[0]
    return torch.baddbmm(
        offset.to(content.dtype).unsqueeze(-1),
        matrix.to(content.dtype).expand(batch, -1, -1),
        centered.expand(batch, -1, -1),
    )
