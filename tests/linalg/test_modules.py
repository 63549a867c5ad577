"""The layers: whitening as a decorrelated batch normalization, and whitening and coloring."""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

from styletransfer.linalg import (
    NumericalError,
    WhiteningColoring,
    ZCAWhitening,
    compute_statistics,
    whitening_coloring,
)

from .matrices import random_features


def covariance_of(features: torch.Tensor) -> torch.Tensor:
    """Return the covariance over batch and samples, [C, C]."""
    return compute_statistics(features.transpose(0, 1).flatten(1)[None]).covariance[0]


@pytest.mark.parametrize("shape", [(20, 6), (4, 6, 30), (4, 6, 5, 6)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_output_is_white(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    features = random_features(shape[0], 6, 30)[..., : torch.Size(shape[2:]).numel()].reshape(shape)
    layer = ZCAWhitening(6).to(device, dtype)
    result = layer(features.to(device, dtype))
    assert result.shape == shape
    assert result.dtype == dtype
    identity = torch.eye(6, dtype=torch.float64, device=device)
    torch.testing.assert_close(covariance_of(result).double(), identity, rtol=0, atol=2e-3)


def test_groups_are_whitened_separately() -> None:
    features = random_features(4, 6, 30)
    together = ZCAWhitening(6, groups=2, affine=False)(features)
    apart = [ZCAWhitening(3, affine=False)(part) for part in (features[:, :3], features[:, 3:])]
    torch.testing.assert_close(together, torch.cat(apart, dim=1))


def test_running_statistics_follow_the_batches() -> None:
    layer = ZCAWhitening(3, momentum=0.1).double()
    first, second = (compute_statistics(random_features(1, 3, 50, seed=s)) for s in (0, 1))
    for seed in (0, 1):
        layer(random_features(1, 3, 50, seed=seed))
    unbiased = [statistics.covariance[0] * 50 / 49 for statistics in (first, second)]
    expected = 0.9 * (0.9 * torch.eye(3).double() + 0.1 * unbiased[0]) + 0.1 * unbiased[1]
    torch.testing.assert_close(layer.running_covariance[0], expected)
    torch.testing.assert_close(layer.running_mean[0], 0.09 * first.mean[0] + 0.1 * second.mean[0])
    assert layer.num_batches_tracked == 2


def test_running_covariance_is_unbiased_like_that_of_batch_normalization() -> None:
    layer, reference = ZCAWhitening(1, momentum=0.3).double(), nn.BatchNorm1d(1, momentum=0.3).double()
    for seed, samples in ((0, 2), (1, 5)):
        features = random_features(1, 1, samples, seed=seed)[0].mT
        layer(features)
        reference(features)
    assert reference.running_var is not None
    torch.testing.assert_close(layer.running_covariance[0, 0], reference.running_var)


def test_momentum_none_averages_over_all_batches() -> None:
    layer = ZCAWhitening(3, momentum=None).double()
    batches = [random_features(1, 3, 50, seed=seed) for seed in range(4)]
    for batch in batches:
        layer(batch)
    parts = [compute_statistics(batch) for batch in batches]
    torch.testing.assert_close(layer.running_mean, sum(part.mean for part in parts) / 4)
    expected = sum(part.covariance for part in parts) / 4 * 50 / 49
    torch.testing.assert_close(layer.running_covariance, expected)


@pytest.mark.parametrize("shape", [(0, 6), (0, 6, 5, 5), (3, 6, 0)], ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_empty_batch_gives_an_empty_result(training: bool, shape: tuple[int, ...]) -> None:
    layer = ZCAWhitening(6, groups=2).train(training)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    features = torch.zeros(shape, requires_grad=True)
    result = layer(features)
    assert result.shape == shape
    result.sum().backward()
    assert features.grad is not None
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name])


def test_evaluation_uses_and_keeps_the_running_statistics() -> None:
    layer = ZCAWhitening(3).double()
    features = random_features(2, 3, 50)
    for _ in range(300):
        layer(features)
    in_training = layer(features)
    layer.eval()
    layer.running_covariance *= 99 / 100  # biased, as in training
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    torch.testing.assert_close(layer(features), in_training, rtol=1e-6, atol=1e-6)
    alone = layer(features[:1, :, :1])  # One sample has no covariance of its own.
    torch.testing.assert_close(alone, in_training[:1, :, :1], rtol=1e-6, atol=1e-6)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name])


def test_state_is_saved_and_loaded() -> None:
    layer, copy = ZCAWhitening(6, groups=2), ZCAWhitening(6, groups=2)
    layer(random_features(4, 6, 30).float())
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    copy.load_state_dict(torch.load(file, weights_only=True))
    features = random_features(1, 6, 5, seed=1).float()
    assert torch.equal(copy.eval()(features), layer.eval()(features))


def test_affine_scales_and_shifts() -> None:
    layer = ZCAWhitening(3)
    assert layer.weight is not None
    assert layer.bias is not None
    features = random_features(2, 3, 50).float()
    plain = layer(features)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
        layer.bias.copy_(torch.tensor([0.0, -1.0, 1.0]))
    expected = plain * layer.weight[:, None] + layer.bias[:, None]
    torch.testing.assert_close(layer(features), expected)
    assert not list(ZCAWhitening(3, affine=False).parameters())


@pytest.mark.parametrize("training", [True, False])
def test_gradients(training: bool) -> None:
    layer = ZCAWhitening(4, groups=2).double().train(training)
    assert gradcheck(layer, random_features(2, 4, 3).requires_grad_())


def test_a_network_with_dead_and_tied_channels_trains() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), ZCAWhitening(16), nn.Linear(16, 2))
    linear = network[0]
    assert isinstance(linear, nn.Linear)
    with torch.no_grad():
        linear.bias[:4] = -100  # dead
        linear.weight[5], linear.bias[5] = linear.weight[4], linear.bias[4]  # tied
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    inputs, labels = torch.randn(64, 8), torch.randint(2, (64,))
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(inputs), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.isfinite(p).all() for p in network.parameters())


def test_invalid_input_raises() -> None:
    with pytest.raises(ValueError, match="4 groups do not divide 6 channels"):
        ZCAWhitening(6, groups=4)
    with pytest.raises(ValueError, match=r"\[B, 6, ...\]"):
        ZCAWhitening(6)(torch.ones(2, 5, 3))
    with pytest.raises(NumericalError, match="NaN"):
        ZCAWhitening(3)(torch.full((1, 3, 4), torch.nan))


def test_repr_shows_the_options() -> None:
    assert repr(ZCAWhitening(6, groups=2)) == "ZCAWhitening(6, groups=2, eps=1e-05, momentum=0.1)"
    assert "method='monge'" in repr(WhiteningColoring(method="monge"))


def test_whitening_coloring_layer_is_the_function() -> None:
    x, z = random_features(2, 4, 9), random_features(2, 4, 7, seed=1)
    weights = torch.rand(2, 9, dtype=torch.float64)
    layer = WhiteningColoring(eps=1e-3, alpha=0.5, method="monge")
    expected = whitening_coloring(x, z, eps=1e-3, alpha=0.5, method="monge", content_weights=weights)
    assert torch.equal(layer(x, z, weights), expected)
