"""Penalties and caps: their values, and what training under them does to the norms."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import pytest
import torch
from conv_layers import conv
from torch import nn
from torch.nn.utils import parametrize

from styletransfer.spectrum import (
    NormTracker,
    SpectralPenalty,
    capped_weight,
    conv_operator,
    norm_bounds,
    register_norm_cap,
    register_norm_caps,
    remove_norm_cap,
    spectral_norm,
    state_dict_without_norm_caps,
)
from styletransfer.spectrum.symbol import gram_eigenvalues

SIZE = (10, 10)


def network() -> nn.Sequential:
    return nn.Sequential(
        conv(2, 4, padding=1, padding_mode="replicate"),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 2, 2, stride=2).double(),
    )


def test_the_penalty_is_the_squared_excess() -> None:
    model = network()
    norms = torch.stack([spectral_norm(layer, SIZE) for layer in (model[0], model[2])]).detach()
    cap = float(norms.mean())
    penalty = SpectralPenalty(model, cap, size=SIZE)
    expected = (norms - cap).clamp_min(0).square().sum()
    assert penalty().item() == pytest.approx(expected.item(), rel=1e-3)


@pytest.mark.parametrize("bound", ["unfoldings", "taps", "hoelder"])
def test_penalties_on_bounds_are_those_of_norm_bounds(bound: str) -> None:
    model = network()
    penalty = SpectralPenalty(model, bound=bound, size=SIZE)  # type: ignore[arg-type]
    expected = [norm_bounds(layer, SIZE, bound).upper for layer in (model[0], model[2])]  # type: ignore[arg-type]
    assert [norm.item() for norm in penalty.norms()] == pytest.approx(expected)
    penalty().backward()
    assert all(layer.weight.grad is not None for layer in (model[0], model[2]))


def test_descent_on_the_penalty_brings_all_norms_to_the_cap() -> None:
    model = network()
    penalty = SpectralPenalty(model, 1.0, size=SIZE)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        penalty().backward()
        optimizer.step()
    for layer in (model[0], model[2]):
        assert norm_bounds(layer, SIZE).upper < 1.05


def test_the_penalty_owns_no_parameter_of_the_model() -> None:
    penalty = SpectralPenalty(network())
    assert not list(penalty.parameters())
    assert all(name.endswith("outputs") for name in penalty.state_dict())


def test_training_under_a_cap_obeys_it() -> None:
    layer = conv(2, 2, padding=1, padding_mode="reflect")
    register_norm_cap(layer, 0.5, size=SIZE)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 2, *SIZE, generator=generator, dtype=torch.float64)
    for _ in range(30):
        optimizer.zero_grad()
        (layer(images) - 3 * images).square().mean().backward()
        optimizer.step()
    assert norm_bounds(layer, SIZE).lower <= 0.5 * 1.01
    remove_norm_cap(layer, size=SIZE)
    assert not parametrize.is_parametrized(layer)
    interval = norm_bounds(layer, SIZE)
    assert 0.48 < interval.lower <= interval.upper <= 0.5 * (1 + 1e-6)


def test_the_capped_weight_of_a_copy_leaves_training_undisturbed() -> None:
    layer = conv(2, 2, padding=1)
    register_norm_cap(layer, 0.5, size=SIZE)
    average = copy.deepcopy(layer)
    state = {name: tensor.clone() for name, tensor in average.state_dict().items()}
    plain = conv(2, 2, padding=1)
    plain.weight.data = capped_weight(average, size=SIZE)
    assert 0.49 < norm_bounds(plain, SIZE).upper <= 0.5 * (1 + 1e-6)
    assert all(torch.equal(tensor, state[name]) for name, tensor in average.state_dict().items())
    assert layer(torch.ones(1, 2, *SIZE, dtype=torch.float64)).isfinite().all()


def test_caps_inside_a_network_and_its_state_without_them() -> None:
    model = network()
    register_norm_caps(model, 0.5, size=SIZE)
    capped = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plain = network()
    plain.load_state_dict(state_dict_without_norm_caps(model, size=SIZE))
    assert 0.49 < norm_bounds(plain[0], SIZE).upper <= 0.5 * (1 + 1e-6)
    transposed = plain.get_parameter("2.weight"), model.get_parameter("2.weight")
    assert torch.equal(*transposed)  # only `Conv2d` gets a cap
    assert all(torch.equal(tensor, capped[name]) for name, tensor in model.state_dict().items())


def test_a_module_without_caps_keeps_its_state() -> None:
    layer = conv(1, 2)
    assert state_dict_without_norm_caps(layer).keys() == layer.state_dict().keys()
    register_norm_cap(layer, 0.1)
    assert list(state_dict_without_norm_caps(layer)) == ["weight"]


def test_a_norm_below_the_cap_is_left_alone() -> None:
    layer = conv(2, 2, padding=1)
    weight = layer.weight.detach().clone()
    register_norm_cap(layer, 1e3)
    torch.testing.assert_close(layer.weight.detach(), weight)
    remove_norm_cap(layer)
    torch.testing.assert_close(layer.weight.detach(), weight)


def test_the_weight_is_constant_in_evaluation() -> None:
    inner = conv(2, 3)
    layer = nn.Sequential(nn.ReflectionPad2d(1), inner)
    register_norm_cap(layer, 0.7)
    layer.eval()
    first = inner.weight.detach().clone()
    assert torch.equal(inner.weight.detach(), first)
    assert norm_bounds(layer, (16, 16)).lower == pytest.approx(0.7, rel=1e-2)


def test_a_cap_holds_in_evaluation_from_the_start() -> None:
    layer = conv(2, 3, padding=1).eval()
    register_norm_cap(layer, 0.7)
    assert norm_bounds(layer, (16, 16)).lower == pytest.approx(0.7, rel=1e-2)


def test_a_zero_weight_stays_zero_under_a_cap() -> None:
    layer = conv(1, 1, padding=1)
    layer.weight.data.zero_()
    register_norm_cap(layer, 1.0)
    layer(torch.ones(1, 1, 4, 4, dtype=torch.float64)).sum().backward()
    assert layer.weight.isfinite().all()
    assert all(
        parameter.grad is not None and parameter.grad.isfinite().all() for parameter in layer.parameters()
    )


@pytest.mark.parametrize("cap", [0.0, -1.0, float("nan")])
def test_a_cap_must_be_positive(cap: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        register_norm_cap(conv(1, 1), cap)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="no convolution"):
        SpectralPenalty(nn.Linear(1, 1))
    with pytest.raises(ValueError, match="choose one of"):
        SpectralPenalty(network(), bound="gram")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 0"):
        SpectralPenalty(network(), -1)
    with pytest.raises(TypeError, match="Linear"):
        register_norm_cap(nn.Linear(1, 1), 1)
    with pytest.raises(TypeError, match="no norm cap"):
        remove_norm_cap(conv(1, 1))


def draw_grouped(seed: int) -> nn.Conv2d | nn.ConvTranspose2d:
    """A random grouped or depthwise convolution."""
    draw = random.Random(seed)
    groups, per_group = draw.choice([(2, 2), (4, 2), (8, 1), (3, 1)])
    kernel = draw.choice([1, 2, 3, 5, 7])
    stride, dilation = draw.choice([1, 1, 2]), draw.choice([1, 1, 2])
    padding = draw.randint(0, kernel // 2)
    layer: nn.Conv2d | nn.ConvTranspose2d
    if draw.random() < 0.2:
        layer = nn.ConvTranspose2d(
            groups * per_group, groups, kernel, stride, padding, groups=groups, dtype=torch.float64
        )
        nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(seed))
        return layer
    options = {"stride": stride, "dilation": dilation, "groups": groups, "padding": padding}
    mode = draw.choice(["zeros", "reflect", "replicate", "circular"])
    outputs = groups * draw.randint(1, 2)
    return conv(groups * per_group, outputs, kernel, seed=seed, padding_mode=mode, **options)


def exact_norm(layer: nn.Module, size: tuple[int, int]) -> float:
    operator = conv_operator(layer, size).double()
    groups = [replace(operator, weight=part, groups=1) for part in operator.weight.chunk(operator.groups)]
    matrices = torch.stack([group.dense() for group in groups])
    return float(gram_eigenvalues(matrices).max().sqrt())


def test_two_hundred_capped_grouped_convolutions_obey_their_caps() -> None:
    size = (13, 13)
    for seed in range(200):
        layer = draw_grouped(seed)
        register_norm_cap(layer, 1.0, size=size)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.02)
        direction = torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(seed))
        for _ in range(5):  # pushes some group beyond the one that led at first
            optimizer.zero_grad()
            (layer.weight * direction).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        assert exact_norm(layer, size) <= 1.02, seed


def test_the_norm_and_its_gradient_belong_to_the_leading_group() -> None:
    for groups in (2, 5):
        layer = conv(groups, groups, 7, padding=3, groups=groups)
        track = NormTracker(conv_operator(layer, SIZE))
        for winner in range(groups):
            layer.weight.data[winner] *= 3 / exact_norm(layer, SIZE)
            layer.weight.data *= 2
            norm = spectral_norm(layer, SIZE)
            assert norm.item() == pytest.approx(exact_norm(layer, SIZE), rel=1e-4)
            for _ in range(8):
                followed = track(layer.weight)
            assert followed.item() == pytest.approx(exact_norm(layer, SIZE), rel=1e-2)
            for value in (norm, followed):
                (gradient,) = torch.autograd.grad(value, layer.weight)
                by_group = gradient.flatten(1).norm(dim=1)
                assert int(by_group.count_nonzero()) == 1


def test_the_penalty_brings_all_groups_to_the_cap() -> None:
    layer = conv(6, 6, 7, padding=3, groups=6)
    penalty = SpectralPenalty(layer, 1.0, size=SIZE)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.02)
    for _ in range(600):
        optimizer.zero_grad()
        penalty().backward()
        optimizer.step()
    assert exact_norm(layer, SIZE) < 1.05
