"""Divided differences, compared with their definition in 50 digits."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import mpmath
import pytest
import torch

from styletransfer.linalg.divided_differences import (
    AnalyticFunction,
    ConstantOne,
    InverseSquareRoot,
    ScalarFunction,
    SquareRoot,
)

POINTS = (1e-3, 0.5, 0.5 + 1e-9, 0.55, 1.0, 30.0)

FUNCTIONS: dict[str, tuple[ScalarFunction, Callable[[mpmath.mpf], mpmath.mpf], float]] = {
    "sqrt": (SquareRoot(), mpmath.sqrt, 1e-14),
    "rsqrt": (InverseSquareRoot(), lambda x: 1 / mpmath.sqrt(x), 1e-14),
    "one": (ConstantOne(), lambda x: mpmath.mpf(1), 1e-14),
    "analytic sqrt": (AnalyticFunction(torch.sqrt), mpmath.sqrt, 1e-9),
    "analytic exp": (AnalyticFunction(torch.exp), mpmath.exp, 1e-9),
}


def exact_difference(function: Callable[[mpmath.mpf], mpmath.mpf], points: list[float]) -> mpmath.mpf:
    """Return the definition, with equal points moved apart by less than 50 digits resolve."""
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
    found = (function.value, function.first_difference, function.second_difference)[order](*arguments)
    with mpmath.workdps(150):
        values = [float(exact_difference(exact, list(c))) for c in combinations]
    truth = torch.tensor(values, dtype=torch.float64)
    torch.testing.assert_close(found, truth, rtol=tolerance, atol=1e-15)


@pytest.mark.parametrize(
    "function",
    [SquareRoot(), InverseSquareRoot(), AnalyticFunction(torch.exp)],
    ids=lambda function: type(function).__name__,
)
def test_symmetric_in_their_arguments(function: ScalarFunction) -> None:
    a, b, c = (torch.tensor([x], dtype=torch.float64) for x in (0.3, 1.1, 2.0))
    torch.testing.assert_close(function.first_difference(a, b), function.first_difference(b, a))
    for order in itertools.permutations((a, b, c)):
        torch.testing.assert_close(function.second_difference(*order), function.second_difference(a, b, c))


def test_function_may_be_undefined_between_distant_points() -> None:
    """The quadrature gives NaN, so the quotient is used."""
    function = AnalyticFunction(lambda x: torch.where(x.abs() > 1, x, torch.nan))
    found = function.first_difference(torch.tensor([-2.0]), torch.tensor([2.0]))
    assert found.item() == 1.0
