"""Hold the norms of convolutions down in training: softly, by a penalty, or strictly, by a cap.

Each layer is measured with its own padding. All are measured at one image size, on which the norm hardly
depends.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .circulant_embedding import split_padding
from .conv_operator import Convolution, ConvOperator, conv_operator, find_convolutions
from .norm_bounds import hoelder_bound, norm_bounds, tap_bound, unfolding_bound
from .spectral_norm import NormTracker, group_norms

PenaltyBound = Literal["norm", "unfoldings", "taps", "hoelder"]

SIZE = (16, 16)  # rows and columns of the image at which norms are taken by default
KERNEL_BOUNDS: dict[PenaltyBound, Callable[[ConvOperator], Tensor]] = {
    "unfoldings": unfolding_bound,
    "taps": tap_bound,
    "hoelder": hoelder_bound,
}


class SpectralPenalty(nn.Module):
    """The sum over all convolutions of the squared excess of their norms over a cap.

    The trackers of the norms are buffers: a run that is resumed needs the penalty's state.

    Args:
        model: Network whose `Conv2d` and `ConvTranspose2d` are all penalized, each with its own padding. A
            padding module before a convolution is not taken into account.
        cap: Norm above which a layer is penalized; 0 penalizes all norms.
        bound: What is penalized: the "norm", followed from step to step, or an upper bound that depends on
            the weight alone ("unfoldings", "taps" or "hoelder", see `norm_bounds`), as in published
            regularizers.
        size: Rows and columns of the image at which norms are taken.

    Raises:
        ValueError: The model has no convolution, the cap is negative, or the bound is unknown.

    Source: Yi 2020 (arXiv 2006.07117), who penalizes bounds. Differs: penalizes the norm itself, and only
    above a cap.
    """

    def __init__(
        self,
        model: nn.Module,
        cap: float = 0.0,
        *,
        bound: PenaltyBound = "norm",
        size: tuple[int, int] = SIZE,
    ) -> None:
        super().__init__()
        if bound not in get_args(PenaltyBound):
            raise ValueError(f"bound is {bound!r}; choose one of {', '.join(get_args(PenaltyBound))}")
        if not cap >= 0:
            raise ValueError(f"cap is {cap}; it must be at least 0")
        # A tuple instead of a ModuleList, so that the parameters belong to the model alone.
        self._layers = tuple(find_convolutions(model).values())
        if not self._layers:
            raise ValueError("the model has no convolution to penalize")
        self.cap, self.bound, self.size = cap, bound, size
        operators = [conv_operator(layer, size) for layer in self._layers]
        self.trackers = nn.ModuleList(map(NormTracker, operators) if bound == "norm" else ())

    def forward(self) -> Tensor:
        """Return the penalty of the model's present weights, a differentiable scalar."""
        return torch.stack([(norm - self.cap).clamp_min(0) for norm in self.norms()]).square().sum()

    def norms(self) -> list[Tensor]:
        """Return the norm of every layer, or its bound."""
        if self.bound == "norm":
            pairs = zip(self.trackers, self._layers, strict=True)
            return [tracker(layer.weight) for tracker, layer in pairs]
        bounds = []
        for layer in self._layers:
            operator = conv_operator(layer, self.size)
            unpadded, extension_norm = (operator, 1.0) if self.bound == "hoelder" else split_padding(operator)
            bounds.append(extension_norm * KERNEL_BOUNDS[self.bound](unpadded))
        return bounds


class NormCap(nn.Module):
    """A parametrization that scales a weight down to a norm of at most a cap.

    In training mode the norm is followed from call to call. In evaluation mode the last norm is used, so that
    the weight does not change between calls.
    """

    norm: Tensor

    def __init__(self, operator: ConvOperator, cap: float) -> None:
        super().__init__()
        self.cap = cap
        self.tracker = NormTracker(operator)
        # The norm at present, for a layer that is in evaluation mode from the start.
        self.register_buffer("norm", group_norms(operator, self.tracker.outputs[:1]).max())

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
    """Keep the norm of a convolution at or below a cap while it is trained.

    Args:
        module: A convolution, or a `Sequential` of padding modules and a convolution.
        cap: Largest norm, above 0.
        size: Rows and columns of the image at which the norm is taken.

    Raises:
        TypeError: The module is not a two-dimensional convolution.
        ValueError: The cap is not above 0, or the size is too small for the layer.
    """
    if not cap > 0:
        raise ValueError(f"cap is {cap}; it must be above 0")
    layer = _convolution_of(module)
    was_training = layer.training
    parametrization = NormCap(conv_operator(module, size), cap).train()
    parametrize.register_parametrization(layer, "weight", parametrization)
    layer.train(was_training)


def register_norm_caps(module: nn.Module, cap: float, *, size: tuple[int, int] = SIZE) -> None:
    """Keep the norm of every `Conv2d` inside a module at or below a cap while it is trained.

    Each convolution is measured with its own padding; a padding module before it is not taken into account.

    Args:
        module: A network, or a part of one.
        cap: Largest norm, above 0.
        size: Rows and columns of the image at which norms are taken.

    Raises:
        ValueError: The cap is not above 0, or the size is too small for a layer.
    """
    for layer in find_convolutions(module).values():
        if isinstance(layer, nn.Conv2d):
            register_norm_cap(layer, cap, size=size)


def capped_weight(module: nn.Module, *, size: tuple[int, int] = SIZE) -> Tensor:
    """Return the weight that a capped convolution has without its cap; the module does not change.

    Following a norm through training may fall short of it by a little. Here the norm is bounded from above
    once more, and the weight is scaled down by what is missing: its norm is certified to be at most the cap.

    Args:
        module: The module that `register_norm_cap` was given, or a copy of it.
        size: The size that was given there.

    Raises:
        TypeError: The module has no cap.
    """
    twin = copy.deepcopy(module).train()  # following the norm changes the tracker's state
    layer = _convolution_of(twin)
    with torch.no_grad(), parametrize.cached():
        weight = layer.weight
        cap, upper = _norm_cap(layer).cap, norm_bounds(twin, size).upper
    return weight * (cap / upper if upper > cap else 1.0)


def state_dict_without_norm_caps(module: nn.Module, *, size: tuple[int, int] = SIZE) -> dict[str, Tensor]:
    """Return the state of a module as if its norm caps had been removed; the module does not change.

    Capped weights stand under their plain names ("conv.weight") and are those of `capped_weight`, certified
    to obey their caps. A module without caps gives its `state_dict`.

    Args:
        module: A network some of whose convolutions have caps, or a copy of one.
        size: The size that `register_norm_cap` was given.
    """
    capped = {
        f"{name}.weight" if name else "weight": capped_weight(layer, size=size)
        for name, layer in find_convolutions(module).items()
        if _find_norm_cap(layer) is not None
    }
    prefixes = tuple(f"{name.removesuffix('weight')}parametrizations.weight." for name in capped)
    rest = {name: tensor for name, tensor in module.state_dict().items() if not name.startswith(prefixes)}
    return rest | capped


def remove_norm_cap(module: nn.Module, *, size: tuple[int, int] = SIZE) -> None:
    """Turn the capped weight of a convolution into a plain parameter, `capped_weight`.

    This breaks copies of the module that were made while it had its cap: torch lets them share the class that
    it changes back. Use `capped_weight` or `state_dict_without_norm_caps` where such copies exist.

    Args:
        module: The module that `register_norm_cap` was given.
        size: The size that was given there.

    Raises:
        TypeError: The module has no cap.
    """
    weight = capped_weight(module, size=size)
    layer = _convolution_of(module)
    parametrize.remove_parametrizations(layer, "weight")
    layer.weight.data.copy_(weight)


def _norm_cap(layer: nn.Module) -> NormCap:
    found = _find_norm_cap(layer)
    if found is None:
        raise TypeError(f"{type(layer).__name__} has no norm cap")
    return found


def _find_norm_cap(layer: nn.Module) -> NormCap | None:
    chain = layer.parametrizations["weight"] if parametrize.is_parametrized(layer, "weight") else ()  # type: ignore[index]
    return next((each for each in chain if isinstance(each, NormCap)), None)


def _convolution_of(module: nn.Module) -> Convolution:
    layer = module[-1] if isinstance(module, nn.Sequential) else module
    if not isinstance(layer, Convolution):
        raise TypeError(f"{type(layer).__name__} is not a two-dimensional convolution")
    return layer
