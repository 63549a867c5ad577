"""Caps on the norms of the decoder's convolutions: on while it trains, off in the weights that are kept."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

from ..model import Autoencoder
from ..spectrum import capped_weight, register_norm_cap


def cap_decoder(network: Autoencoder, cap: float) -> None:
    """Keep the norm of every convolution of the decoder at or below a cap from now on."""
    for layer in network.decoder.modules():
        if isinstance(layer, nn.Conv2d):
            register_norm_cap(layer, cap)


def without_caps(network: Autoencoder) -> Autoencoder:
    """Return the network with plain weights, certified to obey their caps; itself if it has none."""
    capped = {
        f"{name}.weight": capped_weight(layer)
        for name, layer in network.named_modules()
        if parametrize.is_parametrized(layer)
    }
    if not capped:
        return network
    rest = {name: tensor for name, tensor in network.state_dict().items() if "parametrizations" not in name}
    with torch.device("meta"):  # draws no random numbers
        plain = Autoencoder(network.architecture)
    plain.load_state_dict(rest | capped, assign=True)
    return plain
