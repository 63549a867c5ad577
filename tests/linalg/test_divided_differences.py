"""Divided differences against their definition in 50 digits."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import mpmath
import pytest
import torch

from styletransfer.linalg.divided_differences import (
    InverseSquareRoot,
    One,
    ScalarFunction,
    Smooth,
    SquareRoot,
)

POINTS = (1e-3, 0.5, 0.5 + 1e-9, 0.55, 1.0, 30.0)

FUNCTIONS: dict[str, tuple[ScalarFunction, Callable[[mpmath.mpf], mpmath.mpf], float]] = {
    "sqrt": (SquareRoot(), mpmath.sqrt, 1e-14),
    "rsqrt": (InverseSquareRoot(), lambda x: 1 / mpmath.sqrt(x), 1e-14),
    "one": (One(), lambda x: mpmath.mpf(1), 1e-14),
    "smooth sqrt": (Smooth(torch.sqrt), mpmath.sqrt, 1e-9),
    "smooth exp": (Smooth(torch.exp), mpmath.exp, 1e-9),
}


def exact_difference(function: Callable[[mpmath.mpf], mpmath.mpf], points: list[float]) -> mpmath.mpf:
    """The definition, with equal points moved apart by so little that 50 digits do not see it."""
    nodes = [mpmath.mpf(p) * (1 + i * mpmath.mpf(10) ** -40) for i, p in enumerate(points)]
    total = mpmath.mpf(0)
    for i, node in enumerate(nodes):
        product = mpmath.mpf(1)
        for j, other in enumerate(nodes):
            if j != i:
                product *= node - other
        total += function(node) / product
    return total


@pytest.mark.parametrize(("function", "exact", "tolerance"), FUNCTIONS.values(), ids=FUNCTIONS.keys())
@pytest.mark.parametrize("order", [0, 1, 2])
def test_against_the_definition(
    function: ScalarFunction, exact: Callable[[mpmath.mpf], mpmath.mpf], tolerance: float, order: int
) -> None:
    combinations = list(itertools.combinations_with_replacement(POINTS, order + 1))
    arguments = torch.tensor(combinations, dtype=torch.float64).unbind(1)
    found = (function.value, function.first, function.second)[order](*arguments)
    with mpmath.workdps(150):
        values = [float(exact_difference(exact, list(c))) for c in combinations]
    truth = torch.tensor(values, dtype=torch.float64)
    torch.testing.assert_close(found, truth, rtol=tolerance, atol=1e-15)


@pytest.mark.parametrize(
    "function", [SquareRoot(), InverseSquareRoot(), Smooth(torch.exp)], ids=lambda f: type(f).__name__
)
def test_symmetric_in_their_arguments(function: ScalarFunction) -> None:
    a, b, c = (torch.tensor([x], dtype=torch.float64) for x in (0.3, 1.1, 2.0))
    torch.testing.assert_close(function.first(a, b), function.first(b, a))
    for order in itertools.permutations((a, b, c)):
        torch.testing.assert_close(function.second(*order), function.second(a, b, c))


def test_a_smooth_function_may_be_undefined_between_far_points() -> None:
    """Quadrature meets NaN there and the quotient takes over."""
    function = Smooth(lambda x: torch.where(x.abs() > 1, x, torch.nan))
    found = function.first(torch.tensor([-2.0]), torch.tensor([2.0]))
    assert found.item() == 1.0
