"""Orthogonal convolutions of the benchmark: they keep norms, and the transpose undoes them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from styletransfer.spectrum import singular_values

pytest.importorskip("scipy")
from benchmarks.spectrum.cayley import CayleyConv2d, CouplingPair

SIZES = [(8, 8), (7, 9), (5, 6), (2, 3), (1, 1), (6, 1)]


def cayley(inputs: int, outputs: int, kernel: int = 3) -> CayleyConv2d:
    torch.manual_seed(0)
    return CayleyConv2d(inputs, outputs, kernel).double()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("inputs", "outputs"), [(4, 4), (3, 5), (5, 3)])
def test_the_matrix_is_orthogonal(inputs: int, outputs: int, size: tuple[int, int]) -> None:
    layer = cayley(inputs, outputs)
    pixels = size[0] * size[1]
    with torch.no_grad():
        matrix = layer(torch.eye(inputs * pixels).double().view(-1, inputs, *size)).flatten(1).T
        back = layer.transpose(torch.eye(outputs * pixels).double().view(-1, outputs, *size)).flatten(1).T
    smaller = matrix.T @ matrix if outputs >= inputs else matrix @ matrix.T
    assert (smaller - torch.eye(len(smaller))).abs().max() < 1e-6
    torch.testing.assert_close(back, matrix.T)


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (11, 6)])
def test_singular_values_are_all_1_as_the_projects_own_spectrum_computes_them(size: tuple[int, int]) -> None:
    layer = cayley(3, 4)
    pad = nn.CircularPad2d((0, size[1] - 1, 0, size[0] - 1))
    plain = nn.Conv2d(3, 4, size, bias=False).double()
    with torch.no_grad():
        plain.weight.copy_(layer.kernel(size))
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(plain(pad(images)), layer(images))
    values = singular_values(nn.Sequential(pad, plain), size, "exact")
    torch.testing.assert_close(values, torch.ones_like(values), rtol=0, atol=1e-6)


def test_in_float32_it_is_undone_to_1e_5() -> None:
    layer = cayley(8, 8).float()
    images = torch.randn(1, 8, 33, 40)
    with torch.no_grad():
        assert (layer.transpose(layer(images)) - images).abs().max() < 1e-5


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 2), (2, 3), (3, 2)])
def test_gradients(inputs: int, outputs: int) -> None:
    layer = cayley(inputs, outputs)
    images = torch.randn(1, inputs, 3, 4, dtype=torch.float64, requires_grad=True)

    def apply(images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = torch.func.functional_call(layer, {"weight": weight}, (images,))
        return output

    assert torch.autograd.gradcheck(apply, (images, layer.weight))


def test_the_weight_alone_is_saved(tmp_path: Path) -> None:
    layer = cayley(3, 3)
    save_file(layer.state_dict(), tmp_path / "layer.safetensors")
    other = CayleyConv2d(3, 3).double()
    other.load_state_dict(load_file(tmp_path / "layer.safetensors"))
    images = torch.randn(1, 3, 7, 6, dtype=torch.float64)
    assert torch.equal(other(images), layer(images))


def test_it_moves_with_a_circular_shift() -> None:
    layer = cayley(2, 2)
    images = torch.randn(1, 2, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(layer(images.roll((2, 3), (2, 3))), layer(images).roll((2, 3), (2, 3)))


def test_the_couplings_beside_it_are_undone() -> None:
    layer = CouplingPair(6, 5).double()
    images = torch.randn(1, 6, 7, 5, dtype=torch.float64)
    torch.testing.assert_close(layer.transpose(layer(images)), images)
