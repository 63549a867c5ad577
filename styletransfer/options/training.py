"""The recipe of a training run: `TrainOptions`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from ..errors import OptionError
from .checks import check_choice, check_integer, check_range, option

TrainingPrecision = Literal["fp32", "bf16"]
Stage = Literal["all", "decoder"]
Optimizer = Literal["soap", "adam"]
ArchitectureKind = Literal["autoencoder", "coupling"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The recipe of a training run.

    `decoder_convolutions` None means as many as in the encoder; `spectral_cap` None means no cap.

    Raises:
        OptionError: A value is of the wrong type or out of its range.
    """

    architecture: ArchitectureKind = option(
        "autoencoder", "Network: an autoencoder that paints, or invertible couplings for photographs."
    )
    channels: int = option(16, "Channels of the features of a network of couplings.")
    hidden: tuple[int, ...] = option((16, 16, 24, 16, 16, 24, 16, 16), "Hidden channels of every coupling.")
    dilations: tuple[int, ...] = option((1, 2, 1, 4, 4, 1, 2, 1), "Dilation of every coupling.")
    pools: tuple[int, ...] = option(
        (1, 1, 8, 1, 1, 8, 1, 1), "Size of the blocks that every coupling averages first; 1 averages none."
    )
    widths: tuple[int, ...] = option(
        (16, 32, 64, 128, 64), "Channels at every scale of the encoder, finest scale first."
    )
    convolutions: tuple[int, ...] = option(
        (2, 2, 2, 1, 1), "Number of 3x3 convolutions at every scale of the encoder."
    )
    decoder_convolutions: tuple[int, ...] | None = option(
        None, "Number of 3x3 convolutions at every scale of the decoder. None copies the encoder's."
    )
    key_width: int = option(
        0, "Length of the keys by which patches are matched at the three coarsest scales; 0 matches none."
    )
    stage: Stage = option(
        "all", "Part that is trained: encoder and decoder together, or the decoder with a fixed encoder."
    )
    steps: int = option(10_000, "Number of optimizer steps of the whole run.")
    batch: int = option(4, "Pairs of content and style per step and process.")
    crop: int = option(128, "Height and width of the training crops in pixels.")
    optimizer: Optimizer = option(
        "soap", "Optimizer. Soap learns more from every pair; adam is there for comparison."
    )
    learning_rate: float = option(
        2e-3, "Highest learning rate. It rises during the warm-up and then falls to zero along a cosine."
    )
    warmup: int = option(200, "Number of steps until the learning rate is highest, at most half of the run.")
    content_weight: float = option(
        1.0, "Weight of the distance of instance-normalized relu3_1 features to the content's."
    )
    style_weight: float = option(40.0, "Weight of the relative distance of Gram matrices to the style's.")
    patch_weight: float = option(6.0, "Weight of the distance of patches to the style's, in both directions.")
    deep_weight: float = option(2.0, "Weight of the distance of VGG-16's deep Gram matrices (see --vgg16).")
    color_weight: float = option(30.0, "Weight of the distance of colors to the style's.")
    identity_weight: float = option(60.0, "Weight of the error of a picture that is its own style.")
    stability_weight: float = option(100.0, "Weight of the flicker while a camera moves by a few pixels.")
    structure_weight: float = option(
        1.0, "Weight of what SSIM misses of the content, exposure apart. For couplings, like the next two."
    )
    matting_weight: float = option(
        500.0, "Weight of what affine functions of the content leave in windows of 3 pixels."
    )
    halo_weight: float = option(10.0, "Weight of the same in windows of 21 pixels, where halos show.")
    range_weight: float = option(30.0, "Weight of the amount by which pixels leave 0..1 and are clipped.")
    spectral_penalty: float = option(0.0, "Weight of the squared spectral norms in the decoder.")
    spectral_cap: float | None = option(
        None, "Largest spectral norm that a convolution of the decoder may have."
    )
    octaves: int = option(3, "Number of octaves of the Gaussian pyramid on which styles are compared.")
    octave_decay: float = option(
        0.3, "Weight of each octave of the style term relative to the next finer one. 1 weighs all equally."
    )
    gradient_clip: float = option(
        5.0, "Largest norm of the gradient. Larger gradients are scaled down to it."
    )
    ema: float = option(0.999, "Decay per step of the averaged weights, which become the model.")
    seed: int = option(0, "Seed of the initial weights and of the random crops.")
    precision: TrainingPrecision = option(
        "fp32", "Precision of the convolutions. Statistics are always float64."
    )
    workers: int = option(0, "Number of threads that read pictures ahead, or 0 to read each when needed.")
    checkpoint_every: int = option(250, "Number of steps between checkpoints.")
    sample_every: int = option(500, "Number of steps between sheets of sample pictures.")

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "octaves", "checkpoint_every", "sample_every"):
            check_integer(name, getattr(self, name), 1)
        for name in ("warmup", "workers", "seed", "key_width"):
            check_integer(name, getattr(self, name), 0)
        for name in [each.name for each in fields(self) if each.name.endswith("_weight")]:
            check_range(name, getattr(self, name), 0, 1e9)
        for name in ("widths", "convolutions", "decoder_convolutions", "hidden", "dilations", "pools"):
            numbers = getattr(self, name) or ()
            optional = name == "decoder_convolutions"
            if isinstance(numbers, str) or not isinstance(numbers, Sequence) or not (numbers or optional):
                raise OptionError(f"{name} is {numbers!r}", hint="give one number per scale")
            for number in numbers:
                check_integer(f"a number of {name}", number, 1)
        check_range("spectral_penalty", self.spectral_penalty, 0, 1e9)
        if self.spectral_cap is not None:
            check_range("spectral_cap", self.spectral_cap, 0, 1e9, open_low=True)
        check_integer("crop", self.crop, 32, 4096)
        check_range("learning_rate", self.learning_rate, 0, 1, open_low=True)
        check_range("octave_decay", self.octave_decay, 0, 1)
        check_range("gradient_clip", self.gradient_clip, 0, open_low=True)
        check_range("ema", self.ema, 0, 0.999999)
        check_integer("channels", self.channels, 6)
        check_choice("architecture", self.architecture, ArchitectureKind)
        check_choice("stage", self.stage, Stage)
        check_choice("optimizer", self.optimizer, Optimizer)
        check_choice("precision", self.precision, TrainingPrecision)
