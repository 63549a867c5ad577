"""Gradients of the norm against the exact gradient, and the cost of following the norm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from styletransfer.spectrum import ConvOperator, NormTracker, conv_operator, spectral_norm
from styletransfer.spectrum.norm_bounds import gram_bound, tensor_bound, unfolding_bound

from ..linalg.stopwatch import compare
from ..linalg.tables import Table
from .layers import Layer, leading_pairs

CHANGE = 1e-3  # relative change of the weight before the tracker is called, as by a step of training
REPETITIONS = 20


def reshaped(operator: ConvOperator) -> Tensor:
    """Return the norm of the kernel as a matrix [out, in kh kw], which torch's `spectral_norm` uses."""
    norm: Tensor = torch.linalg.matrix_norm(operator.weight.flatten(1), 2)
    return norm


PEERS: dict[str, Callable[[ConvOperator], Tensor]] = {
    "Gram": gram_bound,
    "unfoldings": unfolding_bound,
    "tensor": tensor_bound,
    "reshaped (torch)": reshaped,
}


def compare_gradients(layers: Sequence[Layer], size: int) -> Table:
    """Compare gradients of the norm with zero padding, and the cost of the tracker.

    "followed" is the gradient of `NormTracker` one step after a change of the weight. "cost" is the CPU time
    of its value and gradient over that of the layer's forward and backward pass on one image, both in
    float32. "gap" is the relative distance from the largest singular value to the next: where it is small,
    two waves compete.
    """
    table = Table(
        f"Cosine to the exact gradient of the norm, {size} x {size}",
        ["layer", "gap", "spectral_norm", "followed", "cost", *PEERS],
    )
    for layer in layers:
        conv = layer.conv()
        operator = conv_operator(conv, (size, size))
        norms, images = leading_pairs(operator)
        exact = _gradient_at(images[:1], operator, layer.weight)
        (gradient,) = torch.autograd.grad(spectral_norm(conv, (size, size)), conv.weight)
        cosines = [_cosine(gradient, exact), _followed(operator, layer.weight)]
        peers = [_cosine(_gradient(operator, layer.weight, bound), exact) for bound in PEERS.values()]
        cells = [f"{value:.3f}" for value in cosines], [f"{value:.3f}" for value in peers]
        gap = float(1 - norms[1] / norms[0])
        table.add(layer.name, f"{gap:.0e}", *cells[0], f"{_cost(layer, size):.1f}", *cells[1])
    return table


def _gradient_at(image: Tensor, operator: ConvOperator, weight: Tensor) -> Tensor:
    """Return u* (dT) v, the gradient of ||T v||, at a right singular vector v [1, in, H, W]."""
    return _gradient(operator, weight, lambda changed: changed.apply(image).norm())


def _gradient(operator: ConvOperator, weight: Tensor, norm: Callable[[ConvOperator], Tensor]) -> Tensor:
    leaf = weight.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(norm(replace(operator, weight=leaf)), leaf)
    return gradient


def _followed(operator: ConvOperator, weight: Tensor) -> float:
    tracker = NormTracker(replace(operator, weight=weight))
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1), dtype=weight.dtype)
    changed = weight + CHANGE * weight.norm() / noise.norm() * noise
    gradient = _gradient(operator, changed, lambda new: tracker(new.weight))
    images = leading_pairs(replace(operator, weight=changed))[1]
    return _cosine(gradient, _gradient_at(images[:1], operator, changed))


def _cost(layer: Layer, size: int) -> float:
    conv = layer.conv().float()
    image = torch.randn(1, conv.in_channels, size, size, requires_grad=True)
    tracker = NormTracker(conv_operator(conv, (size, size)))
    tasks = {
        "layer": lambda: conv(image).sum().backward(),
        "tracker": lambda: tracker(conv.weight).backward(),
    }
    times = compare(tasks, REPETITIONS)
    return times["tracker"] / times["layer"]


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(functional.cosine_similarity(a.flatten(), b.flatten(), dim=0))
