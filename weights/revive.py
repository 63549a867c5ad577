"""Reinitialize the dead channels of a model and make its activations leaky.

    python weights/revive.py MODEL NEW.safetensors --content PHOTOS --style ARTWORKS

PHOTOS and ARTWORKS are folders or tar archives, as for training. A channel is dead if it is positive at less
than one pixel in a hundred. Layer by layer, in the order of computation, dead channels get random weights
that are scaled and shifted so that the channel has mean zero and varies as much as the living channels of its
layer. The weights with which later layers read the channel become zero. Whitening still mixes the channel
into its neighbors, so the new model has to be trained further. The number of dead channels per layer is
printed before and after.

Source: Sokar et al. 2023 (arXiv 2302.12902), recycling of dormant neurons.
Differs: channels are reinitialized once, between two runs, instead of at intervals during one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from styletransfer.model import Autoencoder, load_model, save_model
from styletransfer.training.data import PicturePool, crop_randomly

MIN_ACTIVE = 0.01  # share of pixels at which a living channel is positive
PAIRS, CROP = 6, 192
# Scale of reinitialized channels that are added to living features instead of being read by another layer.
RESIDUAL_SCALE = 0.1


class ConvolutionLayers:
    """The convolutions of a network that are followed by an activation, in the order of computation.

    Args:
        model: The network.
        content: Pictures [B, 3, H, W] on which the network is run.
        style: Styles [B, 3, H, W] of these pictures.
    """

    def __init__(self, model: Autoencoder, content: Tensor, style: Tensor) -> None:
        self.model, self.content, self.style = model, content, style
        self.encoder, self.decoder = (
            [[layer for layer in scale.children() if isinstance(layer, nn.Conv2d)] for scale in part.scales]
            for part in (model.encoder, model.decoder)
        )

    def __iter__(self) -> Iterator[tuple[str, nn.Conv2d]]:
        for scale, layers in enumerate(self.encoder):
            for index, layer in enumerate(layers):
                yield f"encoder {scale}.{index}", layer
        for scale in range(len(self.decoder) - 1, -1, -1):
            for index, layer in enumerate(self.decoder[scale]):
                if scale or index < len(self.decoder[scale]) - 1:
                    yield f"decoder {scale}.{index}", layer

    def find_readers(self, wanted: nn.Conv2d) -> list[nn.Conv2d]:
        """List the convolutions whose input is the output of a convolution.

        The list is empty for the last convolution of a decoder scale, whose output is added to other
        features.
        """
        for layers in (*self.encoder, *self.decoder):
            for layer, following in pairwise(layers):
                if layer is wanted:
                    return [following]
        for scale, layers in enumerate(self.encoder):
            if layers[-1] is wanted:
                return [self.decoder[scale][0], *(below[0] for below in self.encoder[scale + 1 : scale + 2])]
        return []

    @torch.no_grad()
    def compute_outputs(self) -> dict[nn.Conv2d, Tensor]:
        """Return the outputs [C, N] of the convolutions at all pixels of all pictures, before activation."""
        outputs: dict[nn.Conv2d, list[Tensor]] = {layer: [] for _, layer in self}

        def keep(layer: nn.Module, _: object, result: Tensor) -> None:
            assert isinstance(layer, nn.Conv2d)
            outputs[layer].append(result.transpose(0, 1).flatten(1))  # a copy: activations are in place

        hooks = [layer.register_forward_hook(keep) for layer in outputs]
        self.model(self.content, self.style)
        for hook in hooks:
            hook.remove()
        return {layer: torch.cat(results, 1) for layer, results in outputs.items()}

    def count_dead(self) -> dict[str, str]:
        """Return the number of dead channels and of all channels ("dead/all") by layer name."""
        outputs = self.compute_outputs()
        return {name: f"{int(is_dead(outputs[layer]).sum())}/{len(layer.weight)}" for name, layer in self}


def is_dead(outputs: Tensor) -> Tensor:
    """Return which channels of outputs [C, N] are positive almost nowhere, [C]."""
    return (outputs > 0).float().mean(1) < MIN_ACTIVE


@torch.no_grad()
def revive(layers: ConvolutionLayers) -> None:
    """Reinitialize the dead channels of all layers in place."""
    dead = {layer: is_dead(outputs) for layer, outputs in layers.compute_outputs().items()}
    for _, layer in layers:
        channels = dead[layer].nonzero().flatten()
        if not len(channels):
            continue
        assert layer.bias is not None
        layer.weight[channels] = nn.init.kaiming_normal_(torch.empty_like(layer.weight))[channels]
        layer.bias[channels] = 0
        deviation = layers.compute_outputs()[layer].std(1)
        readers = layers.find_readers(layer)
        living = deviation if dead[layer].all() else deviation[~dead[layer]]
        factor = living.median() / deviation[channels].clamp_min(1e-12) * (1 if readers else RESIDUAL_SCALE)
        layer.weight[channels] *= factor.view(-1, 1, 1, 1)
        layer.bias[channels] -= layers.compute_outputs()[layer].mean(1)[channels]
        for reader in readers:
            reader.weight[:, channels] = 0


def make_leaky(model: Autoencoder, slope: float) -> Autoencoder:
    """Return a network with the same weights whose activations have a given slope below zero."""
    leaky = Autoencoder(replace(model.architecture, negative_slope=slope))
    leaky.load_state_dict(model.state_dict())
    return leaky


def main() -> None:
    """Reinitialize the dead channels of a model file and write a new file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path, help="Weights file to read.")
    parser.add_argument("new", type=Path, help="Weights file to write.")
    parser.add_argument("--content", type=Path, required=True, help="Folder or tar archive of photographs.")
    parser.add_argument("--style", type=Path, required=True, help="Folder or tar archive of artworks.")
    parser.add_argument(
        "--slope", type=float, default=0.1, help="Slope below zero of the new model's activations."
    )
    arguments = parser.parse_args()
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    content, style = (
        torch.stack([crop_randomly(pool.draw(generator)[0], CROP, generator) for _ in range(PAIRS)])
        for pool in (PicturePool(arguments.content), PicturePool(arguments.style))
    )
    model = load_model(arguments.model).network
    layers = ConvolutionLayers(model, content, style)
    print("dead channels before:", layers.count_dead())
    revive(layers)
    print("dead channels after: ", layers.count_dead())
    save_model(make_leaky(model, arguments.slope), arguments.new)


if __name__ == "__main__":
    main()
