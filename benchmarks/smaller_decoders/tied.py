"""Decoders whose convolutions are the transposes of the encoder's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styletransfer.model import Autoencoder
from styletransfer.spectrum import find_convolutions


class TransposedConvolution(nn.Module):
    """The transpose of a 3x3 convolution, up to the borders, which are replicated, with a bias of its own.

    Args:
        layer: The convolution. Its kernel is shared, so that training moves both.
        bias: Initial bias, one number per input channel of the layer.

    Source: Xu 1993, least mean square error reconstruction (Lmser); Huang et al. 2019 (arXiv 1904.06307), its
    convolutional form, "duality in connection weights".
    Differs: not the neurons are shared, only the weights; the skip connections stay.
    """

    def __init__(self, layer: nn.Conv2d, bias: Tensor) -> None:
        super().__init__()
        self.kernel = layer.weight
        self.bias = nn.Parameter(bias.detach().clone())

    @property
    def weight(self) -> Tensor:
        """The kernel as that of a plain convolution, [in, out, 3, 3]."""
        return self.kernel.transpose(0, 1).flip(2, 3)

    def forward(self, features: Tensor) -> Tensor:
        """Map features [B, out, H, W] of the layer to [B, in, H, W]."""
        return F.conv2d(F.pad(features, (1, 1, 1, 1), mode="replicate"), self.weight, self.bias)


def tie_decoder(network: Autoencoder) -> None:
    """Replace the convolutions of a decoder by the transposes of the encoder's, in reverse order.

    Raises:
        ValueError: The decoder is no mirror image of the encoder.
    """
    if network.architecture.decoder_depths != network.architecture.convolutions:
        raise ValueError("encoder and decoder have different numbers of convolutions")
    for encoder, decoder in zip(network.encoder.scales, network.decoder.scales, strict=True):
        assert isinstance(decoder, nn.Sequential)
        kernels = list(find_convolutions(encoder).values())
        places = [index for index, layer in enumerate(decoder) if isinstance(layer, nn.Conv2d)]
        for layer, place in zip(reversed(kernels), places, strict=True):
            assert isinstance(layer, nn.Conv2d)
            decoder[place] = TransposedConvolution(layer, decoder[place].get_parameter("bias"))


@torch.no_grad()
def plain_copy(network: Autoencoder) -> Autoencoder:
    """Return a network without ties or parametrizations that computes the same."""
    plain = Autoencoder(network.architecture)
    state = {name: value for name, value in network.state_dict().items() if name in plain.state_dict()}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | TransposedConvolution):
            state[f"{name}.weight"] = layer.weight
    plain.load_state_dict(state)
    return plain.eval()
