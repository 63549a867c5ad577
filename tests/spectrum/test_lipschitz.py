"""Bounds of whole networks, against the Jacobians of linear ones and measured differences."""

from __future__ import annotations

import math

import pytest
import torch
from conv_layers import conv, dense_matrix
from torch import Tensor, nn
from torch.nn import functional

from styletransfer.spectrum import lipschitz, norm_bounds

SIZE = (8, 8)


def chain(*modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(*modules).double().eval()


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = conv(2, 2, padding=1)
        self.scale = nn.Parameter(torch.full((2, 1, 1), 0.5, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.body(x)) + self.scale * x
        return torch.cat([y, functional.max_pool2d(x, 3, stride=1, padding=1)], 1)


def test_a_linear_network_lies_between_its_bounds() -> None:
    network = chain(
        conv(2, 3, padding=1),
        nn.AvgPool2d(2),
        nn.ReflectionPad2d(1),
        conv(3, 3, seed=1),
        nn.Upsample(scale_factor=2),
    )
    report = lipschitz(network, SIZE)
    exact = float(torch.linalg.matrix_norm(dense_matrix(network, 2, SIZE), 2))
    assert report.lower == pytest.approx(exact, rel=0.02)
    assert report.lower <= exact <= report.upper
    assert report.gap == report.upper / report.lower


def test_the_bound_is_the_product_of_the_layers() -> None:
    network = chain(conv(2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), conv(3, 2, padding=1), nn.Sigmoid())
    report = lipschitz(network, SIZE)
    assert [layer.name for layer in report.layers] == ["0", "3", "4"]
    assert [layer.size for layer in report.layers] == [(8, 8), (4, 4), (4, 4)]
    assert report.upper == pytest.approx(math.prod(layer.upper for layer in report.layers))
    assert report.layers[0].upper == norm_bounds(network[0], SIZE).upper


def test_a_padding_module_is_bounded_with_its_convolution() -> None:
    network = chain(nn.ReplicationPad2d(1), conv(1, 1))
    (layer,) = lipschitz(network, SIZE).layers
    assert layer.upper == norm_bounds(network, SIZE).upper


def test_batch_normalization_is_folded_into_the_convolution() -> None:
    norm = nn.BatchNorm2d(3)
    network = chain(conv(2, 3, padding=1), norm)
    assert norm.running_var is not None
    norm.running_var.uniform_(0.1, 2, generator=torch.Generator().manual_seed(0))
    report = lipschitz(network, SIZE)
    exact = float(torch.linalg.matrix_norm(dense_matrix(network, 2, SIZE), 2))
    assert report.upper == pytest.approx(exact, rel=1e-6)


def test_sums_and_concatenations() -> None:
    network = Residual().eval()
    body = norm_bounds(network.body, SIZE).upper
    report = lipschitz(network, SIZE)
    assert report.upper == pytest.approx(math.hypot(body + 0.5, 3), rel=1e-9)
    assert 0 < report.lower <= report.upper


@pytest.mark.parametrize(
    ("module", "gain"),
    [
        (nn.Upsample(scale_factor=2, mode="nearest"), 2),
        (nn.Upsample(scale_factor=2, mode="bilinear"), 2),
        (nn.AvgPool2d(2), 0.5),
        (nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False), 0.5),
        (nn.MaxPool2d(2), 1),
        (nn.MaxPool2d(3, stride=2, padding=1), 2),
        (nn.LeakyReLU(-1.5), 1.5),
        (nn.ReflectionPad2d(1), 2),
    ],
)
def test_other_operations(module: nn.Module, gain: float) -> None:
    # Between two 1 x 1 identities, so that padding has no convolution to join.
    identity = conv(1, 1, 1)
    identity.weight.data.fill_(1)
    report = lipschitz(chain(identity, module, nn.ReLU()), SIZE)
    assert report.upper == pytest.approx(gain, rel=1e-9)
    assert report.lower <= report.upper * (1 + 1e-9)


def test_differences_of_outputs_never_exceed_the_bound() -> None:
    network = chain(conv(1, 4, padding=1), nn.ReLU(), nn.MaxPool2d(3, 1, 1), nn.GELU(), conv(4, 2, padding=1))
    report = lipschitz(network, SIZE)
    generator = torch.Generator().manual_seed(0)
    for scale in (1e-3, 1.0, 30.0):
        a, b = (torch.randn(1, 1, *SIZE, generator=generator, dtype=torch.float64) * scale for _ in range(2))
        assert (network(a) - network(b)).norm() <= report.upper * (a - b).norm()


def test_operations_without_a_bound_are_named() -> None:
    with pytest.raises(ValueError, match="Softmax"):
        lipschitz(chain(conv(1, 1), nn.Softmax(1)), SIZE)
    with pytest.raises(ValueError, match="training mode"):
        lipschitz(chain(conv(1, 1), nn.BatchNorm2d(1)).train(), SIZE)
    with pytest.raises(ValueError, match="bicubic"):
        lipschitz(chain(conv(1, 1), nn.Upsample(scale_factor=2, mode="bicubic")), SIZE)
    with pytest.raises(ValueError, match="no convolution"):
        lipschitz(chain(nn.ReLU()), SIZE)


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_networks_that_cannot_be_traced_are_named() -> None:
    with pytest.raises(ValueError, match="Branching cannot be traced"):
        lipschitz(Branching(), SIZE, inputs=torch.ones(1, 1, *SIZE))
