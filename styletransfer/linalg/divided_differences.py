"""Scalar functions with their divided differences: all the calculus that functions of matrices need.

The derivative of f(A) multiplies, in the eigenbasis of A, by f[a, b] = (f(a) - f(b)) / (a - b) (Daleckii and
Krein), the second derivative by f[a, b, c]. Written out for the square roots, neither subtracts anything:
repeated eigenvalues are no special case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor


class ScalarFunction(Protocol):
    """A function of eigenvalues with divided differences; arguments broadcast against each other."""

    def value(self, a: Tensor) -> Tensor:
        """Return f(a)."""

    def first(self, a: Tensor, b: Tensor) -> Tensor:
        """Return f[a, b], which is f'(a) at a = b."""

    def second(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return f[a, b, c], which is f''(a) / 2 at a = b = c."""


class SquareRoot:
    """f(a) = sqrt(a), a > 0."""

    def value(self, a: Tensor) -> Tensor:
        """Return sqrt(a)."""
        return a.sqrt()

    def first(self, a: Tensor, b: Tensor) -> Tensor:
        """Return 1 / (r + s) with r, s the roots."""
        return (a.sqrt() + b.sqrt()).reciprocal_()

    def second(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return -1 / ((r + s)(s + t)(r + t)) with r, s, t the roots."""
        r, s, t = a.sqrt(), b.sqrt(), c.sqrt()
        return -1 / ((r + s) * (s + t) * (r + t))


class InverseSquareRoot:
    """f(a) = 1 / sqrt(a), a > 0."""

    def value(self, a: Tensor) -> Tensor:
        """Return 1 / sqrt(a)."""
        return a.rsqrt()

    def first(self, a: Tensor, b: Tensor) -> Tensor:
        """Return -1 / (r s (r + s)) with r, s the roots."""
        r, s = a.sqrt(), b.sqrt()
        return (r + s).mul_(-r).mul_(s).reciprocal_()

    def second(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return (r + s + t) / (r s t (r + s)(s + t)(r + t)) with r, s, t the roots."""
        r, s, t = a.sqrt(), b.sqrt(), c.sqrt()
        return (r + s + t) / (r * s * t * (r + s) * (s + t) * (r + t))


class One:
    """f(a) = 1, which a cut through the spectrum turns into a projector."""

    def value(self, a: Tensor) -> Tensor:
        """Return 1."""
        return torch.ones_like(a)

    def first(self, a: Tensor, b: Tensor) -> Tensor:
        """Return 0."""
        return torch.zeros_like(a + b)

    def second(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return 0."""
        return torch.zeros_like(a + b + c)


class Smooth:
    """Any function in differentiable torch code, analytic where the eigenvalues are.

    Close arguments cancel in a quotient, so divided differences are integrals (Hermite, Genocchi) over 0..1:
    f[a, b] of f'(a + t (b - a)) dt, and f[a, b, c] of s f''(a + s (b - a + t (c - b))) dt ds.
    Where two Gauss rules disagree the arguments are far apart, and the quotient is accurate.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def value(self, a: Tensor) -> Tensor:
        """Return f(a)."""
        return self.function(a)

    def first(self, a: Tensor, b: Tensor) -> Tensor:
        """Return f[a, b]."""
        a, b = torch.broadcast_tensors(a, b)  # type: ignore[no-untyped-call]
        fine, coarse = (
            sum((w * self._derivative(a + t * (b - a), 1) for t, w in rule), torch.zeros_like(a))
            for rule in _RULES
        )
        gap = torch.where(a == b, 1, a - b)
        return torch.where(_agree(fine, coarse), fine, (self.value(a) - self.value(b)) / gap)

    def second(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return f[a, b, c]."""
        arguments: list[Tensor] = torch.broadcast_tensors(a, b, c)  # type: ignore[no-untyped-call]
        ordered = torch.stack(arguments).sort(0).values
        low, middle, high = ordered.unbind(0)  # the order is free, and the outer gap is the widest
        fine, coarse = (
            sum(
                (
                    w * s * v * self._derivative(low + s * (middle - low + t * (high - middle)), 2)
                    for s, w in rule
                    for t, v in rule
                ),
                torch.zeros_like(low),
            )
            for rule in _RULES
        )
        gap = torch.where(low == high, 1, high - low)
        quotient = (self.first(middle, high) - self.first(low, middle)) / gap
        return torch.where(_agree(fine, coarse), fine, quotient)

    def _derivative(self, a: Tensor, order: int) -> Tensor:
        with torch.enable_grad():
            point = a.detach().requires_grad_()
            value = self.function(point)
            for _ in range(order):
                (value,) = torch.autograd.grad(value.sum(), point, create_graph=True)
        return value.detach()


def _agree(fine: Tensor, coarse: Tensor) -> Tensor:
    return (fine - coarse).abs() <= 1e3 * torch.finfo(fine.dtype).eps * fine.abs()


# Nodes and weights of Gauss-Legendre quadrature on [0, 1] with six and five points.
_RULES = (
    (
        (0.03376524289842397, 0.08566224618958518),
        (0.16939530676686773, 0.18038078652406930),
        (0.38069040695840155, 0.23395696728634552),
        (0.61930959304159845, 0.23395696728634552),
        (0.83060469323313227, 0.18038078652406930),
        (0.96623475710157603, 0.08566224618958518),
    ),
    (
        (0.04691007703066800, 0.11846344252809454),
        (0.23076534494715845, 0.23931433524968324),
        (0.5, 0.28444444444444444),
        (0.76923465505284155, 0.23931433524968324),
        (0.95308992296933200, 0.11846344252809454),
    ),
)
