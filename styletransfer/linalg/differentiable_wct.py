"""Whitening and coloring of features as a single node of the autograd graph."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .device_placement import DeviceDtype, no_autocast
from .function_transforms import is_transformed, values_are_available
from .moments import Moments, MomentsVjp, affine_map_vjp, apply_affine_map
from .psd_matrices import NumericalError, default_rank_rtol
from .statistics import (
    Statistics,
    at_least_float32,
    check_weights,
    compute_named_statistics,
    require_features,
    statistics_placement,
)
from .transfer_matrix import TransferMethod, require_transfer_options, transfer_matrix


def whitening_coloring(
    content: Tensor,
    style: Tensor | Statistics,
    *,
    eps: float = 1e-5,
    alpha: float = 1.0,
    content_weights: Tensor | None = None,
    style_weights: Tensor | None = None,
    statistics_dtype: torch.dtype = torch.float64,
    method: TransferMethod = "eigh",
) -> Tensor:
    """Give content features the mean and the covariance of the style.

    Args:
        content: Features [B or 1, C, N].
        style: Features [B or 1, C, M], or Statistics computed before.
        eps: Added to every eigenvalue of both covariances, relative to the mean eigenvalue of each. With 0,
            directions are left out whose standard deviation is a rounding error: at most C times the machine
            epsilon of the content's dtype, relative to the largest.
        alpha: Strength, 0..1, as in `transfer_map`. With 0 the content is returned unchanged.
        content_weights: Soft mask [B or 1, N] of the content samples that the statistics are computed from.
            All samples are mapped.
        style_weights: Soft mask [B or 1, M] of the style samples. It is allowed only for style features.
        statistics_dtype: Precision of means, covariances and all C x C matrices. It is raised to that of the
            content if it is lower.
        method: Matrix of the map, see `transfer_map`.

    Returns:
        [B, C, N] in the dtype of the content. Half-precision features are computed in float32. The gradients
        with respect to content, style and weights are exact and differentiable again. Content without any
        variance receives only the mean of the style.

    Raises:
        NumericalError: An input holds NaN or infinity (the message counts and locates them), or all style
            weights of a batch entry are zero.
        ValueError: The shapes do not fit, or an option is out of its range.
    """
    require_transfer_options(eps, alpha, method)
    require_features("content", content)
    if isinstance(style, Statistics):
        if style_weights is not None:
            raise ValueError("style_weights require style features, but the style is given as Statistics")
        batch = _common_batch(content.shape, style.mean.shape)
    else:
        require_features("style", style)
        batch = _common_batch(content.shape, style.shape)
        if style_weights is not None:
            style_weights = check_weights("style weights", style_weights, style)
            _require_positive_sum(style_weights)
    if len(content) != batch:
        content = content.expand(batch, -1, -1)
    if alpha == 0:
        return content.clone()
    features = at_least_float32(content)
    if content_weights is not None:
        content_weights = check_weights("content weights", content_weights, features)
    placement = statistics_placement(features, statistics_dtype)
    rtol = default_rank_rtol(placement.dtype, content.dtype, content.shape[1], eps)
    options = _Options(eps, alpha, placement.dtype, method, rtol)
    if isinstance(style, Statistics):
        moments = (placement.to(moment) for moment in style)
        inputs = _Inputs(features, content_weights, None, None, *moments)
    else:
        inputs = _Inputs(features, content_weights, at_least_float32(style), style_weights, None, None, None)
    with no_autocast(content):
        needs_grad = torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs)
        if needs_grad and not is_transformed(*inputs):
            result: Tensor = _WhiteningColoring.apply(options, *inputs)
        else:
            result = _compose(inputs, options)
    return result.to(content.dtype)


def _common_batch(content: torch.Size, style: torch.Size) -> int:
    if content[1] != style[1] or (content[0] != style[0] and 1 not in {content[0], style[0]}):
        raise ValueError(
            f"style {list(style)} does not fit content {list(content)}: "
            "the channels must be equal, and the batches must be equal or 1"
        )
    return max(content[0], style[0])


def _require_positive_sum(weights: Tensor) -> None:
    if values_are_available(weights) and (weights.sum(-1) == 0).any():
        raise NumericalError("the style weights of a batch entry are all zero, so it has no statistics")


class _Options(NamedTuple):
    """Options of the transfer; `dtype` is that of the statistics."""

    eps: float
    alpha: float
    dtype: torch.dtype
    method: TransferMethod
    rtol: float

    def transfer_matrix(self, content: Tensor, style: Tensor) -> Tensor:
        """Return the matrix of the map between two covariances."""
        return transfer_matrix(
            content, style, eps=self.eps, alpha=self.alpha, method=self.method, rtol=self.rtol
        )


class _Inputs(NamedTuple):
    """All tensors that the result depends on: the content, and either features or moments of the style."""

    content: Tensor
    content_weights: Tensor | None
    style: Tensor | None
    style_weights: Tensor | None
    mean: Tensor | None
    covariance: Tensor | None
    count: Tensor | None  # type: ignore[assignment]  # A tuple has a method of this name.

    def statistics(self, dtype: torch.dtype) -> tuple[Statistics, Statistics]:
        """Return the statistics of content and style."""
        content = compute_named_statistics("content", self.content, self.content_weights, dtype)
        if self.style is not None:
            return content, compute_named_statistics("style", self.style, self.style_weights, dtype)
        assert self.mean is not None
        assert self.covariance is not None
        assert self.count is not None
        return content, Statistics(self.mean, self.covariance, self.count)


def _compose(inputs: _Inputs, options: _Options) -> Tensor:
    """Compute the result from parts that are differentiable by themselves."""
    content, style = inputs.statistics(options.dtype)
    matrix = options.transfer_matrix(content.covariance, style.covariance)
    target_mean = torch.lerp(content.mean, style.mean, options.alpha)
    return apply_affine_map(inputs.content, content.mean, matrix, target_mean)


class _WhiteningColoring(torch.autograd.Function):
    """The composition as one node: five passes over the content, two over the style, and no copy of either.

    Only the C x C part, from the two covariances to the matrix, has a graph of its own. Transforms of
    `torch.func` cannot see that graph and use `_compose` instead.
    """

    @staticmethod
    def forward(ctx: Any, options: _Options, *tensors: Tensor | None) -> Tensor:
        inputs = _Inputs(*tensors)  # type: ignore[arg-type]
        content, style = inputs.statistics(options.dtype)
        needed = ctx.needs_input_grad[1:]
        covariances = (
            content.covariance.detach().requires_grad_(any(needed[:2])),
            style.covariance.detach().requires_grad_(any(needed[2:])),
        )
        with torch.enable_grad():
            matrix = options.transfer_matrix(*covariances)
        ctx.save_for_backward(*tensors)
        ctx.options, ctx.content, ctx.style = options, content, style
        ctx.covariances, ctx.matrix = covariances, matrix
        target_mean = torch.lerp(content.mean, style.mean, options.alpha)
        return apply_affine_map(inputs.content, content.mean, matrix.detach(), target_mean)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, options = _Inputs(*ctx.saved_tensors), ctx.options
        needed = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():  # A second derivative is wanted, which the parts provide.
            wanted = [x for x, is_needed in zip(inputs, needed, strict=True) if is_needed and x is not None]
            result = _compose(inputs, options)
            gradients = torch.autograd.grad(result, wanted, grad, create_graph=True, allow_unused=True)
            remaining = iter(gradients)
            return None, *(next(remaining) if is_needed else None for is_needed in needed)
        content, style, matrix = ctx.content, ctx.style, ctx.matrix
        grad_matrix, grad_target = affine_map_vjp(grad, inputs.content, content.mean)
        wanted = [covariance for covariance in ctx.covariances if covariance.requires_grad]
        grad_covariances = iter(torch.autograd.grad(matrix, wanted, grad_matrix, retain_graph=True))
        placement = DeviceDtype.of(grad)
        results: list[Tensor | None] = [None] * len(inputs)
        if any(needed[:2]):
            adjoint = matrix.detach().mT
            grad_mean = (1 - options.alpha) * grad_target - (adjoint @ grad_target.unsqueeze(-1)).squeeze(-1)
            grad_moments = Moments(grad_mean, next(grad_covariances), torch.zeros_like(content.count))
            gradient = MomentsVjp.from_moments(Moments(*content), grad_moments, placement)
            direct = (placement.to(adjoint).expand(len(grad), -1, -1), grad)
            results[:2] = gradient.evaluate_in_blocks(inputs.content, inputs.content_weights, direct)
        if any(needed[2:]):
            grad_mean = options.alpha * grad_target.sum_to_size(style.mean.shape)
            grad_moments = Moments(grad_mean, next(grad_covariances), torch.zeros_like(style.count))
            if inputs.style is None:
                results[4:] = grad_moments
            else:
                placement = DeviceDtype.of(inputs.style)
                gradient = MomentsVjp.from_moments(Moments(*style), grad_moments, placement)
                results[2:4] = gradient.evaluate_in_blocks(inputs.style, inputs.style_weights)
        return None, *results
