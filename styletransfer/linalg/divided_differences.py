"""Divided differences of scalar functions, from which the derivatives of matrix functions are built.

The derivative of a matrix function f(A) multiplies by f[a, b] = (f(a) - f(b)) / (a - b) in the eigenbasis of
A (Daleckii and Krein), and the second derivative multiplies by f[a, b, c]. For the square roots these
quotients simplify to expressions without any subtraction, so repeated eigenvalues are no special case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from .function_transforms import values_are_available


class ScalarFunction(Protocol):
    """A scalar function with its divided differences. Arguments broadcast against each other."""

    def value(self, a: Tensor) -> Tensor:
        """Return f(a)."""

    def first_difference(self, a: Tensor, b: Tensor) -> Tensor:
        """Return f[a, b] = (f(a) - f(b)) / (a - b), which is f'(a) at a = b."""

    def second_difference(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return f[a, b, c] = (f[a, b] - f[b, c]) / (a - c), which is f''(a) / 2 at a = b = c."""


class SquareRoot:
    """The function f(a) = sqrt(a) for a > 0."""

    def value(self, a: Tensor) -> Tensor:
        """Return sqrt(a)."""
        return a.sqrt()

    def first_difference(self, a: Tensor, b: Tensor) -> Tensor:
        """Return 1 / (r + s), where r and s are the square roots of the arguments."""
        return (a.sqrt() + b.sqrt()).reciprocal_()

    def second_difference(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return -1 / ((r + s)(s + t)(r + t)), where r, s and t are the square roots of the arguments."""
        r, s, t = a.sqrt(), b.sqrt(), c.sqrt()
        return -1 / ((r + s) * (s + t) * (r + t))


class InverseSquareRoot:
    """The function f(a) = 1 / sqrt(a) for a > 0."""

    def value(self, a: Tensor) -> Tensor:
        """Return 1 / sqrt(a)."""
        return a.rsqrt()

    def first_difference(self, a: Tensor, b: Tensor) -> Tensor:
        """Return -1 / (r s (r + s)), where r and s are the square roots of the arguments."""
        r, s = a.sqrt(), b.sqrt()
        return (r + s).mul_(-r).mul_(s).reciprocal_()

    def second_difference(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return (r + s + t) / (r s t (r + s)(s + t)(r + t)), where r, s and t are the square roots."""
        r, s, t = a.sqrt(), b.sqrt(), c.sqrt()
        return (r + s + t) / (r * s * t * (r + s) * (s + t) * (r + t))


class ConstantOne:
    """The function f(a) = 1. Truncated to the largest eigenvalues it gives an orthogonal projector."""

    def value(self, a: Tensor) -> Tensor:
        """Return 1."""
        return torch.ones_like(a)

    def first_difference(self, a: Tensor, b: Tensor) -> Tensor:
        """Return 0."""
        return torch.zeros_like(a + b)

    def second_difference(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return 0."""
        return torch.zeros_like(a + b + c)


class AnalyticFunction:
    """A function given as differentiable torch code, analytic on the range of the eigenvalues.

    The quotients lose all digits where arguments are close. There, divided differences are computed as
    integrals over t and s in [0, 1] (Hermite and Genocchi) by Gauss-Legendre quadrature:
    f[a, b] = int f'(a + t (b - a)) dt and f[a, b, c] = int int s f''(a + s (b - a + t (c - b))) dt ds.
    Where two quadrature rules disagree, the arguments are far apart and the quotient is accurate.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def value(self, a: Tensor) -> Tensor:
        """Return f(a)."""
        return self.function(a)

    def first_difference(self, a: Tensor, b: Tensor) -> Tensor:
        """Return f[a, b]."""
        a, b = torch.broadcast_tensors(a, b)  # type: ignore[no-untyped-call]
        fine, coarse = (
            sum((w * self._derivative(a + t * (b - a), 1) for t, w in rule), torch.zeros_like(a))
            for rule in _GAUSS_LEGENDRE_RULES
        )
        gap = torch.where(a == b, 1, a - b)
        return torch.where(_agree(fine, coarse), fine, (self.value(a) - self.value(b)) / gap)

    def second_difference(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return f[a, b, c]."""
        arguments: list[Tensor] = torch.broadcast_tensors(a, b, c)  # type: ignore[no-untyped-call]
        # The order of the arguments does not matter, and sorting makes the gap of the quotient the widest.
        low, middle, high = torch.stack(arguments).sort(0).values.unbind(0)
        fine, coarse = (
            sum(
                (
                    w * s * v * self._derivative(low + s * (middle - low + t * (high - middle)), 2)
                    for s, w in rule
                    for t, v in rule
                ),
                torch.zeros_like(low),
            )
            for rule in _GAUSS_LEGENDRE_RULES
        )
        gap = torch.where(low == high, 1, high - low)
        quotient = (self.first_difference(middle, high) - self.first_difference(low, middle)) / gap
        return torch.where(_agree(fine, coarse), fine, quotient)

    def _derivative(self, a: Tensor, order: int) -> Tensor:
        with torch.enable_grad():
            point = a.detach().requires_grad_()
            value = self.function(point)
            for _ in range(order):
                (value,) = torch.autograd.grad(value.sum(), point, create_graph=True)
        return value.detach()


def truncated_first_difference(
    function: ScalarFunction, a: Tensor, b: Tensor, kept_a: Tensor, kept_b: Tensor
) -> Tensor:
    """Return f[a, b] of a function that is set to 0 on the arguments that are not kept.

    Between a kept and a removed argument the gap a - b is not zero, so the quotient is used there.
    """
    same = kept_a == kept_b
    safe_a, safe_b = torch.where(kept_a, a, 1), torch.where(kept_b, b, 1)
    jump = kept_a * function.value(safe_a) - kept_b * function.value(safe_b)
    inside = kept_a * function.first_difference(safe_a, safe_b)
    return torch.where(same, inside, jump / torch.where(same, 1, a - b))


def truncated_second_difference(
    function: ScalarFunction, arguments: tuple[Tensor, Tensor, Tensor], kept: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Return f[a, b, c] of a function that is set to 0 on the arguments that are not kept.

    Args:
        function: The function before the truncation.
        arguments: a, b and c; b runs through all arguments that there are.
        kept: Masks of the arguments that are kept.
    """
    (a, b, c), (kept_a, kept_b, kept_c) = arguments, kept
    safe = [torch.where(mask, x, 1) for x, mask in zip(arguments, kept, strict=True)]
    inside = (kept_a & kept_b & kept_c) * function.second_difference(*safe)
    if all_true(kept_b):  # Nothing is removed, because b runs through all arguments.
        return inside
    ab = truncated_first_difference(function, a, b, kept_a, kept_b)
    bc = truncated_first_difference(function, b, c, kept_b, kept_c)
    ac = truncated_first_difference(function, a, c, kept_a, kept_c)
    # A quotient over the gap between a kept and a removed argument, where there is one.
    over_ac = (ab - bc) / torch.where(kept_a == kept_c, 1, a - c)
    over_ab = (ac - bc) / torch.where(kept_a == kept_b, 1, a - b)
    return torch.where(kept_a != kept_c, over_ac, torch.where(kept_a != kept_b, over_ab, inside))


def all_true(mask: Tensor) -> bool:
    """Return whether all values of a mask are known to be True."""
    return values_are_available(mask) and bool(mask.all())


def _agree(fine: Tensor, coarse: Tensor) -> Tensor:
    return (fine - coarse).abs() <= 1e3 * torch.finfo(fine.dtype).eps * fine.abs()


# Nodes and weights of Gauss-Legendre quadrature on [0, 1], with six and with five points.
_GAUSS_LEGENDRE_RULES = (
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
