"""Lipschitz constants of the operations that a network may contain beside convolutions.

Only what is listed here is known. An operation, or an argument of one, that is not listed has no bound.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .symbol import as_pair

CONVOLUTIONS = {nn.Conv2d, nn.ConvTranspose2d}
# Operations on two values, and the names of the methods that do the same.
SUMS = {operator.add, operator.iadd, torch.add, "add", "add_"}
DIFFERENCES = {operator.sub, operator.isub, torch.sub, "sub", "sub_"}
PRODUCTS = {operator.mul, operator.imul, torch.mul, "mul", "mul_"}
QUOTIENTS = {operator.truediv, operator.itruediv, torch.div, "div", "div_"}
CONCATENATIONS = {torch.cat, torch.concat, torch.stack}
# What these read is the same for all inputs of one size.
SHAPE_ATTRIBUTES = {"shape", "ndim", "dtype", "device"}
SHAPE_METHODS = {"size", "dim", "ndimension", "numel"}


@dataclass(frozen=True)
class Operation:
    """One step of a network that maps one tensor to another.

    Attributes:
        kind: Class of the module, the function, or the name of the method.
        call: The operation with all other arguments bound.
        options: Attributes of the module, or all other arguments by name.
        shape: Shape of the input.
    """

    kind: object
    call: Callable[[Tensor], Tensor]
    options: Mapping[str, Any]
    shape: torch.Size


def find_rule(kind: object) -> float | Callable[[Operation], float]:
    """Return the rule of a module's class, a function or the name of a method.

    Raises:
        ValueError: No rule is known for it.
    """
    rule = RULES.get(kind)
    if rule is None:
        raise ValueError(
            f"no Lipschitz bound is known for {name_of(kind)}; give the part of the network without it"
        )
    return rule


def operation_bound(operation: Operation) -> float:
    """Bound the Lipschitz constant of an operation in the Euclidean norm.

    Raises:
        ValueError: No rule is known for the operation.
    """
    rule = find_rule(operation.kind)
    return rule if isinstance(rule, float) else rule(operation)


def name_of(operation: object) -> str:
    """Return the name of a function or a class, or of a method that is given by its name."""
    return str(getattr(operation, "__name__", operation))


def check_evaluation_mode(model: nn.Module) -> None:
    """Check that a network is a function of its input alone, as far as its modules tell.

    Raises:
        ValueError: A module depends on the batch, on random numbers or on earlier calls, or a hook or another
            `forward` changes what a module of torch computes.
    """
    for name, module in model.named_modules():
        label = f"{name or 'the network'} ({type(module).__name__})"
        changing = isinstance(
            module, nn.modules.batchnorm._NormBase | nn.modules.dropout._DropoutNd | nn.RReLU
        )
        if module.training and (changing or hasattr(module, "parametrizations")):
            raise ValueError(f"{label} has no Lipschitz bound in training mode; call .eval() first")
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_var is None:
            raise ValueError(f"{label} uses the statistics of its input, so it has no Lipschitz bound")
        of_torch = type(module).__module__.startswith("torch.")
        methods = [name for name in vars(module) if callable(getattr(type(module), name, None))]
        replaced = methods if of_torch else "forward" in methods
        if module._forward_hooks or module._forward_pre_hooks or replaced:
            raise ValueError(f"{label} has hooks or replaced methods, which a traced network does not show")


def plain_type(module: nn.Module | None) -> type | None:
    """Return the type of a module, without the class that a parametrization puts in its place."""
    return type(module).__base__ if hasattr(module, "parametrizations") else type(module)


def batch_scale(norm: nn.BatchNorm2d) -> Tensor:
    """Return the factors by which batch normalization multiplies the channels in evaluation mode, [C]."""
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    return scale if norm.weight is None else scale * norm.weight.detach()


def _batch_norm(operation: Operation) -> float:
    norm = operation.call
    assert isinstance(norm, nn.BatchNorm2d)
    largest: float = batch_scale(norm).abs().max().item()
    return largest


def _linear(operation: Operation) -> float:
    weight: Tensor = operation.options["weight"].detach().double()
    margin = 4 * max(weight.shape) * torch.finfo(weight.dtype).eps  # of the singular value decomposition
    return float(torch.linalg.matrix_norm(weight, 2)) * (1 + margin)


def _leaky_relu(operation: Operation) -> float:
    slope: float = operation.options["negative_slope"]
    return max(1.0, abs(slope))


def _elu(operation: Operation) -> float:
    alpha: float = operation.options["alpha"]
    return max(1.0, abs(alpha))


def _dropout(operation: Operation) -> float:
    if operation.options["training"]:
        raise ValueError("dropout has no Lipschitz bound in training mode; pass training=False")
    return 1.0


def _selection(operation: Operation) -> float:
    """Allow basic indexing, which reads no number twice."""
    index = operation.options["index"]
    parts = index if isinstance(index, tuple) else (index,)
    if not all(part is None or part is Ellipsis or type(part) in {int, slice} for part in parts):
        raise ValueError("no Lipschitz bound is known for indices other than integers and slices")
    return 1.0


def _averaging(operation: Operation) -> float:
    """Bound a linear map A of each channel, with entries of one sign: sqrt(||A||_1 ||A||_inf)."""
    if operation.options.get("mode", "nearest") not in {"nearest", "nearest-exact", "bilinear", "area"}:
        raise ValueError(f"no Lipschitz bound is known for {operation.options['mode']} interpolation")
    _check_batch_of_images(operation)
    ones = torch.ones(1, 1, *operation.shape[2:], dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        rows = operation.call(ones)
        (columns,) = torch.autograd.grad(rows.sum(), ones)
    bound: float = (rows.detach().abs().max() * columns.abs().max()).sqrt().item()
    return bound


def _max_pool(operation: Operation) -> float:
    """Bound max pooling by the root of the number of windows that a pixel lies in."""
    _check_batch_of_images(operation)
    kernel = as_pair(operation.options["kernel_size"])
    stride = as_pair(operation.options.get("stride") or kernel)
    dilation = as_pair(operation.options.get("dilation") or 1)
    windows = [math.ceil(k / s) if d == 1 else k for k, s, d in zip(kernel, stride, dilation, strict=True)]
    return math.sqrt(math.prod(windows))


def _check_batch_of_images(operation: Operation) -> None:
    if len(operation.shape) != 4:
        raise ValueError(f"{name_of(operation.kind)} of a tensor {list(operation.shape)}, not [B, C, H, W]")


# The constant of an activation, which acts on each number alone, is its largest slope.
RULES: dict[object, float | Callable[[Operation], float]] = {
    nn.Identity: 1.0,
    nn.Flatten: 1.0,
    nn.Dropout: 1.0,  # in evaluation mode
    nn.Dropout2d: 1.0,
    nn.ReLU: 1.0,
    nn.ReLU6: 1.0,
    nn.ELU: _elu,
    nn.Hardtanh: 1.0,
    nn.Tanh: 1.0,
    nn.Sigmoid: 0.25,
    nn.SiLU: 1.1,  # 1.0998 at 2.3994
    nn.GELU: 1.13,  # 1.1289 at 1.4142; 1.1290 for the approximation by tanh
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
    functional.leaky_relu: _leaky_relu,
    functional.dropout: _dropout,
    torch.relu: 1.0,
    torch.sigmoid: 0.25,
    torch.tanh: 1.0,
    torch.flatten: 1.0,
    operator.neg: 1.0,
    operator.getitem: _selection,
    functional.max_pool2d: _max_pool,
    functional.avg_pool2d: _averaging,
    functional.adaptive_avg_pool2d: _averaging,
    functional.interpolate: _averaging,
    "relu": 1.0,
    "sigmoid": 0.25,
    "tanh": 1.0,
    "flatten": 1.0,
    "view": 1.0,
    "reshape": 1.0,
    "permute": 1.0,
    "contiguous": 1.0,
}
