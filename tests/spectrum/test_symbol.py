"""The symbol against its definition, the discrete Fourier transform and dense circulants."""

from __future__ import annotations

import pytest
import torch
from conv_layers import conv, dense_matrix, laplacian
from torch import nn
from torch.nn import functional

from styletransfer.spectrum import conv_symbol


def singular_values(symbol: torch.Tensor) -> torch.Tensor:
    values: torch.Tensor = torch.linalg.svdvals(symbol)
    return values.flatten().sort().values


def test_the_symbol_is_the_sum_of_its_definition() -> None:
    weight = conv(2, 3, (2, 3)).weight.detach()
    w = torch.tensor([0.7, -1.9], dtype=torch.float64)
    expected = sum(
        weight[:, :, k, l] * torch.exp(-1j * (k * w[0] + l * w[1]))
        for k in range(2)
        for l in range(3)  # noqa: E741
    )
    torch.testing.assert_close(conv_symbol(weight, w), expected)


def test_the_grid_is_the_discrete_fourier_transform() -> None:
    weight = conv(3, 2).weight.detach()
    expected = torch.fft.fft2(weight, (8, 5)).permute(2, 3, 0, 1)
    torch.testing.assert_close(conv_symbol(weight, grid=(8, 5)), expected)


def test_composed_convolutions_have_the_product_of_their_symbols() -> None:
    first, second = conv(2, 4, (3, 2)).weight.detach(), conv(4, 3, (2, 5), seed=1).weight.detach()
    composed = functional.conv2d(first.permute(1, 0, 2, 3), second.flip(2, 3), padding=(1, 4)).permute(
        1, 0, 2, 3
    )
    grid, phase = (6, 7), (0.4, 2.0)
    product = conv_symbol(second, grid=grid, phase=phase) @ conv_symbol(first, grid=grid, phase=phase)
    torch.testing.assert_close(conv_symbol(composed, grid=grid, phase=phase), product)


@pytest.mark.parametrize("stride", [1, 2, 3, (2, 3)])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_the_grid_holds_the_singular_values_of_circular_padding(
    stride: int | tuple[int, int], dilation: int, groups: int
) -> None:
    rows, columns = (stride, stride) if isinstance(stride, int) else stride
    reach = 2 * dilation
    inner = conv(2, 4, stride=stride, dilation=dilation, groups=groups)
    layer = nn.Sequential(nn.CircularPad2d((0, reach, 0, reach)), inner)
    size = (4 * rows, 4 * columns)
    weight = inner.weight.detach()
    symbol = conv_symbol(weight, grid=(4, 4), stride=stride, dilation=dilation, groups=groups)
    expected = torch.linalg.svdvals(dense_matrix(layer, 2, size)).sort().values
    assert symbol.shape == (4, 4, 4, 2 * rows * columns)
    torch.testing.assert_close(singular_values(symbol), expected)


def test_a_transposed_convolution_has_the_adjoint_symbol() -> None:
    weight = conv(4, 2, groups=2).weight.detach()
    forward = conv_symbol(weight, grid=(3, 5), stride=2, groups=2)
    transposed = conv_symbol(weight, grid=(3, 5), stride=2, groups=2, transposed=True)
    torch.testing.assert_close(transposed, forward.mH)


def test_the_laplacian_vanishes_at_frequency_zero() -> None:
    symbol = conv_symbol(laplacian().weight.detach(), grid=(4, 4)).squeeze().abs()
    assert symbol[0, 0] < 1e-15
    assert symbol[2, 2] == pytest.approx(8)


def test_the_symbol_is_differentiable() -> None:
    weight = conv(2, 2, (2, 1)).weight.detach().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda w: conv_symbol(w, grid=(3, 2), phase=(0.3, 0.1), stride=(1, 2)), weight
    )


def test_float32_stays_float32() -> None:
    assert conv_symbol(torch.ones(1, 1, 2, 2), grid=(2, 2)).dtype == torch.complex64


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"grid": (2, 2), "frequencies": torch.zeros(1, 2)},
        {"frequencies": torch.zeros(3)},
        {"grid": (2, 2), "groups": 2},
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"give|frequencies|weight"):
        conv_symbol(torch.ones(1, 1, 3, 3), **arguments)  # type: ignore[arg-type]
