"""Checks before the work: what they say, and where the work is done."""

from __future__ import annotations

import pytest
import torch
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from styletransfer.linalg import NumericalError, inverse_sqrt, places
from styletransfer.linalg.decomposition import decompose
from styletransfer.linalg.guards import even_power_of_two, require_finite
from styletransfer.linalg.places import CPU, Place, choose_place, decomposes, holds, trip_time

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


def test_types_change_on_the_side_that_knows_both() -> None:
    """MPS has no float64: it must be converted before a tensor goes there and after it comes from there."""

    class Traveller:
        def __init__(self) -> None:
            self.steps: list[object] = []

        def to(self, step: object) -> Traveller:
            self.steps.append(step)
            return self

    mps, single, double = torch.device("mps"), torch.float32, torch.float64
    for place, order in ((Place(mps, single), [single, mps]), (Place(CPU, double), [CPU, double])):
        traveller = Traveller()
        place.bring(traveller)  # type: ignore[arg-type]
        assert traveller.steps == order


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


def test_decomposition_on_a_device_without_one(
    second_device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Place] = []

    def only_the_cpu(place: Place) -> bool:
        seen.append(place)
        return place.device == CPU

    monkeypatch.setattr(places, "decomposes", only_the_cpu)
    places.fastest_place.cache_clear()
    matrix = with_eigenvalues(DISTINCT)
    eigenvalues, vectors = decompose(matrix.to(second_device))
    places.fastest_place.cache_clear()
    assert [place.device.type for place in seen] == ["lazy", "cpu"]
    assert eigenvalues.device.type == vectors.device.type == "lazy"
    torch.testing.assert_close(eigenvalues.cpu(), torch.linalg.eigvalsh(matrix))


@pytest.mark.parametrize("faster", ["lazy", "cpu"])
def test_decomposition_where_it_is_faster(
    faster: str, second_device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Place(torch.device(second_device.type, 0), torch.float64)
    truly = {place.device.type: trip_time(home, place, 4, 2) for place in (home, Place(CPU, torch.float64))}
    assert min(truly.values()) > 0
    tried: list[tuple[Place, int, int]] = []

    def claimed_time(home: Place, place: Place, channels: int, batch: int) -> float:
        tried.append((place, channels, batch))
        return 1.0 if place.device.type == faster else 2.0

    monkeypatch.setattr(places, "trip_time", claimed_time)
    places.fastest_place.cache_clear()
    matrices = torch.stack([with_eigenvalues(DISTINCT, seed=i) for i in range(3)])
    for _ in range(2):  # one trial serves both
        eigenvalues, vectors = decompose(matrices.to(second_device))
    assert places.fastest_place(home, 4, 4).device.type == faster
    places.fastest_place.cache_clear()
    assert [(p.device.type, *sizes) for p, *sizes in tried] == [("lazy", 4, 4), ("cpu", 4, 4)]
    rebuilt = (vectors * eigenvalues.unsqueeze(-2)) @ vectors.mT
    torch.testing.assert_close(rebuilt.cpu(), matrices)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("channels", [16, 64, 512])
def test_batches_on_the_gpu_are_not_slower_than_on_the_cpu(channels: int) -> None:
    home = Place(torch.device("cuda", 0), torch.float64)
    chosen = places.fastest_place(home, channels, 4)
    there = min(trip_time(home, chosen, channels, 4) for _ in range(5))
    on_cpu = min(trip_time(home, Place(CPU, torch.float64), channels, 4) for _ in range(5))
    assert there < 1.2 * on_cpu


def test_no_convergence_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(matrix: torch.Tensor) -> None:
        raise LinAlgError("linalg.eigh: did not converge")

    monkeypatch.setattr(torch.linalg, "eigh", fail)
    with pytest.raises(NumericalError, match="did not converge"):
        inverse_sqrt(torch.eye(3))
