"""The network's convolutions, made ready to be run: converted, and with what surrounds them folded in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import Kernel


def read_kernels(layers: nn.Module) -> list[Kernel]:
    """List the convolutions among some layers, in float64 on the CPU, channels last."""
    return [
        place_kernel(Kernel(layer.weight.detach(), bias.detach()), torch.float64, torch.device("cpu"))
        for layer in layers.children()
        if isinstance(layer, nn.Conv2d) and (bias := layer.bias) is not None
    ]


def fold_map(kernel: Kernel, matrix: Tensor, offset: Tensor) -> Kernel:
    """Put the affine map y = matrix x + offset of every pixel into the convolution that follows it.

    Exact, at the borders too: replicating pixels and mapping each of them commute.

    Args:
        kernel: Weight [out, in, 3, 3] and bias [out].
        matrix: [in, in].
        offset: [in].
    """
    weight = kernel.weight.permute(0, 2, 3, 1)  # [out, 3, 3, in], as it lies in memory
    bias = kernel.bias + (weight @ offset).sum((1, 2))
    return Kernel((weight @ matrix).permute(0, 3, 1, 2), bias)


def scale_inputs(kernel: Kernel, factor: float) -> Kernel:
    """Have a convolution take inputs that were multiplied by a factor before."""
    return Kernel(kernel.weight / factor, kernel.bias)


def scale_outputs(kernel: Kernel, factor: float) -> Kernel:
    """Have a convolution multiply its results by a factor."""
    return Kernel(kernel.weight * factor, kernel.bias * factor)


def place_kernel(kernel: Kernel, dtype: torch.dtype, device: torch.device) -> Kernel:
    """Bring a convolution to the type and the device it computes on, channels last."""
    weight = kernel.weight.to(dtype).to(device).contiguous(memory_format=torch.channels_last)
    return Kernel(weight, kernel.bias.to(dtype).to(device))
