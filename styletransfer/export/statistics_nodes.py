"""Statistics of features and the maps between them, as nodes of a graph: whitening without eigenvalues.

ONNX has no eigendecomposition. Square roots of covariances are computed by Newton-Schulz iterations, which
take products of matrices only. With the regularization of the program, 20 of them in float32 reach it to a
fraction of a level.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..transfer.feature_transform import EMPTY_SHARE, EPS, LEAST_VARIANCE
from .graph_builder import GraphBuilder, Value

ITERATIONS = 20


class MeasuredMap(NamedTuple):
    """A map with its statistics.

    Attributes:
        shifted: Its values less `shift`, [C, N], so that no digits cancel where they vary little.
        shift: The mean up to rounding, [C, 1].
        rest: The mean of what was shifted, [C, 1].
        covariance: [C, C]; exactly zero where the values differ by rounding only.
        like: The map itself, [1, C, H, W].
    """

    shifted: Value
    shift: Value
    rest: Value
    covariance: Value
    like: Value

    @property
    def mean(self) -> Value:
        """The mean, [C]."""
        return (self.shift + self.rest).reshape(-1)

    def apply(self, matrix: Value, mean: Value | None = None) -> Value:
        """Map every pixel to matrix @ (x - own mean) + mean, [1, C, H, W]; no mean stands for zero."""
        moved = matrix @ self.rest
        offset = moved * -1.0 if mean is None else mean.reshape(-1, 1) - moved
        mapped = matrix @ self.shifted + offset
        return mapped.graph.add("Reshape", mapped, mapped.graph.add("Shape", self.like))


class Roots(NamedTuple):
    """Square root and inverse square root of a covariance, [C, C]; both are zero for a zero covariance."""

    root: Value
    inverse: Value


def measure_map(value: Value, channels: int) -> MeasuredMap:
    """Measure mean and covariance of a map [1, C, H, W]."""
    flat = value.reshape(channels, -1)
    shift = flat.mean(1)
    shifted = flat - shift
    rest = shifted.mean(1)
    count = flat.size(1).cast(np.float32)
    second = (shifted @ shifted.transpose(1, 0)) / count
    covariance = second - rest @ rest.transpose(1, 0)
    least = (shift * shift).sum() * LEAST_VARIANCE
    varies = _trace(covariance, channels) > least
    return MeasuredMap(shifted, shift, rest, covariance * varies.cast(np.float32), value)


def find_roots(covariance: Value, channels: int, eps: Value | float = EPS) -> Roots:
    """Find the square roots of a covariance whose eigenvalues are raised by eps times their mean.

    Source: Higham 2008, Functions of Matrices, (6.35), the coupled Newton-Schulz iteration.
    """
    graph = covariance.graph
    identity = graph.constant(np.eye(channels, dtype=np.float32))
    mean_eigenvalue = _trace(covariance, channels) / channels
    raised = covariance + identity * (mean_eigenvalue * eps)
    norm = graph.add("Sqrt", (raised * raised).sum())
    varies = norm > 0.0
    divisor = graph.add("Where", varies, norm, graph.constant(1.0))

    def iterate(inner: GraphBuilder, root: Value, inverse: Value) -> tuple[Value, Value]:
        step = inner.add("Sub", identity * 1.5, (inverse @ root) * 0.5)
        return root @ step, step @ inverse

    start = identity * varies.cast(np.float32)
    root, inverse = graph.loop(ITERATIONS, [raised / divisor, start], iterate)
    scale = graph.add("Sqrt", divisor)
    return Roots(root * scale, inverse / scale)


def find_color_root(covariance: Value) -> Value:
    """Find the square root of a style's covariance of colors, [3, 3].

    Where a style lacks a direction of color, as gray ones do, nothing is added to the eigenvalues, because
    that would tint the result; see `TransferTarget`. No eigenvalue is below a bound if the covariance less
    the bound has positive leading minors.
    """
    graph = covariance.graph
    bound = _trace(covariance, 3) * (EMPTY_SHARE / 3)
    lowered = covariance - graph.constant(np.eye(3, dtype=np.float32)) * bound
    # The minors are those of a matrix of trace near 1, so that none of them underflows.
    trace = _trace(covariance, 3)
    scale = graph.add("Where", trace > 0.0, trace, graph.constant(1.0))
    lowered = lowered / scale
    has_all = None
    for size in (1, 2, 3):
        minor = graph.add("Slice", lowered, graph.integers(0, 0), graph.integers(size, size))
        positive = graph.add("Det", minor) > 0.0
        has_all = positive if has_all is None else graph.add("And", has_all, positive)
    assert has_all is not None
    eps = graph.add("Where", has_all, graph.constant(EPS), graph.constant(0.0))
    return find_roots(covariance, 3, eps).root


def _trace(matrix: Value, channels: int) -> Value:
    return (matrix * matrix.graph.constant(np.eye(channels, dtype=np.float32))).sum()
