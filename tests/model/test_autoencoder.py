"""The network: shapes for every size, the identity where it must hold, gradients everywhere."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from styletransfer.errors import WeightsError
from styletransfer.linalg import Statistics
from styletransfer.model import Architecture, Autoencoder, count_parameters, measure_levels


@pytest.fixture
def network() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(Architecture((4, 6, 8), (2, 1, 1))).eval()


def pictures(*size: int, batch: int = 1, seed: int = 1) -> Tensor:
    return torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (2, 3), (5, 4), (31, 40), (33, 64)])
def test_every_size_comes_back(network: Autoencoder, size: tuple[int, int]) -> None:
    stylized = network(pictures(*size), pictures(24, 17, seed=2))
    assert stylized.shape == (1, 3, *size)
    assert torch.isfinite(stylized).all()


def test_features_halve_rounding_up(network: Autoencoder) -> None:
    shapes = [tuple(level.shape[1:]) for level in network.encode(pictures(13, 20))]
    assert shapes == [(3, 13, 20), (4, 13, 20), (6, 7, 10), (8, 4, 5)]


def test_batch_equals_loop(network: Autoencoder) -> None:
    contents, style = pictures(16, 24, batch=3), pictures(20, 20, seed=2)
    together = network(contents, style)
    apart = torch.cat([network(content[None], style) for content in contents])
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)


def test_decoder_reaches_the_target_statistics(network: Autoencoder) -> None:
    """The picture, and what every decoder scale begins with, have the style's mean and covariance."""
    style_levels = measure_levels(network.encode(pictures(40, 40, seed=2)))
    received: dict[int, Statistics] = {}
    for level, scale in enumerate(network.decoder.scales, 1):

        def record(_: object, inputs: tuple[Tensor], level: int = level) -> None:
            received[level] = measure_levels([inputs[0]])[0]

        scale.register_forward_pre_hook(record)
    with torch.no_grad():
        painted = network.decode(network.encode(pictures(48, 48)), style_levels)
    received[0] = measure_levels([painted])[0]
    for level, target in enumerate(style_levels):
        scale_of = target.covariance.norm()
        torch.testing.assert_close(received[level].mean, target.mean, atol=1e-4, rtol=1e-4)
        assert (received[level].covariance - target.covariance).norm() < 0.02 * scale_of


def test_own_statistics_at_the_deepest_level_change_nothing(network: Autoencoder) -> None:
    from styletransfer.transfer import transfer_features

    deepest = network.encode(pictures(32, 32))[-1]
    moved = transfer_features(deepest, measure_levels([deepest])[0])
    torch.testing.assert_close(moved, deepest, atol=1e-4, rtol=1e-3)


def test_every_parameter_learns(network: Autoencoder) -> None:
    network.train()(pictures(24, 24), pictures(24, 24, seed=2)).pow(4).mean().backward()
    # The mean of the picture is the target's: the biases that paint it have nothing to learn.
    idle = {"decoder.scales.0.2.bias"}
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 1e-6 or name in idle, name


def test_the_encoder_learns_from_the_style_too(network: Autoencoder) -> None:
    with torch.no_grad():
        content = network.encode(pictures(24, 24))
    targets = measure_levels(network.train().encode(pictures(24, 24, seed=2)))
    # The mean square of a picture is its target's, whatever the network: higher moments are its own.
    network.decode(content, targets).pow(4).mean().backward()  # type: ignore[no-untyped-call]
    for parameter in network.encoder.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_default_is_small() -> None:
    assert count_parameters(Autoencoder()) < 600_000


@pytest.mark.parametrize("decoder", [None, (2, 1)])
def test_architecture_round_trip(decoder: tuple[int, ...] | None) -> None:
    architecture = Architecture((4, 8), (1, 2), decoder_convolutions=decoder)
    assert Architecture.from_json(architecture.to_json()) == architecture
    with pytest.raises(WeightsError, match="unknown architecture"):
        Architecture.from_json('{"widths": [4], "convolutions": [1]}')
    assert architecture.stride == 2
    assert architecture.decoder_depths == (decoder or (1, 2))


def test_the_decoder_may_be_deeper_than_the_encoder() -> None:
    network = Autoencoder(Architecture((4, 6), (1, 1), decoder_convolutions=(3, 1)))
    for scales, depths in ((network.encoder.scales, [1, 1]), (network.decoder.scales, [3, 1])):
        assert [sum(isinstance(each, nn.Conv2d) for each in scale.children()) for scale in scales] == depths
    assert network(pictures(9, 7), pictures(8, 8)).shape == (1, 3, 9, 7)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"widths": 3}',
        '{"depth": [1]}',
        '{"widths": [4], "convolutions": [0]}',
        '{"widths": [4], "convolutions": [1], "decoder_convolutions": [1, 1]}',
        '{"widths": [4], "convolutions": [1], "negative_slope": 1.5}',
    ],
)
def test_unknown_architecture_is_refused(text: str) -> None:
    with pytest.raises(WeightsError):
        Architecture.from_json(text)


@pytest.mark.parametrize(
    ("keys", "strengths"),
    [
        ((0, 4), (0.5, 1.0)),  # fewer than scales
        ((0, 4, 4), (0.5, 0.0, 1.0)),  # a scale between matched ones
        ((0, 4, 4), (0.0, 1.0, 0.0)),  # not up to the coarsest
        ((4, 4, 0), (0.5, 1.0, 1.0)),  # no keys where they are needed
        ((0, 4, 4), (0.5, 1.0, 1.5)),
        ((0, 4, -4), (0.5, 1.0, 1.0)),
    ],
)
def test_matching_that_fits_no_network_is_refused(
    keys: tuple[int, ...], strengths: tuple[float, ...]
) -> None:
    with pytest.raises(WeightsError, match="matching"):
        Architecture((4, 6, 8), (1, 1, 1), key_widths=keys, match_strengths=strengths)
