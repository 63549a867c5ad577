"""The linear map read from a module is the module's own, and its adjoint is the transpose."""

from __future__ import annotations

import pytest
import torch
from conv_layers import conv, dense_matrix, draw_layer
from torch import nn

from styletransfer.spectrum import build_convolutions, conv_operator, find_convolutions


@pytest.mark.parametrize("seed", range(60))
def test_the_matrix_is_that_of_the_module(seed: int) -> None:
    layer, channels, size = draw_layer(seed)
    expected = dense_matrix(layer, channels, size)
    operator = conv_operator(layer, size)
    matrix = operator.dense().detach()
    if isinstance(layer, nn.ConvTranspose2d):
        matrix = matrix.T  # held as the convolution that it is the adjoint of
    torch.testing.assert_close(matrix, expected)


@pytest.mark.parametrize("seed", range(30))
def test_the_adjoint_is_the_transpose(seed: int) -> None:
    layer, _, size = draw_layer(seed)
    operator = conv_operator(layer, size).double()
    outputs = torch.eye(torch.Size(operator.output_shape).numel(), dtype=torch.float64)
    transpose = operator.adjoint(outputs.view(-1, *operator.output_shape)).flatten(1)
    torch.testing.assert_close(transpose, operator.dense())


def test_paddings_chain_and_crop() -> None:
    layer = nn.Sequential(
        nn.ReflectionPad2d((2, 1, 0, 2)), nn.ZeroPad2d((-1, 0, 1, -1)), conv(2, 2, padding=1)
    )
    expected = dense_matrix(layer, 2, (5, 6))
    torch.testing.assert_close(conv_operator(layer, (5, 6)).dense().detach(), expected)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_by_name(padding: str) -> None:
    layer = conv(1, 2, (5, 3), padding=padding, dilation=(1, 2))
    torch.testing.assert_close(conv_operator(layer, (9, 8)).dense().detach(), dense_matrix(layer, 1, (9, 8)))


@pytest.mark.parametrize(
    ("layer", "size", "message"),
    [
        (conv(1, 1, 5), (4, 9), "smaller than the kernel"),
        (conv(1, 1, padding=3, padding_mode="reflect"), (3, 9), "needs a larger image"),
        (conv(1, 1), (0, 9), "is empty"),
        (nn.ConvTranspose2d(1, 1, 3, padding=4), (3, 3), "leaves no output"),
        (nn.Sequential(nn.ZeroPad2d(-3), conv(1, 1)), (5, 9), "needs a larger image"),
    ],
)
def test_images_that_are_too_small_are_named(layer: nn.Module, size: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conv_operator(layer, size)


@pytest.mark.parametrize(
    "module", [nn.Linear(2, 2), nn.Conv1d(1, 1, 3), nn.Sequential(nn.ReLU(), conv(1, 1))]
)
def test_other_modules_are_refused(module: nn.Module) -> None:
    with pytest.raises(TypeError):
        conv_operator(module, (8, 8))


def test_convolutions_of_a_network_are_found_in_order() -> None:
    first, second = conv(1, 2), nn.ConvTranspose2d(2, 1, 3)
    network = nn.Sequential(first, nn.ReLU(), nn.Sequential(second, nn.Linear(1, 1)))
    assert list(find_convolutions(network).items()) == [("0", first), ("2.0", second)]


def test_loose_weights_become_convolutions() -> None:
    weight = torch.randn(2, 3, 3, 5, generator=torch.Generator().manual_seed(0))
    weights = {"b.weight": weight, "b.bias": torch.zeros(2), "a": weight, "indices": weight.long()}
    layers = build_convolutions(weights, "reflect")
    assert list(layers) == ["b", "a"]
    assert layers["b"].weight.data_ptr() == weight.data_ptr()
    image = torch.randn(1, 3, 7, 8, generator=torch.Generator().manual_seed(1))
    padded = nn.functional.pad(image, (2, 2, 1, 1), mode="reflect")
    torch.testing.assert_close(layers["b"](image), nn.functional.conv2d(padded, weight))
