"""The benchmark's reference against dense matrices, and its peers against the claims of their papers."""

from __future__ import annotations

import pytest
import torch
from conv_layers import conv, draw_layer, laplacian

from styletransfer.spectrum import conv_operator

pytest.importorskip("scipy")
from benchmarks.spectrum.layers import BASIS, leading_pairs
from benchmarks.spectrum.peers import PEERS

BOUNDS = ("LipBound", "Gram iteration in space (norm2toep)")


@pytest.mark.parametrize("seed", range(8))
def test_the_reference_is_exact(seed: int) -> None:
    layer, _, size = draw_layer(seed)
    operator = conv_operator(layer, size)
    norms, images = leading_pairs(operator)
    exact = torch.linalg.svdvals(operator.double().dense())[:2]
    torch.testing.assert_close(norms, exact, rtol=1e-9, atol=1e-12)
    stretched = operator.double().apply(images).flatten(1).norm(dim=1)
    torch.testing.assert_close(stretched, exact, rtol=1e-9, atol=1e-12)


def test_the_reference_handles_small_layers_and_ties() -> None:
    small = conv_operator(conv(1, 2, padding=1), (4, 5))
    assert small.input_shape[1] * small.input_shape[2] <= BASIS
    norms, _ = leading_pairs(small)
    torch.testing.assert_close(norms, torch.linalg.svdvals(small.double().dense())[:2])
    twice = conv(2, 2, padding=1, groups=2)
    twice.weight.data[1] = twice.weight.data[0]  # every singular value comes twice
    norms, images = leading_pairs(conv_operator(twice, (9, 9)))
    torch.testing.assert_close(norms[0], norms[1])
    assert abs(float(images[0].flatten() @ images[1].flatten())) < 1e-9


@pytest.mark.parametrize("peer", BOUNDS)
@pytest.mark.parametrize("seed", range(4))
def test_published_bounds_hold(peer: str, seed: int) -> None:
    layer = conv(3, 4, padding=1, seed=seed)
    exact = leading_pairs(conv_operator(layer, (8, 8)))[0][0].item()
    assert exact <= PEERS[peer](layer.weight.detach(), 8) < 4 * exact


def test_circular_peers_are_exact_on_circular_padding_but_for_zeros() -> None:
    layer = conv(3, 2, padding=1, padding_mode="circular")
    exact = leading_pairs(conv_operator(layer, (8, 8)))[0][0].item()
    weight = layer.weight.detach()
    assert PEERS["circular (Sedghi)"](weight, 8) == pytest.approx(exact, rel=1e-9)
    assert PEERS["Gram iteration, circular"](weight, 8) == pytest.approx(exact, rel=0.02)
    # As published: 0 / 0 where the symbol vanishes.
    assert torch.tensor(PEERS["Gram iteration, circular"](laplacian().weight.detach(), 8)).isnan()
