"""Reference gradient of whitening and coloring, in 80-bit arithmetic and with another algorithm.

An eigendecomposition only starts and preconditions an iterative refinement, whose residuals are computed in
extended precision. Sums over samples are exact: float32 values are split into halves of 12 bits, whose
products are exact in float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Extended = npt.NDArray[Any]  # np.longdouble
Double = npt.NDArray[np.float64]


class Gradients(NamedTuple):
    """Result and gradients of <cotangent, whitening_coloring(content, style)>, [C, N] each."""

    result: Double
    content: Double
    style: Double


def reference_gradients(content: Double, style: Double, cotangent: Double, eps: float) -> Gradients:
    """Return result and gradients for content, style and cotangent [C, N], float64 with float32 values."""
    mean_c, covariance_c = _moments(content)
    mean_s, covariance_s = _moments(style)
    root_c, root_s = _Root(_shift(covariance_c, eps)), _Root(_shift(covariance_s, eps))
    white = root_c.inverse()
    matrix = root_s.value @ white
    samples = content.shape[1]
    total = _sum(cotangent)
    grad_matrix = _product(cotangent, content) - np.outer(total, mean_c)
    grad_root_s = grad_matrix @ white
    grad_root_c = -white @ (root_s.value @ grad_matrix) @ white
    grad_s = _shift(root_s.solve(grad_root_s), eps) * (2 / np.longdouble(style.shape[1]))
    grad_c = _shift(root_c.solve(grad_root_c), eps) * (2 / np.longdouble(samples))
    centered_c, centered_s = content - _double(mean_c)[:, None], style - _double(mean_s)[:, None]
    from_mean = -_double(matrix.T @ total / samples)[:, None]
    return Gradients(
        _double(matrix) @ centered_c + _double(mean_s)[:, None],
        _double(matrix).T @ cotangent + _double(grad_c) @ centered_c + from_mean,
        _double(grad_s) @ centered_s + _double(total / style.shape[1])[:, None],
    )


class _Root:
    """The square root S of a positive definite matrix, refined to extended precision."""

    def __init__(self, matrix: Extended) -> None:
        eigenvalues, self.basis = np.linalg.eigh(_double(matrix))
        self.deviations = np.sqrt(np.maximum(eigenvalues, np.finfo(np.float64).eps * eigenvalues[-1]))
        self.value: Extended = ((self.basis * self.deviations) @ self.basis.T).astype(np.longdouble)
        for _ in range(2):
            self.value = self.value + self._solve_double(matrix - self.value @ self.value)

    def inverse(self) -> Extended:
        """Return S^(-1)."""
        start = (self.basis / self.deviations) @ self.basis.T
        value: Extended = start.astype(np.longdouble)
        for _ in range(2):
            residual = np.eye(len(value), dtype=np.longdouble) - self.value @ value
            value = value + start @ _double(residual)
        return (value + value.T) / 2

    def solve(self, right: Extended) -> Extended:
        """Return the solution Y of S Y + Y S = sym(right): from the gradient to S, the gradient to S^2."""
        right = (right + right.T) / 2
        solution: Extended = self._solve_double(right)
        for _ in range(2):
            product = self.value @ solution
            solution = solution + self._solve_double(right - product - product.T)
        return solution

    def _solve_double(self, right: Extended) -> Extended:
        rotated = self.basis.T @ _double(right) @ self.basis
        scaled = rotated / (self.deviations[:, None] + self.deviations[None, :])
        solution: Extended = (self.basis @ scaled @ self.basis.T).astype(np.longdouble)
        return (solution + solution.T) / 2


def _double(values: Extended) -> Double:
    return values.astype(np.float64)


def _moments(features: Double) -> tuple[Extended, Extended]:
    samples = np.longdouble(features.shape[1])
    mean = _sum(features) / samples
    return mean, _product(features, features) / samples - np.outer(mean, mean)


def _sum(features: Double) -> Extended:
    total: Extended = features.astype(np.longdouble).sum(1)
    return total


def _product(left: Double, right: Double) -> Extended:
    """Return left @ right^T, exactly for float32 values of similar magnitude."""
    parts = [(a @ b.T).astype(np.longdouble) for a in _split(left) for b in _split(right)]
    total: Extended = np.sum(parts, axis=0)
    return total


def _split(features: Double) -> tuple[Double, Double]:
    """Return the upper 12 bits, relative to the largest value of each row, and the remainder."""
    step = 2.0 ** (np.ceil(np.log2(np.abs(features).max(1, keepdims=True) + 1e-300)) - 12)
    upper = np.round(features / step) * step
    return upper, features - upper


def _shift(matrix: Extended, eps: float) -> Extended:
    shifted: Extended = matrix + eps * np.trace(matrix) / len(matrix) * np.eye(
        len(matrix), dtype=np.longdouble
    )
    return shifted
