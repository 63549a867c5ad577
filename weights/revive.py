"""Begin the channels of a model anew that no picture activates, and make its activations leaky.

    python weights/revive.py MODEL NEW.safetensors --content PHOTOS --style ARTWORKS

PHOTOS and ARTWORKS are folders or tar archives, as for training. Layer by layer, in the order of
computation, a channel that is above zero at less than one pixel in a hundred gets random weights, scaled and
shifted so that it varies as much as the living ones of its layer, about zero; where the next layers read it,
they begin with zeros. Whitening mixes it into its neighbours all the same: what is written is to be trained
on. Counts of such channels are printed, before and after.

Source: Sokar et al. 2023 (arXiv 2302.12902), recycling dormant neurons. Differs: once, between two runs.
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

ALIVE = 0.01  # share of pixels
PAIRS, CROP = 6, 192
# What the decoder adds to features that live already begins small.
SMALL = 0.1


class Layers:
    """The convolutions of a network that end in an activation, in the order of computation.

    Args:
        model: The network.
        content: Pictures [B, 3, H, W] to look at it with.
        style: As many styles.
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

    def readers(self, wanted: nn.Conv2d) -> list[nn.Conv2d]:
        """List the convolutions that read the channels of one, in the decoder merged with its own."""
        for layers in (*self.encoder, *self.decoder):
            for layer, following in pairwise(layers):
                if layer is wanted:
                    return [following]
        for scale, layers in enumerate(self.encoder):
            if layers[-1] is wanted:
                return [self.decoder[scale][0], *(below[0] for below in self.encoder[scale + 1 : scale + 2])]
        return []

    @torch.no_grad()
    def look(self) -> dict[nn.Conv2d, Tensor]:
        """Return what the convolutions give, [C, B' * H * W], of contents and styles."""
        found: dict[nn.Conv2d, list[Tensor]] = {layer: [] for _, layer in self}

        def keep(layer: nn.Module, _: object, result: Tensor) -> None:
            assert isinstance(layer, nn.Conv2d)
            found[layer].append(result.transpose(0, 1).flatten(1))  # a copy: activations are in place

        hooks = [layer.register_forward_hook(keep) for layer in found]
        self.model(self.content, self.style)
        for hook in hooks:
            hook.remove()
        return {layer: torch.cat(results, 1) for layer, results in found.items()}

    def count_dead(self) -> dict[str, str]:
        """Return how many channels of each layer are dead, of how many."""
        values = self.look()
        return {name: f"{int(is_dead(values[layer]).sum())}/{len(layer.weight)}" for name, layer in self}


def is_dead(values: Tensor) -> Tensor:
    """Tell which channels [C, N] are above zero hardly anywhere."""
    return (values > 0).float().mean(1) < ALIVE


@torch.no_grad()
def revive(layers: Layers) -> None:
    """Begin dead channels anew."""
    dead = {layer: is_dead(values) for layer, values in layers.look().items()}
    for _, layer in layers:
        channels = dead[layer].nonzero().flatten()
        if not len(channels):
            continue
        assert layer.bias is not None
        layer.weight[channels] = nn.init.kaiming_normal_(torch.empty_like(layer.weight))[channels]
        layer.bias[channels] = 0
        spread = layers.look()[layer].std(1)
        readers = layers.readers(layer)
        living = spread if dead[layer].all() else spread[~dead[layer]]
        factor = living.median() / spread[channels].clamp_min(1e-12) * (1 if readers else SMALL)
        layer.weight[channels] *= factor.view(-1, 1, 1, 1)
        layer.bias[channels] -= layers.look()[layer].mean(1)[channels]
        for reader in readers:
            reader.weight[:, channels] = 0


def make_leaky(model: Autoencoder, slope: float) -> Autoencoder:
    """Return a network with the same weights whose activations have a slope below zero."""
    leaky = Autoencoder(replace(model.architecture, negative_slope=slope))
    leaky.load_state_dict(model.state_dict())
    return leaky


def main() -> None:
    """Revive a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--slope", type=float, default=0.1, help="below zero, of the new model's activations")
    given = parser.parse_args()
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    content, style = (
        torch.stack([crop_randomly(pool.draw(generator)[0], CROP, generator) for _ in range(PAIRS)])
        for pool in (PicturePool(given.content), PicturePool(given.style))
    )
    model = load_model(given.model).network
    layers = Layers(model, content, style)
    print("before:", layers.count_dead())
    revive(layers)
    print("after: ", layers.count_dead())
    save_model(make_leaky(model, given.slope), given.new)


if __name__ == "__main__":
    main()
