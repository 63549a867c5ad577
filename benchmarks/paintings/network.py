"""ResNet-20 for paintings, with any normalization in the first place or in all, and what holds its norms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from styletransfer.linalg import ZCAWhitening
from styletransfer.spectrum import (
    SpectralPenalty,
    conv_operator,
    conv_symbol,
    find_convolutions,
    register_norm_caps,
)
from styletransfer.spectrum.circulant_embedding import embed_in_circulant
from styletransfer.spectrum.symbol_peaks import find_peaks

from ..classification import EPS, PeerWhitening
from ..linalg.peers import PEERS
from .pictures import MOVEMENTS

STEM = 64  # channels of the first convolution, so that groups of up to 64 can be whitened
WIDTHS = (16, 32, 64)
BLOCKS = 3
SIZE = (16, 16)  # rows and columns of the images at which all norms are taken
PEER_OF = {
    "eigh autograd": "eigh autograd",
    "clipped": "clip 0.01",
    "power iteration": "power iteration 19",
    "taylor 9": "taylor 9",
    "newton-schulz": "newton-schulz 5",  # the iteration of IterNorm, at its number of steps
}
NormalizationFactory = Callable[[int], nn.Module]  # channels -> layer


def normalization(method: str, dimension: int) -> NormalizationFactory:
    """Return what builds a normalization of given channels, whitened in groups of at most `dimension`."""
    if method == "batch norm":
        return nn.BatchNorm2d
    if method == "exact":
        return lambda channels: ZCAWhitening(channels, groups=max(1, channels // dimension), eps=EPS)
    peer = PEERS[PEER_OF[method]]
    return lambda channels: PeerWhitening(channels, max(1, channels // dimension), peer)


def build_network(first: NormalizationFactory, others: NormalizationFactory) -> nn.Sequential:
    """Return the network for [B, 3, 96, 96], with one normalization in the stem and another in all blocks."""
    layers: list[nn.Module] = [nn.Conv2d(3, STEM, 7, stride=6, padding=3, bias=False), first(STEM), nn.ReLU()]
    width = STEM
    for outputs in WIDTHS:
        for block in range(BLOCKS):
            shortcut = None
            if not block:
                shortcut = nn.Sequential(nn.Conv2d(width, outputs, 1, stride=2, bias=False), others(outputs))
            layers.append(BasicBlock(width, outputs, 1 if block else 2, shortcut, norm_layer=others))
            width = outputs
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, len(MOVEMENTS)))
    return nn.Sequential(*layers, *head).to(memory_format=torch.channels_last)


class SymbolPenalty(nn.Module):
    """The sum of squares of the largest gains of the symbols, ||F(w)|| at the peak w of each layer.

    This bounds the norms on images of every size, and is what the bound of a twisted circulant approaches on
    large ones. Between two searches of the peaks the gain is taken at the last peaks.

    Args:
        network: Network whose `Conv2d` are all penalized.
        every: Calls from one search to the next; a search takes as long as dozens of steps.
    """

    def __init__(self, network: nn.Module, every: int = 24) -> None:
        super().__init__()
        convolutions = find_convolutions(network).values()
        self._layers = [layer for layer in convolutions if isinstance(layer, nn.Conv2d)]
        self.every, self.calls = every, 0
        self.frequencies: list[Tensor] = []

    def forward(self) -> Tensor:
        """Return the penalty of the present weights."""
        if self.calls % self.every == 0:
            self.frequencies = [_find_peak(layer) for layer in self._layers]
        self.calls += 1
        symbols = [
            conv_symbol(layer.weight, at, stride=(layer.stride[0], layer.stride[1]))
            for layer, at in zip(self._layers, self.frequencies, strict=True)
        ]
        return torch.stack([torch.linalg.matrix_norm(symbol, 2) for symbol in symbols]).square().sum()


@torch.no_grad()
def _find_peak(layer: nn.Conv2d) -> Tensor:
    circulant = embed_in_circulant(conv_operator(layer, SIZE).double())
    return torch.tensor(find_peaks(circulant).peaks[0].frequency).to(layer.weight)


PENALTIES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "unfoldings": partial(SpectralPenalty, bound="unfoldings"),
    "taps": partial(SpectralPenalty, bound="taps"),
    "hoelder": partial(SpectralPenalty, bound="hoelder"),
    "symbol": SymbolPenalty,
    "norm": SpectralPenalty,
}
CAPS: dict[str, Callable[[nn.Module, float], None]] = {"norm cap": register_norm_caps}
