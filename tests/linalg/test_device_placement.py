"""The choice of device and dtype for statistics and eigendecompositions."""

from __future__ import annotations

import pytest
import torch
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from styletransfer.linalg import NumericalError, device_placement, inverse_sqrt
from styletransfer.linalg.device_placement import (
    CPU,
    CPU_EIGH_MAX_CHANNELS,
    CPU_EIGH_MAX_ROWS,
    DeviceDtype,
    eigh_placement,
    first_supported,
    prefers_cpu_eigh,
    supports_dtype,
    supports_eigh,
)
from styletransfer.linalg.eigh import decompose_symmetric

from .matrices import DISTINCT, with_eigenvalues


def test_preferred_placement_is_used_if_supported() -> None:
    preferred = DeviceDtype(torch.device("mps"), torch.float32)
    assert first_supported(preferred, lambda candidate: True) == preferred


def test_fallback_is_the_cpu_and_then_float64() -> None:
    preferred = DeviceDtype(torch.device("mps"), torch.float32)
    on_cpu = DeviceDtype(CPU, torch.float32)
    assert first_supported(preferred, lambda candidate: candidate.device == CPU) == on_cpu
    half = DeviceDtype(CPU, torch.float16)
    assert first_supported(half, supports_eigh) == DeviceDtype(CPU, torch.float64)


def test_dtype_is_converted_on_the_cpu() -> None:
    """MPS has no float64, so tensors are converted before they move there and after they come from there."""

    class RecordedTensor:
        def __init__(self) -> None:
            self.steps: list[object] = []

        def to(self, step: object) -> RecordedTensor:
            self.steps.append(step)
            return self

    mps, float32, float64 = torch.device("mps"), torch.float32, torch.float64
    for target, order in (
        (DeviceDtype(mps, float32), [float32, mps]),
        (DeviceDtype(CPU, float64), [CPU, float64]),
    ):
        tensor = RecordedTensor()
        target.to(tensor)  # type: ignore[arg-type]
        assert tensor.steps == order


def test_support_of_this_machine() -> None:
    assert supports_dtype(DeviceDtype(CPU, torch.float64))
    assert supports_eigh(DeviceDtype(CPU, torch.float64))
    assert not supports_eigh(DeviceDtype(CPU, torch.float16))
    mps = DeviceDtype(torch.device("mps"), torch.float32)
    assert supports_dtype(mps) == torch.backends.mps.is_available()


@pytest.mark.parametrize(
    ("device_type", "channels", "batch", "on_cpu"),
    [
        ("cpu", 512, 64, True),
        ("mps", 512, 64, True),
        ("cuda", 1, 1, True),
        ("cuda", CPU_EIGH_MAX_CHANNELS, 1, True),
        ("cuda", CPU_EIGH_MAX_CHANNELS + 1, 1, False),
        ("cuda", 512, 1, False),
        ("cuda", 64, CPU_EIGH_MAX_ROWS // 64, True),
        ("cuda", 64, CPU_EIGH_MAX_ROWS // 64 + 1, False),
        ("cuda", 4, 10_000, False),
        ("cuda", 64, 0, True),
        ("xpu", 4, 1, False),
    ],
)
def test_small_matrices_of_a_gpu_are_decomposed_on_the_cpu(
    device_type: str, channels: int, batch: int, on_cpu: bool
) -> None:
    assert prefers_cpu_eigh(device_type, channels, batch) == on_cpu


def test_placement_follows_the_rule_where_eigh_is_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_placement, "supports_eigh", lambda candidate: True)
    cuda = DeviceDtype(torch.device("cuda", 0), torch.float64)
    assert eigh_placement(cuda, 64, 1) == DeviceDtype(CPU, torch.float64)
    assert eigh_placement(cuda, 512, 1) == cuda


def test_half_precision_is_decomposed_in_float64_and_returned_in_half() -> None:
    matrix = with_eigenvalues(DISTINCT).half()
    eigenvalues, vectors = decompose_symmetric(matrix)
    assert eigenvalues.dtype == vectors.dtype == torch.float16
    torch.testing.assert_close(
        eigenvalues.double(), torch.tensor(sorted(DISTINCT)).double(), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("supported", ["lazy", "cpu"])
def test_decomposition_on_another_device(
    supported: str, second_device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def supports(candidate: DeviceDtype) -> bool:
        seen.append(candidate.device.type)
        return candidate.device.type == supported

    monkeypatch.setattr(device_placement, "supports_eigh", supports)
    matrix = with_eigenvalues(DISTINCT)
    eigenvalues, vectors = decompose_symmetric(matrix.to(second_device))
    assert seen == (["lazy"] if supported == "lazy" else ["lazy", "cpu"])
    assert eigenvalues.device.type == vectors.device.type == "lazy"
    torch.testing.assert_close(eigenvalues.cpu(), torch.linalg.eigvalsh(matrix))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("channels", [16, CPU_EIGH_MAX_CHANNELS, CPU_EIGH_MAX_CHANNELS + 1])
def test_decomposition_of_a_gpu_tensor(channels: int) -> None:
    matrix = with_eigenvalues(torch.linspace(1, 2, channels).tolist()).cuda()
    eigenvalues, vectors = decompose_symmetric(matrix)
    assert eigenvalues.device == vectors.device == matrix.device
    torch.testing.assert_close((vectors * eigenvalues) @ vectors.mT, matrix)


def test_failed_convergence_raises_numerical_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(matrix: torch.Tensor) -> None:
        raise LinAlgError("linalg.eigh: did not converge")

    monkeypatch.setattr(torch.linalg, "eigh", fail)
    with pytest.raises(NumericalError, match="did not converge"):
        inverse_sqrt(torch.eye(3))
