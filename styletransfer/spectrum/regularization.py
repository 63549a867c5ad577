"""Hold the norms of convolutions down in training: softly, by a penalty, or hard, by a cap.

Every layer counts with its own padding, at one size of image for all: the norm hardly depends on the size.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .bounds import norm_bounds
from .classical import hoelder_bound, tap_bound, unfolding_bound
from .layers import conv_operator
from .norm import NormTracker
from .operator import ConvOperator
from .torus import unpad

Bound = Literal["norm", "unfoldings", "taps", "hoelder"]

SIZE = (16, 16)
BOUNDS: dict[Bound, Callable[[ConvOperator], Tensor]] = {
    "unfoldings": unfolding_bound,
    "taps": tap_bound,
    "hoelder": hoelder_bound,
}


class SpectralPenalty(nn.Module):
    """The sum over convolutions of the squared excess of their norms over a cap.

    Args:
        model: All `Conv2d` and `ConvTranspose2d` in it are penalised, each with its own padding; a padding
            module before it is not seen.
        cap: Norm from which on a layer costs; 0 penalises all norms.
        bound: Instead of the "norm", which is followed from step to step, an upper bound of the kernel alone:
            "unfoldings", "taps" or "hoelder" (see `classical`), as published regularisers do.
        size: Rows and columns of the image at which norms are taken.

    Raises:
        ValueError: Without a convolution, with a negative cap or an unknown bound.

    Source: Yi 2020 (arXiv 2006.07117), who penalises bounds. Differs: the norm itself, and only above a cap.
    """

    def __init__(
        self, model: nn.Module, cap: float = 0.0, *, bound: Bound = "norm", size: tuple[int, int] = SIZE
    ) -> None:
        super().__init__()
        if bound not in get_args(Bound):
            raise ValueError(f"bound is {bound!r}; choose one of {', '.join(get_args(Bound))}")
        if not cap >= 0:
            raise ValueError(f"cap is {cap}; it must be at least 0")
        # A tuple, not a ModuleList: the model's parameters stay the model's.
        self._layers = tuple(m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))
        if not self._layers:
            raise ValueError("the model has no convolution to penalise")
        self.cap, self.bound, self.size = cap, bound, size
        operators = [conv_operator(layer, size) for layer in self._layers]
        self.trackers = nn.ModuleList(map(NormTracker, operators) if bound == "norm" else ())

    def forward(self) -> Tensor:
        """Return the penalty of the model's present weights, a differentiable scalar."""
        return torch.stack([(norm - self.cap).clamp_min(0) for norm in self.norms()]).square().sum()

    def norms(self) -> list[Tensor]:
        """Return the norm, or its bound, of every layer."""
        if self.bound == "norm":
            pairs = zip(self.trackers, self._layers, strict=True)
            return [tracker(layer.weight) for tracker, layer in pairs]
        bounds = []
        for layer in self._layers:
            operator = conv_operator(layer, self.size)
            bare, gain = (operator, 1.0) if self.bound == "hoelder" else unpad(operator)
            bounds.append(gain * BOUNDS[self.bound](bare))
        return bounds


class NormCap(nn.Module):
    """A parametrization that scales a weight down to a norm of at most a cap.

    In training the norm is followed from call to call; in evaluation the last one is used, so that the
    weight does not change from call to call.
    """

    norm: Tensor

    def __init__(self, operator: ConvOperator, cap: float) -> None:
        super().__init__()
        self.cap = cap
        self.tracker = NormTracker(operator)
        self.register_buffer("norm", operator.weight.detach().new_tensor(0.0))

    def forward(self, weight: Tensor) -> Tensor:
        """Scale a weight."""
        if self.training:
            norm = self.tracker(weight)
            self.norm.copy_(norm.detach())
        else:
            norm = self.norm
        factor: Tensor = (self.cap / norm.clamp_min(torch.finfo(norm.dtype).tiny)).clamp_max(1)
        return weight * factor


def register_norm_cap(module: nn.Module, cap: float, *, size: tuple[int, int] = SIZE) -> None:
    """Keep the norm of a convolution at or below a cap while it trains.

    Args:
        module: A convolution, or a `Sequential` of padding modules and one.
        cap: Above 0.
        size: Rows and columns of the image at which the norm is taken.

    Raises:
        ValueError: The cap is not above 0, or the size is too small for the layer.
    """
    if not cap > 0:
        raise ValueError(f"cap is {cap}; it must be above 0")
    layer = _convolution(module)
    was_training = layer.training
    parametrization = NormCap(conv_operator(module, size), cap).train()
    parametrize.register_parametrization(layer, "weight", parametrization)
    layer.train(was_training)


def capped_weight(module: nn.Module, *, size: tuple[int, int] = SIZE) -> Tensor:
    """Return the weight that a capped convolution has without its cap; the module stays as it is.

    Following a norm through training may fall short of it by a little; here it is bounded from above once
    more, and the weight scaled by what is missing. Its norm is certified to be at most the cap.

    Args:
        module: What `register_norm_cap` was given, or a copy.
        size: As given there.

    Raises:
        TypeError: The module has no cap.
    """
    twin = copy.deepcopy(module).train()  # following the norm changes what is followed
    layer = _convolution(twin)
    with torch.no_grad(), parametrize.cached():
        weight = layer.weight
        cap, upper = _norm_cap(layer).cap, norm_bounds(twin, size).upper
    return weight * (cap / upper if upper > cap else 1.0)


def remove_norm_cap(module: nn.Module, *, size: tuple[int, int] = SIZE) -> None:
    """Turn a capped weight into a plain one, `capped_weight`.

    Copies of the module that were made while it had its cap are spoilt by this (torch lets them share the
    class that it changes back); take the `capped_weight` of one of them instead.

    Args:
        module: What `register_norm_cap` was given.
        size: As given there.

    Raises:
        TypeError: The module has no cap.
    """
    weight = capped_weight(module, size=size)
    layer = _convolution(module)
    parametrize.remove_parametrizations(layer, "weight")
    layer.weight.data.copy_(weight)


def _norm_cap(layer: nn.Module) -> NormCap:
    chain = layer.parametrizations["weight"] if parametrize.is_parametrized(layer, "weight") else ()  # type: ignore[index]
    found = next((each for each in chain if isinstance(each, NormCap)), None)
    if found is None:
        raise TypeError(f"{type(layer).__name__} has no norm cap")
    return found


def _convolution(module: nn.Module) -> nn.Conv2d | nn.ConvTranspose2d:
    layer = module[-1] if isinstance(module, nn.Sequential) else module
    if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        raise TypeError(f"{type(layer).__name__} is not a two-dimensional convolution")
    return layer
