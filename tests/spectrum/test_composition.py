"""Products and factors of kernels against the chains of layers that they stand for."""

from __future__ import annotations

import pytest
import torch
from conv_layers import conv
from torch import Tensor, nn

from styletransfer.model import Autoencoder, load_model
from styletransfer.spectrum import build_convolution, compose, compose_layers, factorize, norm_bounds

CHAINS: dict[str, list[nn.Conv2d]] = {
    "plain": [conv(3, 4), conv(4, 2, seed=1)],
    "even and rectangular": [conv(3, 4, (2, 5)), conv(4, 2, (4, 1), seed=1)],
    "strides": [conv(3, 4, 2, stride=(2, 3)), conv(4, 2, seed=1, stride=2)],
    "dilations": [conv(2, 4, dilation=(1, 2)), conv(4, 3, (3, 2), seed=1, dilation=3)],
    "first alone": [conv(2, 4, dilation=2, stride=2)],
    "strides and dilations": [conv(2, 4, stride=2, dilation=3), conv(4, 3, seed=1, dilation=2)],
    "groups": [conv(4, 6, groups=2), conv(6, 2, seed=1, groups=2)],
    "depthwise, then pointwise": [conv(4, 8, groups=4), conv(8, 3, 1, seed=1)],
    "groups with a common divisor": [conv(8, 24, groups=4), conv(24, 6, seed=1, groups=6)],
    "three": [conv(3, 4, stride=2), conv(4, 4, seed=1, groups=2), conv(4, 2, seed=2)],
}


def images(channels: int, size: tuple[int, int]) -> Tensor:
    return torch.randn(2, channels, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("size", [(25, 26), (23, 29)])
@pytest.mark.parametrize("name", CHAINS)
def test_one_layer_equals_a_chain_without_padding(name: str, size: tuple[int, int]) -> None:
    layers = CHAINS[name]
    inputs = images(layers[0].in_channels, size)
    torch.testing.assert_close(compose_layers(layers)(inputs), nn.Sequential(*layers)(inputs))


@pytest.mark.parametrize(
    ("size", "strides", "dilation"),
    [((15, 13), (1, 1), 1), ((12, 20), (2, 1), 1), ((20, 12), (2, 2), 2), ((24, 24), (1, 3), 2)],
)
def test_one_layer_equals_a_chain_with_circular_padding(
    size: tuple[int, int], strides: tuple[int, int], dilation: int
) -> None:
    layers = [
        conv(3, 4, padding=1, stride=strides[0], padding_mode="circular"),
        conv(4, 2, padding=dilation, stride=strides[1], dilation=dilation, seed=1, padding_mode="circular"),
        conv(2, 3, padding="same", seed=2, padding_mode="circular"),
    ]
    inputs = images(3, size)
    torch.testing.assert_close(compose_layers(layers)(inputs), nn.Sequential(*layers)(inputs))


def test_biases_go_through() -> None:
    layers = [nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3, groups=2), conv(4, 3).float(), nn.Conv2d(3, 1, 2)]
    inputs = images(2, (11, 12)).float()
    whole = compose_layers(layers)
    assert whole.bias is not None
    torch.testing.assert_close(whole(inputs), nn.Sequential(*layers)(inputs), rtol=1e-4, atol=1e-4)


def test_the_norm_of_a_product_is_at_most_the_product_of_the_norms() -> None:
    layers = [conv(3, 4, padding=1, padding_mode="circular"), conv(4, 2, padding=1, padding_mode="circular")]
    bounds = [norm_bounds(layer, (9, 8)) for layer in (*layers, compose_layers(layers))]
    assert bounds[2].lower <= bounds[0].upper * bounds[1].upper
    assert bounds[2].upper < 0.99 * bounds[0].lower * bounds[1].lower


def test_padding_that_no_single_layer_has_is_refused() -> None:
    for mode in ("zeros", "reflect", "replicate"):
        with pytest.raises(ValueError, match="circular"):
            compose_layers([conv(1, 1, padding_mode="circular"), conv(1, 1, padding=1, padding_mode=mode)])
    with pytest.raises(ValueError, match="no layer"):
        compose_layers([])
    with pytest.raises(ValueError, match="even kernel"):
        compose_layers([conv(1, 1, 2, padding="same", padding_mode="circular")])


def test_kernels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot follow"):
        compose(torch.ones(3, 2, 3, 3), torch.ones(2, 4, 3, 3))
    with pytest.raises(ValueError, match="do not divide"):
        compose(torch.ones(4, 2, 3, 3), torch.ones(2, 4, 3, 3), groups=(3, 1))
    for rank, unfolding in ((0, "separable"), (1, "rows")):
        with pytest.raises(ValueError, match="no factorization"):
            factorize(torch.ones(2, 2, 3, 3), rank, unfolding)  # type: ignore[arg-type]


def test_gradients() -> None:
    first, second = (layer.weight.detach().requires_grad_() for layer in CHAINS["groups"])
    options = {"stride": (1, 2), "dilations": (2, (1, 3)), "groups": (2, 2)}
    assert torch.autograd.gradcheck(lambda a, b: compose(a, b, **options), (first, second))  # type: ignore[arg-type]
    kernel = conv(2, 3).weight.detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda k: compose(*factorize(k, 2)), (kernel,))


@pytest.mark.parametrize("unfolding", ["separable", "channels"])
@pytest.mark.parametrize("kernel", [3, (5, 2), (1, 4)])
def test_factors_give_the_kernel_back_at_full_rank(unfolding: str, kernel: int | tuple[int, int]) -> None:
    weight = conv(3, 5, kernel).weight.detach()
    first, second = factorize(weight, 100, unfolding)  # type: ignore[arg-type]
    torch.testing.assert_close(compose(first, second), weight)
    layers = [build_convolution(part) for part in (first, second)]
    for layer in layers:
        layer.padding = (0, 0)
    inputs = images(3, (9, 9))
    torch.testing.assert_close(nn.Sequential(*layers)(inputs), nn.functional.conv2d(inputs, weight))


@pytest.mark.parametrize("unfolding", ["separable", "channels"])
def test_the_error_of_lower_ranks_is_what_eckart_and_young_say(unfolding: str) -> None:
    weight = conv(3, 5).weight.detach()
    columns = 1 if unfolding == "separable" else 3
    values = torch.linalg.svdvals(weight.permute(1, 2, 3, 0).reshape(9 * columns, -1))
    for rank in range(1, len(values)):
        error = weight - compose(*factorize(weight, rank, unfolding))  # type: ignore[arg-type]
        torch.testing.assert_close(error.norm(), values[rank:].norm())


def test_a_blur_is_separable() -> None:
    taps = torch.tensor([1.0, 4, 6, 4, 1], dtype=torch.float64) / 16
    blur = torch.outer(taps, taps)[None, None]
    first, second = factorize(blur, 1)
    assert (first.shape, second.shape) == ((1, 1, 5, 1), (1, 1, 1, 5))
    torch.testing.assert_close(compose(first, second), blur)


@pytest.mark.slow
def test_the_linear_encoder_is_the_encoder_without_activations() -> None:
    pytest.importorskip("scipy")
    from benchmarks.spectrum.composition import jacobian, linear_encoder

    network = load_model().network
    assert isinstance(network, Autoencoder)
    encoder = network.encoder
    scales = linear_encoder(encoder)
    layers = [layer for scale in scales for layer in scale]
    assert len(layers) == 12
    assert compose_layers(layers[:8]).kernel_size == (32, 32)
    picture = images(16, (8, 6))
    torch.testing.assert_close(scales[1][0](picture), encoder.pool(picture))
    assert 0 < jacobian(encoder, 1, 16) < 2119
