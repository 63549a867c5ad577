"""Estimated distributions of singular values against those of the dense matrix."""

from __future__ import annotations

import pytest
import torch
from conv_layers import conv, dense_matrix, draw_layer, laplacian

from styletransfer.spectrum import singular_values
from styletransfer.spectrum.border_correction import Measure
from styletransfer.spectrum.distribution import DistributionMethod

ESTIMATES: tuple[DistributionMethod, ...] = ("circular", "density", "corrected", "lanczos")


def distance(values: torch.Tensor, exact: torch.Tensor) -> float:
    """Wasserstein-1 distance of two sets of equally many values."""
    return float((values - exact).abs().mean())


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate"])
def test_corrected_is_many_times_closer_than_circular(mode: str) -> None:
    layer = conv(4, 3, padding=1, padding_mode=mode)
    exact = torch.linalg.svdvals(dense_matrix(layer, 4, (14, 17)))
    corrected = singular_values(layer, (14, 17))
    assert distance(corrected, exact) < 0.2 * distance(singular_values(layer, (14, 17), "circular"), exact)
    assert corrected[0] == pytest.approx(float(exact[0]), rel=5e-3)


def test_every_estimate_has_the_right_number_in_descending_order() -> None:
    for seed in range(15):
        layer, channels, size = draw_layer(seed)
        exact = torch.linalg.svdvals(dense_matrix(layer, channels, size))
        torch.testing.assert_close(singular_values(layer, size, "exact"), exact)
        for method in ESTIMATES:
            values = singular_values(layer, size, method)
            assert values.shape == exact.shape
            assert values.dtype == torch.float64
            assert bool((values.diff() <= 0).all())
            assert distance(values, exact) < 0.4 * exact[0]


def test_circular_is_exact_for_circular_padding() -> None:
    layer = conv(3, 2, padding=1, padding_mode="circular")
    exact = torch.linalg.svdvals(dense_matrix(layer, 3, (6, 9)))
    torch.testing.assert_close(singular_values(layer, (6, 9), "circular"), exact, rtol=1e-6, atol=1e-6)


def test_wide_layers_get_the_exact_frobenius_norm() -> None:
    layer = conv(66, 68, padding=1)
    values = singular_values(layer, (8, 8))
    squared = sum(
        (8 - abs(k - 1)) * (8 - abs(l - 1)) * layer.weight.data[:, :, k, l].square().sum()
        for k in range(3)
        for l in range(3)  # noqa: E741
    )
    assert float(values.square().sum()) == pytest.approx(float(squared), rel=1e-3)


@pytest.mark.parametrize("method", ESTIMATES)
def test_zeros_and_zero_kernels_give_numbers(method: DistributionMethod) -> None:
    assert singular_values(laplacian(), (9, 9), method).isfinite().all()
    layer = conv(2, 2, padding=1)
    layer.weight.data.zero_()
    assert singular_values(layer, (9, 9), method).count_nonzero() == 0


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ValueError, match="choose one of exact"):
        singular_values(conv(1, 1), (8, 8), "fft")  # type: ignore[arg-type]


def test_quantiles_of_signed_measures() -> None:
    values = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    plain = Measure.uniform(values, 4.0)
    assert plain.quantiles(4).tolist() == [4, 3, 2, 1]
    assert plain.quantiles(2).tolist() == [3, 1]
    falling = Measure(values, torch.tensor([1.0, -1, 1, 1], dtype=torch.float64))  # cumulated 1 0 1 2
    assert falling.quantiles(4).tolist() == [4, 4, 3, 1]  # levelled to .5 .5 1 2
    assert plain.smooth(2).quantiles(8).tolist() == [4, 3.75, 3.25, 2.75, 2.25, 1.75, 1.25, 1]
