"""Scalar functions with their divided differences, the only calculus that matrix functions need.

The derivative of f(A) multiplies, in the eigenbasis of A, by f[a, b] = (f(a) - f(b)) / (a - b) (Daleckii and
Krein); the second derivative by f[a, b, c]. Written out for the square roots, neither subtracts anything:
repeated eigenvalues are no special case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class ScalarFunction(Protocol):
    """A function of eigenvalues with divided differences; arguments broadcast against each other."""

    def value(self, a: Tensor) -> Tensor:
        """Return f(a)."""

    def first(self, a: Tensor, b: Tensor) -> Tensor:
        """Return f[a, b]; f'(a) at b = a."""

    def second(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return f[a, b, c]; f''(a) / 2 at a = b = c."""


class SquareRoot:
    """f(a) = sqrt(a), a > 0."""

    def value(self, a: Tensor) -> Tensor:
        """Return sqrt(a)."""
        return a.sqrt()

    def first(self, a: Tensor, b: Tensor) -> Tensor:
        """Return 1 / (sqrt(a) + sqrt(b))."""
        return 1 / (a.sqrt() + b.sqrt())

    def second(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return -1 / ((sqrt a + sqrt b)(sqrt b + sqrt c)(sqrt a + sqrt c))."""
        r, s, t = a.sqrt(), b.sqrt(), c.sqrt()
        return -1 / ((r + s) * (s + t) * (r + t))


class InverseSquareRoot:
    """f(a) = 1 / sqrt(a), a > 0."""

    def value(self, a: Tensor) -> Tensor:
        """Return 1 / sqrt(a)."""
        return a.rsqrt()

    def first(self, a: Tensor, b: Tensor) -> Tensor:
        """Return -1 / (sqrt a sqrt b (sqrt a + sqrt b))."""
        r, s = a.sqrt(), b.sqrt()
        return -1 / (r * s * (r + s))

    def second(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return (r + s + t) / (r s t (r + s)(s + t)(r + t)) with r, s, t the square roots."""
        r, s, t = a.sqrt(), b.sqrt(), c.sqrt()
        return (r + s + t) / (r * s * t * (r + s) * (s + t) * (r + t))


class One:
    """f(a) = 1, which a cut turns into a projector."""

    def value(self, a: Tensor) -> Tensor:
        """Return 1."""
        return torch.ones_like(a)

    def first(self, a: Tensor, b: Tensor) -> Tensor:
        """Return 0."""
        return torch.zeros_like(a + b)

    def second(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return 0."""
        return torch.zeros_like(a + b + c)
