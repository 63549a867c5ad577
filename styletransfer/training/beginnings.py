"""The network that a run begins with: random, another run's, or with the encoder of a trained one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ..errors import OptionError, WeightsError
from ..model import Architecture, Autoencoder, load_model
from ..model.vgg import VGG19
from ..options import TrainOptions
from ..spectrum import register_norm_caps

VGG19_ENCODER = "vgg19"


def build_network(
    options: TrainOptions, *, init: Path | None = None, encoder: str | None = None, perceptual: VGG19
) -> Autoencoder:
    """Build the network to be trained.

    Args:
        options: Its shape and seed; `stage` "decoder" freezes the encoder, `spectral_cap` caps the decoder.
        init: Weights to start from; the shape is then theirs.
        encoder: "vgg19" for as many whole blocks as the perceptual network has, or a model's name or
            path for its encoder; the decoder is random, as deep as the other's or as `options` want it.
        perceptual: Where the weights of VGG-19 are taken from.

    Raises:
        OptionError: Both `init` and `encoder` are given, or an encoder is to be frozen that is random.
        WeightsError: A weights file cannot be used.
    """
    if init is not None and encoder is not None:
        raise OptionError("--init and --encoder both say where to start", hint="leave one of them out")
    if options.stage == "decoder" and init is None and encoder is None:
        raise OptionError(
            "a random encoder would be frozen", hint="name a trained one with --encoder or --init"
        )
    torch.manual_seed(options.seed)
    if init is not None:
        network = load_model(init).network.train().requires_grad_(True)
    elif encoder == VGG19_ENCODER:
        network = build_around_vgg19(perceptual, options.decoder_convolutions)
    elif encoder is not None:
        trained = load_model(encoder).network
        shape = trained.architecture
        depths = options.decoder_convolutions or shape.decoder_convolutions
        check_depths(shape.widths, shape.convolutions, depths)
        network = Autoencoder(replace(shape, decoder_convolutions=depths))
        network.encoder.load_state_dict(trained.encoder.state_dict())
    else:
        depths = options.decoder_convolutions
        check_depths(options.widths, options.convolutions, depths)
        network = Autoencoder(Architecture(options.widths, options.convolutions, decoder_convolutions=depths))
    network.encoder.requires_grad_(options.stage == "all")
    if options.spectral_cap is not None:
        register_norm_caps(network.decoder, options.spectral_cap)
    return network


def check_depths(
    widths: tuple[int, ...], convolutions: tuple[int, ...], decoder_convolutions: tuple[int, ...] | None
) -> None:
    """Check the options that give the shape of a network.

    Raises:
        OptionError: There is not one number of convolutions per scale.
    """
    depths = (convolutions, decoder_convolutions or convolutions)
    if any(len(depth) != len(widths) for depth in depths):
        raise OptionError(
            f"{len(widths)} widths, {' and '.join(str(len(depth)) for depth in depths)} convolutions",
            hint="give a number for each scale",
        )


def build_around_vgg19(perceptual: VGG19, decoder_convolutions: tuple[int, ...] | None = None) -> Autoencoder:
    """Build an autoencoder whose encoder is VGG-19, as deep as its weights go.

    Borders are replicated where the perceptual network reflects them; all else is the same.

    Args:
        perceptual: Gives its weights.
        decoder_convolutions: By scale, None for as many as the encoder's.
    """
    blocks: dict[str, list[nn.Conv2d]] = {}
    for name, layer in perceptual.convolutions.items():
        assert isinstance(layer, nn.Conv2d)
        blocks.setdefault(name.partition("_")[0], []).append(layer)
    if not blocks:
        raise WeightsError("the perceptual network has no convolutions")
    widths = tuple(layers[0].out_channels for layers in blocks.values())
    depths = tuple(len(layers) for layers in blocks.values())
    check_depths(widths, depths, decoder_convolutions)
    network = Autoencoder(Architecture(widths, depths, "max", decoder_convolutions, negative_slope=0))
    ours = [layer for layer in network.encoder.modules() if isinstance(layer, nn.Conv2d)]
    for layer, source in zip(ours, (layer for block in blocks.values() for layer in block), strict=True):
        layer.load_state_dict(source.state_dict())
    return network
