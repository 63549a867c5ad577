"""A layer in a few numbers: what it can do to a signal, and how many directions it really uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .bounds import Interval, norm_bounds
from .distribution import Method, singular_values
from .layers import conv_operator

ENERGY = 0.9


@dataclass(frozen=True)
class LayerSummary:
    """The singular values of a layer, summarised.

    Attributes:
        norm: Bounds of the largest.
        values: All, descending, float64.
        stable_rank: Sum of their squares over the largest square.
        energy_rank: How many of the largest hold `ENERGY` of the sum of squares.
    """

    norm: Interval
    values: Tensor
    stable_rank: float
    energy_rank: int


def summarize_layer(
    module: nn.Module, input_size: Sequence[int], method: Method = "corrected"
) -> LayerSummary:
    """Summarise the singular values of a convolutional layer.

    Args:
        module: A `Conv2d`, a `ConvTranspose2d` or a `Sequential` of padding modules and a `Conv2d`.
        input_size: Rows and columns of the layer's input.
        method: Of the distribution, see `singular_values`.

    Raises:
        TypeError: The module is no two-dimensional convolution.
        ValueError: The image is smaller than the kernel or the padding needs.
    """
    norm = norm_bounds(module, input_size)
    values = singular_values(module, input_size, method)
    energy = values.square().cumsum(0)
    frobenius = conv_operator(module, input_size).double().frobenius_norm().item()
    return LayerSummary(
        norm=norm,
        values=values,
        stable_rank=(frobenius / norm.lower) ** 2 if norm.lower > 0 else 0.0,
        energy_rank=int(torch.searchsorted(energy, ENERGY * energy[-1])) + 1 if energy[-1] > 0 else 0,
    )
