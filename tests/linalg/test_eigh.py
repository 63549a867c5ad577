"""The robust gradient of `eigh`: the published formula, its known error, and the faults that are repaired."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from styletransfer.linalg import EighBackward, NumericalError, eigh, matrix_sqrt
from styletransfer.linalg.eigh import inverse_gaps

from .matrices import (
    CLUSTERS,
    DISTINCT,
    IDENTITY,
    gradient,
    random_features,
    relative_error,
    with_eigenvalues,
)

every_rule = pytest.mark.parametrize("backward", get_args(EighBackward))


@every_rule
@pytest.mark.parametrize("batch", [(), (3,), (2, 2)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_eigenvalues_are_in_descending_order(
    backward: EighBackward, batch: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> None:
    matrix = with_eigenvalues(DISTINCT).to(device, dtype).expand(*batch, 4, 4)
    eigenvalues, vectors = eigh(matrix, backward=backward)
    assert eigenvalues.shape == (*batch, 4)
    assert eigenvalues.dtype == vectors.dtype == dtype
    torch.testing.assert_close(eigenvalues, torch.tensor(DISTINCT).to(device, dtype).expand(*batch, 4))
    torch.testing.assert_close(
        (vectors * eigenvalues.unsqueeze(-2)) @ vectors.mT, matrix, rtol=1e-5, atol=1e-6
    )


def published_gradient(matrix: Tensor, grad_values: Tensor, grad_vectors: Tensor, degree: int) -> Tensor:
    """Return the gradient of Wang et al. 2021, computed entry by entry."""
    ascending, vectors = torch.linalg.eigh(matrix)
    values, vectors = ascending.flip(-1), vectors.flip(-1)
    size = len(values)
    k = torch.zeros(size, size, dtype=matrix.dtype)
    for i, j in itertools.product(range(size), repeat=2):
        if values[i] > values[j]:
            k[i, j] = sum((values[j] / values[i]) ** n for n in range(degree + 1)) / values[i]
            k[j, i] = -k[i, j]
    inner = k.mT * (vectors.mT @ grad_vectors) + torch.diag(grad_values)
    result: Tensor = vectors @ inner @ vectors.mT
    return (result + result.mT) / 2


@pytest.mark.parametrize("degree", [1, 9, 19])
def test_taylor_is_the_published_formula(degree: int, device: torch.device) -> None:
    matrix = with_eigenvalues(DISTINCT).to(device).requires_grad_()
    grad_values, grad_vectors = (
        random_features(1, 4, 1)[0, :, 0].to(device),
        random_features(1, 4, 4)[0].to(device),
    )
    eigenvalues, vectors = eigh(matrix, degree=degree)
    (found,) = torch.autograd.grad((eigenvalues, vectors), matrix, (grad_values, grad_vectors))
    truth = published_gradient(matrix.detach().cpu(), grad_values.cpu(), grad_vectors.cpu(), degree)
    assert relative_error(found, truth) < 1e-12


@pytest.mark.parametrize("degree", [1, 9, 19])
@pytest.mark.parametrize("function", [torch.sqrt, torch.rsqrt, torch.log], ids=lambda f: f.__name__)
def test_taylor_error_of_a_spectral_function(function: Callable[[Tensor], Tensor], degree: int) -> None:
    """The true factor of each pair is multiplied by exactly 1 - r^(K + 1)."""
    values = torch.tensor(DISTINCT, dtype=torch.float64)
    upstream = random_features(1, 4, 4)[0]
    upstream = upstream + upstream.mT
    gradients = {}
    rules: tuple[EighBackward, ...] = ("taylor", "exact")
    for backward in rules:
        matrix = torch.diag(values).requires_grad_()  # The eigenbasis is the standard basis.
        eigenvalues, vectors = eigh(matrix, backward=backward, degree=degree)
        gradients[backward] = gradient((vectors * function(eigenvalues)) @ vectors.mT, matrix, upstream)
    ratio = torch.minimum(values[:, None], values) / torch.maximum(values[:, None], values)
    share = torch.where(ratio == 1, 1, 1 - ratio ** (degree + 1))
    assert relative_error(gradients["taylor"], share * gradients["exact"]) < 1e-12


@every_rule
@pytest.mark.parametrize("eigenvalues", [CLUSTERS, IDENTITY, (2.0, 1.0, 0.0, 0.0), (0.0,) * 4], ids=str)
def test_inverse_gaps_are_antisymmetric_and_zero_at_equal_eigenvalues(
    backward: EighBackward, eigenvalues: tuple[float, ...]
) -> None:
    values = torch.tensor(eigenvalues, dtype=torch.float64)
    gaps = inverse_gaps(values, backward, 9)
    assert torch.isfinite(gaps).all()
    assert torch.equal(gaps, -gaps.mT)
    assert not gaps[values[:, None] == values].any()


def test_taylor_is_bounded_at_close_eigenvalues() -> None:
    degree = 9
    for gap in (1e-3, 1e-8, 1e-15):
        values = torch.tensor([1.0, 1.0 - gap, 0.5], dtype=torch.float64)
        gaps = inverse_gaps(values, "taylor", degree)
        assert gaps.abs().max() <= (degree + 1) * (1 + 1e-12)
        assert math.isclose(float(gaps[0, 1]), degree + 1, rel_tol=0.01)


def test_exact_clip_and_pade_rules() -> None:
    values = torch.tensor([1.0, 0.999, 0.5], dtype=torch.float64)
    exact = inverse_gaps(values, "exact", 9)
    torch.testing.assert_close(exact[0], torch.tensor([0.0, 1000.0, 2.0]).double())
    torch.testing.assert_close(inverse_gaps(values, "pade", 9), exact)
    torch.testing.assert_close(inverse_gaps(values, "clip", 9)[0], torch.tensor([0.0, 100.0, 2.0]).double())


@every_rule
def test_scale_of_the_matrix_scales_the_gradient(backward: EighBackward) -> None:
    """The published clamp at 1e-10 is absolute, and gives an error of 0.9 for features times 1e-8."""
    upstream, gradients = random_features(1, 4, 4)[0], []
    for scale in (1.0, 2.0**-54):
        matrix = (with_eigenvalues(DISTINCT) * scale).requires_grad_()
        eigenvalues, vectors = eigh(matrix, backward=backward)
        rebuilt = (vectors * (eigenvalues / scale).sqrt()) @ vectors.mT
        gradients.append(gradient(rebuilt, matrix, upstream) * scale)
    assert relative_error(gradients[1], gradients[0]) < 1e-12


def test_exact_rule_is_exact_for_separate_eigenvalues() -> None:
    def loss(matrix: Tensor) -> tuple[Tensor, Tensor]:
        eigenvalues, vectors = eigh(matrix, backward="exact")
        return eigenvalues, vectors.abs()  # The sign of an eigenvector is arbitrary.

    matrix = with_eigenvalues(DISTINCT).requires_grad_()
    assert gradcheck(loss, matrix)
    assert gradgradcheck(loss, matrix)


@every_rule
def test_rebuilt_roots_approach_the_exact_gradient(backward: EighBackward) -> None:
    a, b = (with_eigenvalues((4.0, 1.0, 0.25, 0.0625)).requires_grad_() for _ in range(2))
    eigenvalues, vectors = eigh(a, backward=backward)
    upstream = random_features(1, 4, 4)[0]
    found = gradient((vectors * eigenvalues.sqrt()) @ vectors.mT, a, upstream)
    assert relative_error(found, gradient(matrix_sqrt(b), b, upstream)) < (
        1e-5 if backward == "taylor" else 1e-12
    )


def test_invalid_input_raises() -> None:
    with pytest.raises(NumericalError, match="NaN"):
        eigh(torch.full((2, 2), torch.nan))
    with pytest.raises(ValueError, match="square"):
        eigh(torch.ones(2, 3))
    with pytest.raises(ValueError, match="taylor, exact, clip, pade"):
        eigh(torch.eye(2), backward="tailor")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="degree"):
        eigh(torch.eye(2), degree=0)


@every_rule
@pytest.mark.parametrize("eigenvalues", [(1.0, 0.5, -0.1), (1e-16, -1.0, -2.0), (-1.0, -1.0, -1.0)], ids=str)
def test_indefinite_matrix_raises(backward: EighBackward, eigenvalues: tuple[float, ...]) -> None:
    matrix = torch.stack([torch.eye(3).double(), with_eigenvalues(eigenvalues)])
    with pytest.raises(NumericalError, match=r"indefinite.*positive semi-definite"):
        eigh(matrix, backward=backward)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_negative_eigenvalues_from_rounding_are_accepted(dtype: torch.dtype) -> None:
    features = random_features(1, 64, 8)[0].float()
    covariance = (features @ features.mT).to(dtype).requires_grad_()  # rank 8, rounded to float32
    eigenvalues, vectors = eigh(covariance)
    assert eigenvalues[-1] < 0
    assert torch.isfinite(gradient(vectors[:, 0], covariance)).all()
    assert not eigh(torch.zeros(3, 3))[0].any()
