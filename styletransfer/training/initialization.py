"""Initialization of the network: random weights, the weights of another model, or a trained encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ..errors import OptionError, WeightsError
from ..model import (
    Architecture,
    Autoencoder,
    CouplingArchitecture,
    CouplingNetwork,
    Network,
    load_autoencoder,
    load_model,
)
from ..model.vgg import VGG19
from ..options import TrainOptions
from ..spectrum import register_norm_caps

MATCH_STRENGTHS = (0.5, 1.0, 1.0)  # at the three coarsest scales, finest first
VGG19_ENCODER = "vgg19"  # value of --encoder that stands for the perceptual network


def build_network(
    options: TrainOptions, *, init: Path | None = None, encoder: str | None = None, perceptual: VGG19
) -> Network:
    """Build the network that is to be trained, of the architecture of the options.

    Arguments and errors are those of `build_autoencoder`.
    """
    if options.architecture == "coupling":
        return build_coupling_network(options, init=init, encoder=encoder)
    return build_autoencoder(options, init=init, encoder=encoder, perceptual=perceptual)


def build_autoencoder(
    options: TrainOptions, *, init: Path | None = None, encoder: str | None = None, perceptual: VGG19
) -> Autoencoder:
    """Build the autoencoder that is to be trained.

    Args:
        options: The architecture and the seed. Stage "decoder" freezes the encoder, and `spectral_cap` caps
            the norms of the decoder's convolutions.
        init: Weights file to start from. Its architecture replaces that of the options.
        encoder: Trained encoder to start from: a model's name, a path, or "vgg19" for all whole blocks of the
            perceptual network. The decoder is random. Its depth is that of the options, or else that of the
            other model's decoder.
        perceptual: VGG-19, which provides the weights for "vgg19".

    Raises:
        OptionError: Both `init` and `encoder` are given, the encoder to freeze would be random, or the
            numbers of convolutions do not match the number of scales.
        WeightsError: A weights file cannot be used.
    """
    if init is not None and encoder is not None:
        raise OptionError("--init and --encoder both set the initial encoder", hint="leave one of them out")
    if options.stage == "decoder" and init is None and encoder is None:
        raise OptionError(
            "stage decoder would freeze a random encoder", hint="name a trained one with --encoder or --init"
        )
    torch.manual_seed(options.seed)
    if init is not None:
        network = load_autoencoder(init).train().requires_grad_(True)
    elif encoder == VGG19_ENCODER:
        network = build_vgg19_autoencoder(perceptual, options.decoder_convolutions)
    elif encoder is not None:
        trained = load_autoencoder(encoder)
        architecture = trained.architecture
        depths = options.decoder_convolutions or architecture.decoder_convolutions
        check_depths(architecture.widths, architecture.convolutions, depths)
        network = Autoencoder(replace(architecture, decoder_convolutions=depths))
        network.encoder.load_state_dict(trained.encoder.state_dict())
    else:
        depths = options.decoder_convolutions
        check_depths(options.widths, options.convolutions, depths)
        architecture = Architecture(options.widths, options.convolutions, decoder_convolutions=depths)
        if options.key_width:
            architecture = with_matching(architecture, options.key_width)
        network = Autoencoder(architecture)
    network.encoder.requires_grad_(options.stage == "all")
    if options.spectral_cap is not None:
        register_norm_caps(network.decoder, options.spectral_cap)
    return network


def build_coupling_network(
    options: TrainOptions, *, init: Path | None = None, encoder: str | None = None
) -> CouplingNetwork:
    """Build a photorealistic network. Arguments and errors are those of `build_network`."""
    if encoder is not None:
        raise OptionError("a network of couplings has no encoder to start from", hint="leave out --encoder")
    if init is None:
        numbers = options.hidden, options.dilations, options.pools
        return CouplingNetwork(CouplingArchitecture(options.channels, *numbers))
    network = load_model(init).network.train().requires_grad_(True)
    if not isinstance(network, CouplingNetwork):
        raise OptionError(f"{init} is no network of couplings", hint="leave out --architecture")
    return network


def with_matching(architecture: Architecture, key_width: int) -> Architecture:
    """Return an architecture whose three coarsest scales match patches.

    The finest of the three takes the matches of the next one, because there are many places to search for at
    a fine scale and few that look alike (docs/matching.md).

    Args:
        architecture: An architecture of any depth.
        key_width: Length of the keys.
    """
    scales = len(architecture.widths)
    keys = (*(0,) * max(0, scales - 2), *(key_width,) * min(scales, 2))
    strengths = (*(0.0,) * max(0, scales - 3), *MATCH_STRENGTHS[-scales:])
    return replace(architecture, key_widths=keys, match_strengths=strengths)


def check_depths(
    widths: tuple[int, ...], convolutions: tuple[int, ...], decoder_convolutions: tuple[int, ...] | None
) -> None:
    """Check that encoder and decoder have one number of convolutions per scale.

    Args:
        widths: Channels at every scale.
        convolutions: Number of convolutions at every scale of the encoder.
        decoder_convolutions: The same for the decoder. None copies the encoder's.

    Raises:
        OptionError: The lengths differ.
    """
    depths = (convolutions, decoder_convolutions or convolutions)
    if any(len(depth) != len(widths) for depth in depths):
        raise OptionError(
            f"{len(widths)} widths, {' and '.join(str(len(depth)) for depth in depths)} convolutions",
            hint="give one number for each scale",
        )


def build_vgg19_autoencoder(
    perceptual: VGG19, decoder_convolutions: tuple[int, ...] | None = None
) -> Autoencoder:
    """Build an autoencoder whose encoder is VGG-19, as deep as the perceptual network is.

    Differs: the borders are replicated, where the perceptual network reflects them.

    Args:
        perceptual: VGG-19, which provides the weights of the encoder.
        decoder_convolutions: Number of convolutions at every scale of the decoder. None copies the encoder's.

    Raises:
        OptionError: The decoder does not have one number of convolutions per scale.
        WeightsError: The perceptual network has no convolutions.
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
    targets = [layer for layer in network.encoder.modules() if isinstance(layer, nn.Conv2d)]
    sources = [layer for block in blocks.values() for layer in block]
    for target, source in zip(targets, sources, strict=True):
        target.load_state_dict(source.state_dict())
    return network
