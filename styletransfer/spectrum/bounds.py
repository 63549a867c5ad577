"""Intervals that contain the norm of a convolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from . import classical
from .krylov import lanczos
from .layers import conv_operator
from .operator import ConvOperator
from .packets import climb
from .survey import survey_symbol
from .torus import gram_eigenvalues, unpad, wrap, wrap_operator
from .twisted import upper_bound

Method = Literal[
    "auto", "dense", "twisted", "lanczos", "extension", "unfoldings", "taps", "hoelder", "gram", "tensor"
]

# "auto" takes the dense matrix where that is cheap, or as cheap as the symbols at a few dozen frequencies.
DENSE_SIDE = 512
DENSE_PIXELS = 4
DENSE_ENTRIES = 2**24
FAILURE = 1e-12  # probability that the random start of "lanczos" is too close to orthogonal
RANDOM_STEPS = 400
LOOK_EVERY = 5  # steps, at what is reached: the bound costs little, but more than nothing


@dataclass(frozen=True)
class Interval:
    """What is known of ||T||_2, the largest singular value of a convolution.

    Attributes:
        lower: A Rayleigh quotient of the convolution itself; 0 if the method gives none.
        upper: At least the norm, if certified.
        certified: Whether `upper` is a theorem about this layer at this size; else it is an estimate.
        method: That gave `upper`.
        failure_probability: 0 for a deterministic theorem. Else the theorem is that whatever the layer is,
            `upper` is too small for no more than this share of random starts.
    """

    lower: float
    upper: float
    certified: bool
    method: Method
    failure_probability: float = 0.0

    @property
    def width(self) -> float:
        """Relative to the upper end, 0..1; 0 for a zero layer."""
        return (self.upper - self.lower) / self.upper if self.upper > 0 else 0.0


def norm_bounds(
    module: nn.Module,
    input_size: Sequence[int],
    method: Method = "auto",
    *,
    tolerance: float = 0.01,
    seed: int = 0,
) -> Interval:
    """Bound the largest singular value of a convolutional layer from both sides.

    Args:
        module: A `Conv2d`, a `ConvTranspose2d` or a `Sequential` of padding modules and a `Conv2d`, of any
            stride, dilation, groups and padding; the bias is ignored.
        input_size: Rows and columns of the layer's input.
        method: Of the upper bound.
            "auto": "dense" for small layers, "twisted" where the padding allows it, "lanczos" else.
            "dense": the singular values of the matrix.
            "twisted": the symbol on the grid of a twisted circulant; zero padding, circular by whole outputs.
            "lanczos": Lanczos from a random start; any padding; fails with probability `FAILURE`.
            "extension": "twisted" of the extended image, times the norm of the extension; any padding,
                deterministic and loose.
            "unfoldings", "taps", "hoelder", "gram", "tensor": see `classical`; upper bound only.
        tolerance: Relative width at which "lanczos" stops, above 0.
        seed: Of the random start.

    Returns:
        The interval.

    Raises:
        TypeError: The module is no two-dimensional convolution.
        ValueError: The image is smaller than the kernel or the padding needs, the weight is not finite,
            or the method does not apply to the padding.

    Source: proofs in `twisted` (compression, pruning) and `krylov` (random start). Rounding is allowed for.
    """
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}; choose one of {', '.join(get_args(Method))}")
    operator = conv_operator(module, input_size).double()
    broken = int((~operator.weight.isfinite()).sum())
    if broken:
        raise ValueError(f"{broken} of {operator.weight.numel()} weights are NaN or infinite")
    chosen = _choose(operator) if method == "auto" else method
    largest = operator.weight.abs().max().item()
    if largest == 0:
        return Interval(0.0, 0.0, certified=True, method=chosen)
    # A power of two changes no digit, and keeps squares of tiny and huge weights in range.
    scale = 2.0 ** math.frexp(largest)[1]
    scaled = replace(operator, weight=operator.weight / scale)
    interval = _random_lanczos(scaled, tolerance, seed) if chosen == "lanczos" else METHODS[chosen](scaled)
    margin = operator.rounding
    return replace(
        interval, lower=interval.lower * scale * (1 - margin), upper=interval.upper * scale * (1 + margin)
    )


def _choose(operator: ConvOperator) -> Method:
    shapes = (operator.input_shape, operator.output_shape)
    smaller = min(shapes, key=math.prod)
    few = math.prod(smaller) <= DENSE_SIDE or math.prod(smaller[1:]) <= DENSE_PIXELS
    if few and math.prod(map(math.prod, shapes)) <= DENSE_ENTRIES:
        return "dense"
    return "lanczos" if None in map(wrap, operator.axes) else "twisted"


def _dense(operator: ConvOperator) -> Interval:
    matrix = operator.dense()
    norm = gram_eigenvalues(matrix)[-1].clamp_min(0).sqrt().item()
    margin = 4 * min(matrix.shape) ** 2 * torch.finfo(matrix.dtype).eps  # of a Gram matrix, in the worst case
    return Interval(norm * (1 - margin), norm * (1 + margin), certified=True, method="dense")


def _twisted(operator: ConvOperator) -> Interval:
    torus = wrap_operator(operator)
    survey = survey_symbol(torus)
    upper = upper_bound(torus, survey)
    exact = all(circle.exact for circle in torus.circles)
    lower = upper if exact else climb(torus, survey.peaks)[0][0]
    return Interval(lower, upper, certified=True, method="twisted")


def _extension(operator: ConvOperator) -> Interval:
    bare, gain = unpad(operator)
    torus = wrap_operator(bare)
    return Interval(0.0, gain * upper_bound(torus, survey_symbol(torus)), certified=True, method="extension")


def _random_lanczos(operator: ConvOperator, tolerance: float, seed: int) -> Interval:
    shape = min(operator.input_shape, operator.output_shape, key=math.prod)
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(shape, generator=generator, dtype=torch.float64).to(operator.weight)
    # The density of a coordinate t of a random direction in R^N is at most sqrt(N / 2 pi), so that
    # P(t^2 < w) <= sqrt(2 N w / pi).
    overlap = math.pi * FAILURE**2 / (2 * start.numel())
    lower, upper = 0.0, math.inf
    for step, space in enumerate(lanczos(operator, start, RANDOM_STEPS), start=1):
        if step % LOOK_EVERY == 0 or space.complete:
            lower, upper = math.sqrt(space.top()[0]), math.sqrt(space.upper_bound(overlap))
            if upper - lower <= tolerance * upper:
                break
    return Interval(lower, upper, certified=True, method="lanczos", failure_probability=FAILURE)


def _kernel_bound(
    method: Method, bound: Callable[[ConvOperator], Tensor]
) -> Callable[[ConvOperator], Interval]:
    def interval(operator: ConvOperator) -> Interval:
        bare, gain = unpad(operator)
        return Interval(0.0, gain * bound(bare).item(), certified=method != "tensor", method=method)

    return interval


def _hoelder(operator: ConvOperator) -> Interval:
    return Interval(0.0, classical.hoelder_bound(operator).item(), certified=True, method="hoelder")


METHODS: dict[Method, Callable[[ConvOperator], Interval]] = {
    "dense": _dense,
    "twisted": _twisted,
    "extension": _extension,
    "hoelder": _hoelder,
    "unfoldings": _kernel_bound("unfoldings", classical.unfolding_bound),
    "taps": _kernel_bound("taps", classical.tap_bound),
    "gram": _kernel_bound("gram", classical.gram_bound),
    "tensor": _kernel_bound("tensor", classical.tensor_bound),
}
