"""The benchmark's smaller decoders: factors that give the kernel back, kernels shared with the encoder."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from styletransfer.model import Architecture, Autoencoder, count_parameters
from styletransfer.spectrum import find_convolutions
from styletransfer.spectrum.composition import Unfolding

pytest.importorskip("scipy")
from benchmarks.smaller_decoders.low_rank import (
    SingularPenalty,
    decompose_decoder,
    factorize_decoder,
    factors_of,
    orthogonality_defect,
)
from benchmarks.smaller_decoders.tied import TransposedConvolution, plain_copy, tie_decoder

ARCHITECTURE = Architecture((4, 6, 8), (2, 2, 1))
UNFOLDINGS: tuple[Unfolding, ...] = ("separable", "channels")


def build() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(ARCHITECTURE).double()


def stylize(network: Autoencoder) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    content, style = torch.rand(2, 1, 3, 21, 18, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        pictures: torch.Tensor = network(content, style)
    return pictures


@pytest.mark.parametrize("unfolding", UNFOLDINGS)
def test_all_singular_values_together_give_the_network_back(unfolding: Unfolding) -> None:
    network = build()
    decompose_decoder(network, None, unfolding)
    torch.testing.assert_close(stylize(network), stylize(build()))
    penalty = SingularPenalty(network.decoder, 1.0)
    assert penalty().item() < 1e-20
    vectors, values, _ = factors_of(penalty.layers[0])
    vectors.data[0] *= 2
    # One vector of length 2 leaves 3 on the diagonal of U^T U - I.
    assert penalty().item() == pytest.approx(9 / len(values) ** 2)


@pytest.mark.parametrize("unfolding", UNFOLDINGS)
def test_two_thin_layers_compute_the_kernel_of_low_rank(unfolding: Unfolding) -> None:
    network, thin = build(), build()
    decompose_decoder(network, 0.5, unfolding)
    factorize_decoder(thin, 0.5, unfolding)
    torch.testing.assert_close(stylize(thin), stylize(network))
    torch.testing.assert_close(stylize(plain_copy(network).double()), stylize(network), rtol=0, atol=1e-4)
    assert (stylize(thin) - stylize(build())).abs().max() > 1e-3
    kernels = [each.weight.numel() for each in find_convolutions(build().decoder.scales).values()]
    factors = [each.weight.numel() for each in find_convolutions(thin.decoder.scales).values()]
    assert sum(factors) <= sum(kernels) / 2


def test_the_penalty_pulls_singular_vectors_back_to_orthogonal() -> None:
    network = build()
    decompose_decoder(network, 0.5, "separable")
    layer = next(iter(find_convolutions(network.decoder.scales).values()))
    vectors = factors_of(layer)[0]
    optimizer = torch.optim.SGD([vectors], 0.1)
    vectors.data += 0.1
    before = orthogonality_defect(layer).item()
    SingularPenalty(network.decoder, 10.0)().backward()
    optimizer.step()
    assert orthogonality_defect(layer).item() < before


def test_a_tied_convolution_is_the_transpose() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 3, padding=1, bias=False).double()
    tied = TransposedConvolution(layer, torch.zeros(3).double())
    images, features = torch.randn(1, 3, 9, 8).double(), torch.randn(1, 5, 9, 8).double()
    back = F.conv2d(features, tied.weight, padding=1)
    torch.testing.assert_close((layer(images) * features).sum(), (images * back).sum())
    inner = (..., slice(1, -1), slice(1, -1))  # borders are replicated there
    torch.testing.assert_close(tied(features)[inner], back[inner])


def test_tied_kernels_are_shared_and_stay_so_in_copies_and_steps() -> None:
    network = build()
    untied = count_parameters(network)
    tie_decoder(network)
    kernels = sum(each.weight.numel() for each in find_convolutions(network.encoder).values())
    assert count_parameters(network) == untied - kernels
    twin = copy.deepcopy(network)
    optimizer = torch.optim.SGD(twin.parameters(), 0.01)
    content, style = torch.rand(2, 1, 3, 16, 16, dtype=torch.float64)
    twin(content, style).square().mean().backward()
    optimizer.step()
    last, before = twin.get_submodule("decoder.scales.0.2"), network.get_submodule("decoder.scales.0.2")
    assert last.kernel is twin.get_submodule("encoder.scales.0.0").weight
    assert isinstance(last.kernel, torch.Tensor)
    assert isinstance(before.kernel, torch.Tensor)
    assert not torch.equal(last.kernel, before.kernel)
    torch.testing.assert_close(stylize(plain_copy(twin).double()), stylize(twin), rtol=0, atol=1e-4)


def test_a_decoder_that_is_no_mirror_image_cannot_be_tied() -> None:
    network = Autoencoder(Architecture((4, 6), (2, 2), decoder_convolutions=(1, 1)))
    with pytest.raises(ValueError, match="numbers of convolutions"):
        tie_decoder(network)
