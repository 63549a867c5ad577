"""Checks before the work: what they say, and where the work is done."""

from __future__ import annotations

import pytest
import torch
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from styletransfer.linalg import NumericalError, inverse_sqrt
from styletransfer.linalg.decomposition import decompose
from styletransfer.linalg.guards import even_power_of_two, require_finite
from styletransfer.linalg.places import CPU, Place, choose_place, decomposes, holds

from .matrices import DISTINCT, with_eigenvalues


def test_the_error_counts_and_locates() -> None:
    values = torch.zeros(2, 3, 4)
    values[1, 0, 2], values[1, 2, 3], values[1, 2, 0] = torch.nan, torch.inf, -torch.inf
    message = r"features holds 1 NaN and 2 infinite among 24 values, the first at \(1, 0, 2\)"
    with pytest.raises(NumericalError, match=message):
        require_finite("features", values)


def test_opposite_infinities_and_a_sum_that_overflows() -> None:
    with pytest.raises(NumericalError):
        require_finite("x", torch.tensor([torch.inf, -torch.inf]))
    require_finite("x", torch.full((4,), torch.finfo(torch.float32).max))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_scales_are_powers_of_four_near_the_mean_eigenvalue(dtype: torch.dtype) -> None:
    means = torch.tensor([1e-30, 0.3, 1.0, 4.0, 5.0, 1e20, 0.0], dtype=dtype)
    scale = even_power_of_two(means[:, None, None] * torch.eye(3, dtype=dtype)).flatten()
    exponents = scale.double().log2()
    assert torch.equal(exponents, exponents.round())
    assert not (exponents % 2).any()
    assert ((means / scale)[:-1] > 0.2).all()
    assert ((means / scale)[:-1] < 4.1).all()
    assert scale[-1] == 1


def test_work_stays_at_home_where_it_can() -> None:
    home = Place(torch.device("mps"), torch.float32)
    assert choose_place(home, lambda place: True) == home


def test_work_moves_to_the_cpu_then_to_float64() -> None:
    home = Place(torch.device("mps"), torch.float32)
    assert choose_place(home, lambda place: place.device == CPU) == Place(CPU, torch.float32)
    half = Place(CPU, torch.float16)
    assert choose_place(half, decomposes) == Place(CPU, torch.float64)  # no kernel for half precision


def test_what_this_machine_can_do() -> None:
    assert holds(Place(CPU, torch.float64))
    assert decomposes(Place(CPU, torch.float64))
    assert not decomposes(Place(CPU, torch.float16))
    assert not holds(Place(torch.device("cuda", 99), torch.float32))


def test_half_precision_is_decomposed_in_float64_and_comes_back() -> None:
    matrix = with_eigenvalues(DISTINCT).half()
    eigenvalues, vectors = decompose(matrix)
    assert eigenvalues.dtype == vectors.dtype == torch.float16
    torch.testing.assert_close(
        eigenvalues.double(), torch.tensor(sorted(DISTINCT)).double(), rtol=1e-3, atol=1e-3
    )


@pytest.fixture
def second_device() -> torch.device:
    """Torch's lazy device: a real second device, executed by the CPU."""
    from torch._lazy import ts_backend

    ts_backend.init()
    return torch.device("lazy")


def test_decomposition_on_a_device_without_one(
    second_device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Place] = []

    def only_the_cpu(place: Place) -> bool:
        seen.append(place)
        return place.device == CPU

    monkeypatch.setattr("styletransfer.linalg.decomposition.decomposes", only_the_cpu)
    matrix = with_eigenvalues(DISTINCT)
    eigenvalues, vectors = decompose(matrix.to(second_device))
    assert [place.device.type for place in seen] == ["lazy", "cpu"]
    assert eigenvalues.device.type == vectors.device.type == "lazy"
    torch.testing.assert_close(eigenvalues.cpu(), torch.linalg.eigvalsh(matrix))


def test_no_convergence_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(matrix: torch.Tensor) -> None:
        raise LinAlgError("linalg.eigh: did not converge")

    monkeypatch.setattr(torch.linalg, "eigh", fail)
    with pytest.raises(NumericalError, match="did not converge"):
        inverse_sqrt(torch.eye(3))
