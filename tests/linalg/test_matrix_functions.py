"""Functions of matrices: tests that all operations share, followed by tests of each operation."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from styletransfer.linalg import (
    NumericalError,
    inverse_sqrt,
    matrix_sqrt,
    newton_schulz_roots,
    spectral_function,
    spectral_projector,
)

from .matrices import (
    CLUSTERS,
    DISTINCT,
    SPECTRA,
    exact_gradient,
    exact_matrix,
    exact_root,
    exact_sum,
    gradient,
    random_features,
    relative_error,
    with_eigenvalues,
)

Operation = Callable[[Tensor], Tensor]

OPERATIONS: dict[str, Operation] = {
    "sqrt": matrix_sqrt,
    "inverse sqrt": inverse_sqrt,
    "sqrt + eps": lambda a: matrix_sqrt(a, eps=0.1),
    "inverse sqrt + eps": lambda a: inverse_sqrt(a, eps=0.1),
    "exp": lambda a: spectral_function(a, torch.exp),
    "newton-schulz root": lambda a: newton_schulz_roots(a)[0],
    "newton-schulz inverse": lambda a: newton_schulz_roots(a)[1],
}
every_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
every_spectrum = pytest.mark.parametrize("eigenvalues", SPECTRA.values(), ids=SPECTRA.keys())


@every_operation
@pytest.mark.parametrize("batch", [(), (2,), (2, 3), (0,)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_shape_dtype_and_device_are_kept(
    operation: Operation, batch: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> None:
    matrix = with_eigenvalues(DISTINCT).to(device, dtype).expand(*batch, 4, 4)
    result = operation(matrix)
    assert result.shape == matrix.shape
    assert result.dtype == dtype
    assert result.device.type == device.type
    assert torch.isfinite(result).all()


@every_operation
def test_a_batch_equals_its_members(operation: Operation, device: torch.device) -> None:
    members = [with_eigenvalues(DISTINCT, seed=i).to(device) * 10.0**i for i in range(-2, 1)]
    together = operation(torch.stack(members))
    apart = torch.stack([operation(member) for member in members])
    torch.testing.assert_close(together, apart, rtol=1e-12, atol=1e-12)


@every_operation
@every_spectrum
def test_first_and_second_derivatives(
    operation: Operation, eigenvalues: tuple[float, ...], device: torch.device
) -> None:
    matrix = with_eigenvalues(eigenvalues).to(device).requires_grad_()
    assert gradcheck(operation, matrix)
    # The quadrature of a general function is slow, so only one random direction is tested.
    assert gradgradcheck(operation, matrix, fast_mode=operation is OPERATIONS["exp"])


@every_operation
def test_only_the_symmetric_part_counts(operation: Operation) -> None:
    matrix = with_eigenvalues(DISTINCT)
    skew = random_features(1, 4, 4)[0]
    result = operation(matrix + skew - skew.mT)
    torch.testing.assert_close(result, operation(matrix), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(result, result.mT)


@every_operation
def test_permuting_channels_commutes(operation: Operation) -> None:
    matrix, order = with_eigenvalues(CLUSTERS), torch.tensor([2, 0, 3, 1])
    permuted = operation(matrix[order][:, order])
    torch.testing.assert_close(permuted, operation(matrix)[order][:, order], rtol=1e-12, atol=1e-12)


@every_operation
def test_float32_is_near_float64(operation: Operation) -> None:
    matrix, upstream = with_eigenvalues(CLUSTERS), random_features(1, 4, 4)[0]
    results = []
    for dtype in (torch.float64, torch.float32):
        point = matrix.to(dtype).requires_grad_()
        value = operation(point)
        results.append((value.detach(), gradient(value, point, upstream.to(dtype))))
    for exact, single in zip(*results, strict=True):
        assert relative_error(single, exact) < 2e-6


@every_operation
def test_nonfinite_matrix_raises(operation: Operation) -> None:
    matrix = with_eigenvalues(DISTINCT).repeat(2, 1, 1)
    matrix[1, 2, 3] = torch.nan
    with pytest.raises(NumericalError, match=r"NaN"):
        operation(matrix)


@every_operation
@pytest.mark.parametrize("bad", [torch.eye(3)[:2], torch.ones(3), torch.eye(2, dtype=torch.int64)], ids=str)
def test_non_square_matrix_raises(operation: Operation, bad: Tensor) -> None:
    with pytest.raises(ValueError, match="square"):
        operation(bad)


@every_operation
def test_autocast_does_not_lower_the_precision(operation: Operation) -> None:
    matrix = with_eigenvalues(DISTINCT).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = operation(matrix)
    assert torch.equal(result, operation(matrix))


@pytest.mark.parametrize("eigenvalues", [DISTINCT, CLUSTERS], ids=["distinct", "clusters"])
def test_roots_are_roots(eigenvalues: tuple[float, ...]) -> None:
    matrix = with_eigenvalues(eigenvalues)
    root, inverse = matrix_sqrt(matrix), inverse_sqrt(matrix)
    torch.testing.assert_close(root @ root, matrix)
    torch.testing.assert_close(root @ inverse, torch.eye(4, dtype=torch.float64))
    for found, exact in zip(newton_schulz_roots(matrix, eps=0.0), (root, inverse), strict=True):
        torch.testing.assert_close(found, exact)


def test_eps_is_relative_to_the_mean_eigenvalue() -> None:
    matrix = with_eigenvalues(DISTINCT)
    lifted = matrix + 0.1 * matrix.trace() / 4 * torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(matrix_sqrt(matrix, eps=0.1), matrix_sqrt(lifted))
    torch.testing.assert_close(inverse_sqrt(matrix, eps=0.1), inverse_sqrt(lifted))


@pytest.mark.parametrize(
    "option", [{"eps": -1e-5}, {"eps": float("nan")}, {"rtol": 1.0}, {"rtol": -0.1}], ids=str
)
def test_options_out_of_range_raise(option: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        matrix_sqrt(torch.eye(2), **option)


@pytest.mark.parametrize(("function", "reference"), [(torch.exp, torch.linalg.matrix_exp)])
def test_spectral_function_against_another_algorithm(function: Operation, reference: Operation) -> None:
    upstream = random_features(1, 4, 4)[0]
    for spectrum in (DISTINCT, CLUSTERS, (1e-9, -1e-9, 0.0, 30.0)):
        a, b = (with_eigenvalues(spectrum).requires_grad_() for _ in range(2))
        found, truth = spectral_function(a, function), reference(b)
        torch.testing.assert_close(found, truth, rtol=1e-12, atol=1e-12)
        expected = gradient(truth, b, upstream)
        assert relative_error(gradient(found, a, upstream), (expected + expected.mT) / 2) < 1e-12


def test_quadrature_agrees_with_closed_forms() -> None:
    for spectrum in (DISTINCT, CLUSTERS, (1.0, 1.0 - 1e-7, 1e-4, 1.1e-4)):
        a, b = (with_eigenvalues(spectrum).requires_grad_() for _ in range(2))
        gradients = []
        for point, root in ((a, spectral_function(a, torch.rsqrt)), (b, inverse_sqrt(b))):
            (first,) = torch.autograd.grad(root[0, 1] + root[2, 2], point, create_graph=True)
            (second,) = torch.autograd.grad(first.square().sum(), point)
            gradients.append((first.detach(), second))
        for found, truth in zip(*gradients, strict=True):
            assert relative_error(found, truth) < 1e-8


# A matrix of integers. Its product with its transpose has exactly rank 3 in every precision.
FACTOR = torch.tensor([[2.0, 0, 1], [1, 1, 0], [0, 3, 1], [1, -1, 2], [3, 1, 1]])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)], ids=str)
@pytest.mark.parametrize(("operation", "power"), [(matrix_sqrt, 0.5), (inverse_sqrt, -0.5)])
def test_rank_truncation_against_50_digits(
    operation: Operation, power: float, dtype: torch.dtype, tolerance: float, device: torch.device
) -> None:
    matrix = FACTOR @ FACTOR.mT
    upstream = torch.arange(25.0).reshape(5, 5).cos()
    with mpmath.workdps(50):
        value = exact_root(exact_matrix(matrix), power)
        # A symmetric matrix is differentiated along symmetric directions only.
        truth = exact_gradient(
            lambda m: exact_sum(upstream, exact_root((m + m.T) / 2, power)), matrix.double()
        )
    point = matrix.to(device, dtype).requires_grad_()
    found = operation(point)
    assert relative_error(found.detach(), torch.tensor(value.tolist(), dtype=torch.float64)) < tolerance
    assert relative_error(gradient(found, point, upstream.to(device, dtype)), truth) < tolerance


def test_second_derivative_of_a_truncated_root() -> None:
    matrix = (FACTOR @ FACTOR.mT).double().requires_grad_()
    assert gradcheck(lambda a: inverse_sqrt(a, rtol=1e-3), matrix)
    assert gradgradcheck(lambda a: inverse_sqrt(a, rtol=1e-3), matrix)


def test_zero_matrices_have_zero_roots() -> None:
    zero = torch.zeros(2, 3, 3, dtype=torch.float64, requires_grad=True)
    for eps in (0.0, 1e-5):
        for operation in (matrix_sqrt, inverse_sqrt, lambda a, eps: newton_schulz_roots(a, eps=eps)[1]):
            result = operation(zero, eps=eps)
            assert not result.any()
            assert torch.isfinite(gradient(result, zero)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_roots_scale_with_the_matrix(dtype: torch.dtype) -> None:
    """A batch of 64 scales equals 64 single calls, and W(c^2 A) = W(A) / c for W = A^(-1/2)."""
    scales = 10 ** torch.linspace(-15, 15, 64, dtype=torch.float64)
    matrix = with_eigenvalues(DISTINCT)
    batch = (matrix * scales[:, None, None] ** 2).to(dtype).requires_grad_()
    upstream = random_features(1, 4, 4)[0]
    inverse = inverse_sqrt(batch)
    truth = inverse_sqrt(matrix)
    for i, scale in enumerate(scales.tolist()):
        assert relative_error(inverse[i].detach() * scale, truth) < 1e-6
        assert relative_error(inverse_sqrt(batch[i]).detach(), inverse[i].detach()) < 1e-6
    point = matrix.clone().requires_grad_()
    expected = gradient(inverse_sqrt(point), point, upstream)
    # dL/d(c^2 A) = dL/dA / c^3 would overflow in float32. The factor c of the upstream gradient avoids that.
    found = gradient(inverse, batch, (upstream * scales[:, None, None]).to(dtype))
    for i, scale in enumerate(scales.tolist()):
        assert relative_error(found[i] * scale**2, expected) < 1e-5


@pytest.mark.parametrize("k", [0, 2, 3, 4])
def test_projector_is_one(k: int, device: torch.device) -> None:
    matrix = with_eigenvalues((3.0, 3.0, 1.0, 0.5)).to(device)
    projector = spectral_projector(matrix, k)
    torch.testing.assert_close(projector @ projector, projector)
    torch.testing.assert_close(projector @ matrix, matrix @ projector)
    assert round(float(projector.trace())) == k


def test_projector_keeps_the_largest_and_differentiates_through_ties() -> None:
    matrix = with_eigenvalues((3.0, 3.0, 0.5, 0.5)).requires_grad_()
    kept = spectral_projector(matrix, 2) @ matrix
    torch.testing.assert_close(
        torch.linalg.eigvalsh(kept.detach()).amin(), torch.tensor(0.0).double(), atol=1e-12, rtol=0
    )
    torch.testing.assert_close(kept.trace(), torch.tensor(6.0).double())
    assert gradcheck(lambda a: spectral_projector(a, 2), matrix)
    assert gradgradcheck(lambda a: spectral_projector(a, 2), matrix)


def test_projector_of_indefinite_matrices() -> None:
    matrix = with_eigenvalues((2.0, 1.0, -1.0, -3.0)).requires_grad_()
    assert gradcheck(lambda a: spectral_projector(a, 3), matrix)


@pytest.mark.parametrize("k", [-1, 5])
def test_projector_rank_out_of_range_raises(k: int) -> None:
    with pytest.raises(ValueError, match=r"0\.\.4"):
        spectral_projector(torch.eye(4), k)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_roots_of_the_largest_values_do_not_overflow(dtype: torch.dtype) -> None:
    largest = torch.finfo(dtype).max * 0.9
    matrix = (largest * torch.eye(3, dtype=dtype)).requires_grad_()
    identity = torch.eye(3, dtype=dtype)
    torch.testing.assert_close(matrix_sqrt(matrix) / largest**0.5, identity)
    inverse = inverse_sqrt(matrix, eps=1e-5)
    torch.testing.assert_close(inverse * largest**0.5, identity, rtol=1e-4, atol=1e-4)
    assert torch.isfinite(gradient(inverse, matrix)).all()
    for root in newton_schulz_roots(matrix):
        assert torch.isfinite(root).all()
    projected = spectral_projector(matrix, 3)
    torch.testing.assert_close(projected, identity)
