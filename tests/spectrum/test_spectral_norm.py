"""The differentiable norm: its value, and its gradient against automatic differentiation of the matrix."""

from __future__ import annotations

import pytest
import torch
from conv_layers import conv, draw_layer
from torch import Tensor, nn

from styletransfer.spectrum import NormTracker, conv_operator, spectral_norm


def exact(layer: nn.Module, size: tuple[int, int]) -> tuple[float, Tensor]:
    """The norm of the dense matrix and its gradient in the weight."""
    operator = conv_operator(layer, size)
    norm = torch.linalg.matrix_norm(operator.dense(), 2)
    (gradient,) = torch.autograd.grad(norm, operator.weight)
    return float(norm.detach()), gradient


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("seed", range(3))
def test_value_and_gradient(mode: str, seed: int) -> None:
    layer = conv(3, 4, padding=1, padding_mode=mode, seed=seed)
    norm = spectral_norm(layer, (10, 12))
    (gradient,) = torch.autograd.grad(norm, layer.weight)
    value, expected = exact(layer, (10, 12))
    assert norm.item() == pytest.approx(value, rel=1e-4)
    assert cosine(gradient, expected) > 0.999


@pytest.mark.parametrize("seed", range(20))
def test_layers_of_every_kind(seed: int) -> None:
    layer, _, size = draw_layer(seed)
    assert spectral_norm(layer, size).item() == pytest.approx(exact(layer, size)[0], rel=1e-3)


def test_the_winner_of_two_competing_peaks_gives_the_gradient() -> None:
    # Two depthwise kernels, one with its peak at frequency 0, one at pi; the scale decides the winner.
    layer = conv(2, 2, 3, padding=1, groups=2)
    sign = torch.tensor([1.0, -1, 1], dtype=torch.float64)
    for factor, winner in ((0.995, 0), (1.005, 1)):
        layer.weight.data = torch.stack([torch.ones(3, 3), factor * torch.outer(sign, sign)])[
            :, None
        ].double()
        (gradient,) = torch.autograd.grad(spectral_norm(layer, (16, 16)), layer.weight)
        assert gradient[1 - winner].norm() < 1e-3 * gradient[winner].norm()


def test_a_half_precision_weight_keeps_its_type() -> None:
    layer = conv(2, 2, padding=1).float()
    norm = spectral_norm(layer, (9, 9))
    assert norm.dtype == torch.float32
    norm.backward()  # type: ignore[no-untyped-call]
    assert layer.weight.grad is not None


def test_a_tracker_follows_a_changing_weight() -> None:
    layer = conv(4, 4, padding=1)
    size = (12, 12)
    track = NormTracker(conv_operator(layer, size))
    generator = torch.Generator().manual_seed(1)
    for _ in range(40):
        layer.weight.data += 0.002 * torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64)
        norm = track(layer.weight)
    (gradient,) = torch.autograd.grad(norm, layer.weight)
    value, expected = exact(layer, size)
    assert norm.item() == pytest.approx(value, rel=1e-3)
    assert norm.item() <= value
    assert cosine(gradient, expected) > 0.99


def test_a_tracker_resumes_from_its_state() -> None:
    first, changed = conv(3, 3, padding=1), conv(3, 3, padding=1)
    changed.weight.data += 0.1 * conv(3, 3, padding=1, seed=1).weight.data
    tracker = NormTracker(conv_operator(first, (8, 8)))
    tracker(changed.weight)
    other = NormTracker(conv_operator(conv(3, 3, padding=1, seed=2), (8, 8)))
    other.load_state_dict(tracker.state_dict())
    assert torch.equal(other(first.weight), tracker(first.weight))


def test_a_tracker_keeps_its_precision_in_mixed_precision() -> None:
    layer = conv(3, 3, padding=1).float()
    tracker = NormTracker(conv_operator(layer, (8, 8)))
    with torch.autocast("cpu", torch.bfloat16):
        norm = tracker(layer.weight)
    assert norm.item() == pytest.approx(exact(layer.double(), (8, 8))[0], rel=1e-3)


def test_layers_in_the_channels_last_layout_have_the_same_norm() -> None:
    layer = conv(3, 4, padding=1).float()
    expected = spectral_norm(layer, (10, 12)).item()
    twin = layer.to(memory_format=torch.channels_last)
    assert spectral_norm(twin, (10, 12)).item() == pytest.approx(expected, rel=1e-6)
    tracker = NormTracker(conv_operator(twin, (10, 12)))
    assert tracker(twin.weight).item() == pytest.approx(expected, rel=1e-4)
