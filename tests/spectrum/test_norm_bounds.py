"""Norm bounds against the dense matrix: they hold and are close to the norm."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from conv_layers import conv, dense_matrix, draw_layer, laplacian
from torch import nn

from styletransfer.spectrum import NormBounds, norm_bounds
from styletransfer.spectrum.norm_bounds import NormMethod

KERNEL_METHODS: tuple[NormMethod, ...] = ("extension", "unfoldings", "taps", "hoelder", "gram")


def exact_norm(layer: nn.Module, channels: int, size: tuple[int, int]) -> float:
    return float(torch.linalg.matrix_norm(dense_matrix(layer, channels, size), 2))


def bound_without_matrix(layer: nn.Module, size: tuple[int, int]) -> NormBounds:
    try:
        return norm_bounds(layer, size, "twisted")
    except ValueError:
        return norm_bounds(layer, size, "lanczos")


def test_intervals_of_two_hundred_random_layers_hold() -> None:
    widths = []
    for seed in range(200):
        layer, channels, size = draw_layer(seed)
        norm = exact_norm(layer, channels, size)
        interval = bound_without_matrix(layer, size)
        assert interval.certified
        assert interval.lower <= norm <= interval.upper, (layer, size, norm, interval)
        widths.append(interval.width)
    assert statistics.median(widths) < 0.01


@pytest.mark.parametrize("method", KERNEL_METHODS)
@pytest.mark.parametrize("seed", range(12))
def test_every_certified_method_is_an_upper_bound(method: NormMethod, seed: int) -> None:
    layer, channels, size = draw_layer(seed)
    interval = norm_bounds(layer, size, method)
    assert interval.certified
    assert interval.upper >= exact_norm(layer, channels, size)


@pytest.mark.parametrize(("size", "width"), [((16, 16), 0.012), ((32, 24), 0.006)])
def test_zero_padding_is_tight(size: tuple[int, int], width: float) -> None:
    interval = norm_bounds(conv(4, 4, padding=1), size)
    assert interval.method == "twisted"
    assert interval.failure_probability == 0
    assert interval.width < width


def test_circular_padding_is_exact() -> None:
    layer = conv(3, 5, padding=1, padding_mode="circular")
    interval = norm_bounds(layer, (6, 9), "twisted")
    assert interval.upper == pytest.approx(exact_norm(layer, 3, (6, 9)), rel=1e-9)
    assert interval.width < 1e-9


def test_circular_padding_with_fewer_outputs_is_close_from_below() -> None:
    # A block of a circulant of few frequencies, whose highest peak need not be the symbol's.
    layer = conv(2, 1, (3, 4), padding=(2, 0), stride=(1, 2), dilation=(2, 1), padding_mode="circular")
    interval = norm_bounds(layer, (8, 12), "twisted")
    assert interval.lower == pytest.approx(exact_norm(layer, 2, (8, 12)), rel=1e-3)


def test_the_bound_of_the_laplacian_is_exact() -> None:
    # The largest eigenvalue belongs to the half sine; phase pi puts the symbol's peak mid-cell.
    interval = norm_bounds(laplacian(), (15, 15), "twisted")
    exact = 4 + 4 * math.cos(math.pi / 16)
    assert interval.lower == pytest.approx(exact, rel=1e-9)
    assert interval.upper == pytest.approx(exact, rel=1e-9)


def test_a_peak_that_is_not_the_highest_can_win() -> None:
    # Two channels that do not mix: a high narrow peak at 0, a slightly lower and much broader one at pi.
    layer = conv(2, 2, 9, padding=4, groups=2)
    ramp = torch.ones(9, dtype=torch.float64)
    alternating = torch.tensor([0, 0, 0, -0.35, 1, -0.35, 0, 0, 0], dtype=torch.float64)
    narrow, broad = torch.outer(ramp, ramp) / 81, torch.outer(alternating, alternating) * 0.98 / 1.7**2
    layer.weight.data = torch.stack([narrow, broad])[:, None]
    interval = norm_bounds(layer, (16, 16), "twisted")
    norm = exact_norm(layer, 2, (16, 16))
    assert interval.lower == pytest.approx(norm, rel=1e-3)
    assert interval.upper >= norm


def test_large_images_cost_no_more_than_the_finest_grid() -> None:
    weight_only = norm_bounds(conv(2, 2, padding=1), (4000, 3000), "unfoldings")
    interval = norm_bounds(conv(2, 2, padding=1), (600, 500))
    assert interval.width < 2e-3
    assert interval.upper <= weight_only.upper


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_a_zero_kernel_has_norm_zero(mode: str) -> None:
    layer = conv(2, 3, padding=1, padding_mode=mode)
    layer.weight.data.zero_()
    for method in ("auto", "twisted", *KERNEL_METHODS, "tensor"):
        interval = norm_bounds(layer, (8, 8), method)
        assert (interval.lower, interval.upper) == (0, 0)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_bounds_scale_with_the_weight(scale: float) -> None:
    layer = conv(2, 2, padding=1)
    plain = norm_bounds(layer, (12, 12), "twisted")
    layer.weight.data *= scale
    scaled = norm_bounds(layer, (12, 12), "twisted")
    assert scaled.upper == pytest.approx(plain.upper * scale, rel=1e-9)
    assert scaled.lower == pytest.approx(plain.lower * scale, rel=1e-6)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("method", ["dense", "twisted", "lanczos", *KERNEL_METHODS, "tensor"])
def test_kernels_with_zeros_and_single_taps_give_numbers(kernel: int, method: NormMethod) -> None:
    layer = laplacian() if kernel == 3 else conv(1, 1, 1)
    interval = norm_bounds(layer, (6, 6), method)
    assert math.isfinite(interval.upper)
    assert interval.upper > 0


def test_only_lanczos_has_a_failure_probability() -> None:
    layer = conv(2, 2, padding=1, padding_mode="reflect")
    interval = norm_bounds(layer, (20, 20), "lanczos", tolerance=0.05)
    assert 0 < interval.failure_probability <= 1e-12
    assert interval.width <= 0.05
    assert norm_bounds(layer, (20, 20), "extension").failure_probability == 0
    norm = exact_norm(layer, 2, (20, 20))
    assert all(norm_bounds(layer, (20, 20), "lanczos", seed=seed).upper >= norm for seed in range(20))


def test_the_tensor_norm_is_not_certified() -> None:
    assert not norm_bounds(conv(2, 2), (8, 8), "tensor").certified


def test_errors_say_why_there_is_no_bound() -> None:
    layer = conv(1, 1, padding=1, padding_mode="reflect")
    with pytest.raises(ValueError, match="lanczos"):
        norm_bounds(layer, (8, 8), "twisted")
    with pytest.raises(ValueError, match="choose one of"):
        norm_bounds(layer, (8, 8), "power")  # type: ignore[arg-type]
    layer.weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="1 of 9 weights"):
        norm_bounds(layer, (8, 8))
