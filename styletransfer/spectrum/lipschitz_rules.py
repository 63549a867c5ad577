"""Lipschitz constants of every operation that a network may contain beside convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Operation:
    """One step of a network that maps one tensor to another.

    Attributes:
        kind: Class of the module, or the function.
        call: The operation with all other arguments bound.
        options: Attributes of the module, or keywords of the function.
        shape: Shape of the input.
    """

    kind: object
    call: Callable[[Tensor], Tensor]
    options: Mapping[str, Any]
    shape: torch.Size


def operation_bound(operation: Operation) -> float:
    """Bound the Lipschitz constant of an operation in the Euclidean norm.

    Raises:
        ValueError: No rule is known for the operation.
    """
    rule = RULES.get(operation.kind)
    if rule is None:
        name = getattr(operation.kind, "__name__", str(operation.kind))
        raise ValueError(
            f"no Lipschitz bound is known for {name}; give the part of the network without it"
        )
    return rule if isinstance(rule, float) else rule(operation)


def batch_scale(norm: nn.BatchNorm2d) -> Tensor:
    """Return the factors by which batch normalization multiplies the channels in evaluation mode, [C]."""
    if norm.training or norm.running_var is None:
        raise ValueError("batch normalization has no Lipschitz bound in training mode; call .eval() first")
    scale = (norm.running_var + norm.eps).rsqrt()
    return scale if norm.weight is None else scale * norm.weight


def _batch_norm(operation: Operation) -> float:
    norm = operation.call
    assert isinstance(norm, nn.BatchNorm2d)
    largest: float = batch_scale(norm).abs().max().item()
    return largest


def _linear(operation: Operation) -> float:
    weight: Tensor = operation.options["weight"].detach().double()
    return float(torch.linalg.matrix_norm(weight, 2))


def _leaky_relu(operation: Operation) -> float:
    slope: float = operation.options["negative_slope"]
    return max(1.0, abs(slope))


def _averaging(operation: Operation) -> float:
    """Bound a linear map A of each channel with non-negative entries: sqrt(||A||_1 ||A||_inf)."""
    if operation.options.get("mode") in {"bicubic", "trilinear"}:
        raise ValueError("no Lipschitz bound is known for bicubic interpolation")
    ones = torch.ones(1, 1, *operation.shape[2:], dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        rows = operation.call(ones)
        (columns,) = torch.autograd.grad(rows.sum(), ones)
    bound: float = (rows.detach().max() * columns.max()).sqrt().item()
    return bound


def _max_pool(operation: Operation) -> float:
    """Bound max pooling by the root of the number of windows that a pixel lies in."""
    kernel = _pair(operation.options["kernel_size"])
    stride = _pair(operation.options.get("stride") or kernel)
    dilation = _pair(operation.options.get("dilation") or 1)
    windows = [math.ceil(k / s) if d == 1 else k for k, s, d in zip(kernel, stride, dilation, strict=True)]
    return math.sqrt(math.prod(windows))


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


# The constant of an activation, which acts on each number alone, is its largest slope.
RULES: dict[object, float | Callable[[Operation], float]] = {
    nn.Identity: 1.0,
    nn.Flatten: 1.0,
    nn.Dropout: 1.0,  # in evaluation mode
    nn.Dropout2d: 1.0,
    nn.ReLU: 1.0,
    nn.ReLU6: 1.0,
    nn.ELU: 1.0,
    nn.Hardtanh: 1.0,
    nn.Tanh: 1.0,
    nn.Sigmoid: 0.25,
    nn.SiLU: 1.1,  # 1.0998 at 2.3994
    nn.GELU: 1.13,  # 1.1289 at 1.4142
    nn.LeakyReLU: _leaky_relu,
    nn.BatchNorm2d: _batch_norm,
    nn.Linear: _linear,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _averaging,
    nn.AdaptiveAvgPool2d: _averaging,
    nn.Upsample: _averaging,
    nn.UpsamplingNearest2d: _averaging,
    nn.ZeroPad2d: _averaging,
    nn.ReflectionPad2d: _averaging,
    nn.ReplicationPad2d: _averaging,
    nn.CircularPad2d: _averaging,
    functional.relu: 1.0,
    functional.dropout: 1.0,
    torch.relu: 1.0,
    torch.sigmoid: 0.25,
    torch.tanh: 1.0,
    torch.flatten: 1.0,
    functional.max_pool2d: _max_pool,
    functional.avg_pool2d: _averaging,
    functional.adaptive_avg_pool2d: _averaging,
    functional.interpolate: _averaging,
    "relu": 1.0,
    "flatten": 1.0,
}
