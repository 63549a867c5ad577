"""Whitening and coloring of features as one node of the autograd graph."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .guards import NumericalError, no_autocast
from .maps import Method, require_options, transfer_matrix
from .moments import Moments, SampleGradient, apply_map, correlate
from .places import Place
from .semidefinite import rank_cut
from .statistics import (
    Statistics,
    at_least_single,
    expand_weights,
    measure_features,
    require_features,
    statistics_place,
)


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
        content: [B or 1, C, N].
        style: Features [B or 1, C, M], or Statistics measured before.
        eps: Added to every eigenvalue of both covariances, relative to each mean eigenvalue. 0 leaves out
            directions that are rounding: of deviations up to C times the machine epsilon of the features,
            relative to the largest.
        alpha: Strength 0..1 along the path of targets that `transfer_map` describes; 0 returns the content.
        content_weights: Soft mask [B or 1, N] of the samples that the content is measured on; all are mapped.
        style_weights: Soft mask [B or 1, M] of the style samples; only for style features.
        statistics_dtype: Of means, covariances and all C x C work; never below the precision of content.
        method: Rule of the map, see `transfer_map`.

    Returns:
        [B, C, N] in the dtype of content; half precision is worked on in float32. Gradients are exact to
        content, style and weights, and differentiable again. Content without any variance receives the
        style's mean only.

    Raises:
        NumericalError: NaN or infinity in an input (the message counts and locates them), or style weights
            that are all zero.
        ValueError: Shapes do not fit, or an option is out of its range.
    """
    require_options(eps, alpha, method)
    require_features("content", content)
    if isinstance(style, Statistics):
        if style_weights is not None:
            raise ValueError("style_weights need style features, these statistics are measured already")
        batch = _fitting_batch(content.shape, style.mean.shape)
    else:
        require_features("style", style)
        batch = _fitting_batch(content.shape, style.shape)
        if style_weights is not None:
            style_weights = expand_weights("style weights", style_weights, style)
            _require_some_weight(style_weights)
    if len(content) != batch:
        content = content.expand(batch, -1, -1)
    if alpha == 0:
        return content.clone()
    features = at_least_single(content)
    if content_weights is not None:
        content_weights = expand_weights("content weights", content_weights, features)
    place = statistics_place(features, statistics_dtype)
    rtol = rank_cut(place.dtype, content.dtype, content.shape[1], eps)
    settings = _Settings(eps, alpha, place.dtype, method, rtol)
    if isinstance(style, Statistics):
        inputs = _Inputs(features, content_weights, None, None, *(place.bring(moment) for moment in style))
    else:
        inputs = _Inputs(features, content_weights, at_least_single(style), style_weights, None, None, None)
    with no_autocast(content):
        if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs):
            result: Tensor = _WhiteningColoring.apply(settings, *inputs)
        else:
            result = _compose(inputs, settings)
    return result.to(content.dtype)


def _fitting_batch(content: torch.Size, style: torch.Size) -> int:
    if content[1] != style[1] or (content[0] != style[0] and 1 not in {content[0], style[0]}):
        raise ValueError(
            f"style {list(style)} does not fit content {list(content)}: "
            "channels must agree, batches agree or be 1"
        )
    return max(content[0], style[0])


def _require_some_weight(weights: Tensor) -> None:
    if not torch.compiler.is_compiling() and (weights.sum(-1) == 0).any():
        raise NumericalError("the style weights of a batch entry are all zero: there is nothing to measure")


class _Settings(NamedTuple):
    eps: float
    alpha: float
    dtype: torch.dtype
    method: Method
    rtol: float

    def map_between(self, content: Tensor, style: Tensor) -> Tensor:
        """Return the matrix of the transfer between two covariances."""
        return transfer_matrix(
            content, style, eps=self.eps, alpha=self.alpha, method=self.method, rtol=self.rtol
        )


class _Inputs(NamedTuple):
    """All tensors the result depends on: content, and either features or moments of the style."""

    content: Tensor
    content_weights: Tensor | None
    style: Tensor | None
    style_weights: Tensor | None
    mean: Tensor | None
    covariance: Tensor | None
    count: Tensor | None  # type: ignore[assignment]  # tuple has a method of this name

    def statistics(self, dtype: torch.dtype) -> tuple[Statistics, Statistics]:
        """Return the statistics of content and style."""
        content = measure_features("content", self.content, self.content_weights, dtype)
        if self.style is not None:
            return content, measure_features("style", self.style, self.style_weights, dtype)
        assert self.mean is not None
        assert self.covariance is not None
        assert self.count is not None
        return content, Statistics(self.mean, self.covariance, self.count)


def _compose(inputs: _Inputs, settings: _Settings) -> Tensor:
    """Compute the result from parts that are each differentiable as often as wanted."""
    content, style = inputs.statistics(settings.dtype)
    matrix = settings.map_between(content.covariance, style.covariance)
    return apply_map(
        inputs.content, content.mean, matrix, torch.lerp(content.mean, style.mean, settings.alpha)
    )


class _WhiteningColoring(torch.autograd.Function):
    """The composition as one node: five passes over the content, two over the style, and no copy of either.

    Only the C x C part has a graph of its own, from the two covariances to the matrix.
    """

    @staticmethod
    def forward(ctx: Any, settings: _Settings, *tensors: Tensor | None) -> Tensor:
        inputs = _Inputs(*tensors)  # type: ignore[arg-type]
        content, style = inputs.statistics(settings.dtype)
        needed = ctx.needs_input_grad[1:]
        covariances = (
            content.covariance.detach().requires_grad_(any(needed[:2])),
            style.covariance.detach().requires_grad_(any(needed[2:])),
        )
        with torch.enable_grad():
            matrix = settings.map_between(*covariances)
        ctx.save_for_backward(*tensors)
        ctx.settings, ctx.content, ctx.style = settings, content, style
        ctx.covariances, ctx.matrix = covariances, matrix
        target = torch.lerp(content.mean, style.mean, settings.alpha)
        return apply_map(inputs.content, content.mean, matrix.detach(), target)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, settings = _Inputs(*ctx.saved_tensors), ctx.settings
        needed = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():  # the gradient is to be differentiated in turn: leave that to the parts
            wanted = [x for x, is_needed in zip(inputs, needed, strict=True) if is_needed and x is not None]
            result = _compose(inputs, settings)
            found = iter(torch.autograd.grad(result, wanted, grad, create_graph=True, allow_unused=True))
            return None, *(next(found) if is_needed else None for is_needed in needed)
        content, style, matrix = ctx.content, ctx.style, ctx.matrix
        grad_matrix, grad_target = correlate(grad, inputs.content, content.mean)
        wanted = [covariance for covariance in ctx.covariances if covariance.requires_grad]
        found = iter(torch.autograd.grad(matrix, wanted, grad_matrix, retain_graph=True))
        results: list[Tensor | None] = [None] * len(inputs)
        if any(needed[:2]):
            adjoint = matrix.detach().mT
            grad_mean = (1 - settings.alpha) * grad_target - (adjoint @ grad_target.unsqueeze(-1)).squeeze(-1)
            gradients = Moments(grad_mean, next(found), torch.zeros_like(content.count))
            gradient = SampleGradient.of(Moments(*content), gradients, Place.of(grad))
            direct = (Place.of(grad).bring(adjoint).expand(len(grad), -1, -1), grad)
            results[:2] = gradient.everywhere(inputs.content, inputs.content_weights, direct)
        if any(needed[2:]):
            grad_mean = settings.alpha * grad_target.sum_to_size(style.mean.shape)
            gradients = Moments(grad_mean, next(found), torch.zeros_like(style.count))
            if inputs.style is None:
                results[4:] = gradients
            else:
                gradient = SampleGradient.of(Moments(*style), gradients, Place.of(inputs.style))
                results[2:4] = gradient.everywhere(inputs.style, inputs.style_weights)
        return None, *results
