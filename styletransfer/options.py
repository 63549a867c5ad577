"""Every option of the program, its default and its range: the only place where either is written.

The command line, the Python interface and TOML files all end in these frozen dataclasses, so a value
is checked once and means the same everywhere. Imports no torch: `--help` reads its defaults here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from .errors import OptionError

PreserveColor = Literal["none", "luma"]
Transform = Literal["wct", "monge", "adain"]
Measurement = Literal["exact", "thumbnail"]
IfExists = Literal["error", "skip", "overwrite", "rename"]
Precision = Literal["auto", "fp32", "mixed", "bf16"]
TrainingPrecision = Literal["fp32", "bf16"]
Stage = Literal["all", "decoder"]
Optimizer = Literal["soap", "adam"]

DEFAULT_MODEL = "default"
# Pixels along the edges of pictures whose strokes are right as the network paints them; and by how much they
# are enlarged at most where nobody says: the largest prints are looked at from near.
LONG_EDGE, SHORT_EDGE = 512, 128
LARGEST_STROKES = 8
# Long edge of what is measured of a style, for the strokes of the network, and to be enlarged.
STYLE_EDGE, ENLARGED_STYLE_EDGE = 1024, 512


def check_choice(name: str, value: object, choices: object) -> None:
    """Raise OptionError unless a value is one of the members of a Literal type."""
    allowed = get_args(choices)
    if value not in allowed:
        raise OptionError(f"{name} is {value!r}", hint=f"choose one of {', '.join(map(str, allowed))}")


def check_range(
    name: str, value: float, low: float, high: float = math.inf, *, open_low: bool = False
) -> None:
    """Raise OptionError unless low <= value <= high (low < value if `open_low`); NaN never passes."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OptionError(f"{name} is {value!r}", hint="give a number")
    inside = (low < value if open_low else low <= value) and value <= high
    if not inside:
        bound = f"{'above' if open_low else 'at least'} {low}" + (
            "" if high == math.inf else f" and at most {high}"
        )
        raise OptionError(f"{name} is {value}", hint=f"it must be {bound}")


def check_style_weights(weights: Sequence[float]) -> None:
    """Raise OptionError unless weights are numbers of which none is negative and not all are zero."""
    if not isinstance(weights, Sequence) or isinstance(weights, str):
        raise OptionError(f"style_weights is {weights!r}", hint="give one number per style, such as (2, 1)")
    for weight in weights:
        check_range("a style weight", weight, 0, 1e9)
    if not sum(weights) > 0:
        raise OptionError("all style weights are zero", hint="give at least one weight above 0")


def parse_bytes(text: str) -> int:
    """Read an amount of memory such as 700M, 2G or 1.5GB; units are powers of 1024.

    Raises:
        OptionError: It is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    amount = float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " ") if match else 0
    if amount < 2**20:
        raise OptionError(f"{text!r} is no amount of memory", hint="write 700M or 2G")
    return int(amount)


@dataclass(frozen=True, kw_only=True)
class StylizeOptions:
    """What a stylized picture looks like.

    Attributes:
        alpha: Strength in 0..1; 0 reconstructs the content, 1 is the full transfer.
        style_weights: One non-negative weight per style, not all zero; None weighs styles equally.
        size: Long edge of the result in pixels, None for the content's own size.
        style_size: Long edge to which larger styles are reduced before they are measured: the smaller, the
            finer the strokes. None for 1024 pixels, and for 512 where strokes are enlarged.
        stroke_scale: K paints a copy K times smaller first and the picture over it, in the style enlarged K
            times: a large picture then has the strokes of a small one. None chooses it by the size of the
            picture, see `settle_strokes`.
        preserve_color: "luma" keeps the content's colours and takes only the lightness of the result.
        transform: The map between the statistics: "wct" (ZCA), "monge" (optimal transport), "adain".
        statistics: Where those of a content are measured: "exact", or "thumbnail" for a copy of at most 1024
            pixels: less time from 4096 pixels on, and other pixels.
    """

    alpha: float = 1.0
    style_weights: tuple[float, ...] | None = None
    size: int | None = None
    style_size: int | None = None
    stroke_scale: int | None = None
    preserve_color: PreserveColor = "none"
    transform: Transform = "wct"
    statistics: Measurement = "exact"

    def __post_init__(self) -> None:
        check_range("alpha", self.alpha, 0, 1)
        for name in ("size", "style_size"):
            value = getattr(self, name)
            if value is not None:
                check_range(name, value, 1, 1_000_000)
        if self.stroke_scale is not None:
            check_range("stroke_scale", self.stroke_scale, 1, 64)
        for name in ("size", "style_size", "stroke_scale"):
            if isinstance(value := getattr(self, name), float):
                raise OptionError(f"{name} is {value}", hint="give a whole number")
        if self.style_weights is not None:
            check_style_weights(self.style_weights)
        check_choice("preserve_color", self.preserve_color, PreserveColor)
        check_choice("transform", self.transform, Transform)
        check_choice("statistics", self.statistics, Measurement)


def settle_strokes(
    look: StylizeOptions, width: int = 1, height: int = 1, measured: Iterable[int] = ()
) -> StylizeOptions:
    """Choose the scale of the strokes and the size of the styles where they are left open.

    From 1024 pixels on, strokes are enlarged as much as leaves a copy of 512 pixels along its longer edge and
    128 along the other; 8 times at most.

    Args:
        look: How a result shall look.
        width: Of the content, in pixels; the result may have another size.
        height: Of the content.
        measured: Stroke scales of the styles that come as statistics; they cannot be changed, so the first
            is kept to.

    Returns:
        The same with a stroke scale and a style size.
    """
    long, short = max(width, height), min(width, height)
    if look.size is not None:
        long, short = look.size, short * look.size // long
    suitable = max(1, min(long // LONG_EDGE, short // SHORT_EDGE, LARGEST_STROKES))
    scale = look.stroke_scale or next(iter(measured), suitable)
    size = look.style_size or (STYLE_EDGE if scale == 1 else ENLARGED_STYLE_EDGE)
    return replace(look, stroke_scale=scale, style_size=size)


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions:
    """Where and how the computation runs.

    Attributes:
        device: "auto" (the GPU if there is one), "cpu", "cuda", "cuda:1", "mps".
        precision: Of the convolutions: "fp32"; "bf16"; "mixed", bf16 for those whose rounding is hidden in
            results of 8 bits; "auto", mixed where that is faster. Statistics are float64 whatever it is.
        threads: Processor threads, None for torch's own choice.
        seed: Of the program's random number generators; the transfer itself draws none.
        tile: Rows of the picture that are worked on at a time, 0 for all; None for what fits. The result is
            the same.
        max_memory: What pictures may take of memory, such as "2G", beside what the program itself takes;
            None for a modest share of what there is.
    """

    device: str = "auto"
    precision: Precision = "auto"
    threads: int | None = None
    seed: int = 0
    tile: int | None = None
    max_memory: str | None = None

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, Precision)
        if self.tile is not None:
            check_range("tile", self.tile, 0, 1_000_000)
        if self.max_memory is not None:
            parse_bytes(self.max_memory)
        check_range("seed", self.seed, 0, 2**63 - 1)
        if self.threads is not None:
            check_range("threads", self.threads, 1, 4096)
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise OptionError(f"device is {self.device!r}", hint="choose auto, cpu, cuda, cuda:N or mps")


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How results are written.

    Attributes:
        output: File, existing folder (or a path that ends in a separator), template with the fields
            {content} {style} {alpha} {ext}, or "-" for stdout; None is "{content}_{style}.png" here.
        if_exists: What to do about an output that is there; None is "error" for one result and "skip"
            when the contents are many, so that a stopped run resumes.
        bit_depth: Bits per channel, 8 or 16 (PNG and TIFF only).
        quality: Of lossy formats, 1..100.
        metadata: Record the settings in the file.
    """

    output: str | None = None
    if_exists: IfExists | None = None
    bit_depth: int = 8
    quality: int = 95
    metadata: bool = True

    def __post_init__(self) -> None:
        if self.if_exists is not None:
            check_choice("if_exists", self.if_exists, IfExists)
        if self.bit_depth not in {8, 16}:
            raise OptionError(f"bit_depth is {self.bit_depth}", hint="choose 8 or 16")
        check_range("quality", self.quality, 1, 100)


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How a network is trained; one recipe is one set of these.

    Attributes:
        widths: Channels at every scale of the encoder, finest first.
        convolutions: 3x3 convolutions at every scale.
        decoder_convolutions: Those of the decoder, None for as many as the encoder's.
        stage: "all" trains encoder and decoder together, "decoder" leaves the encoder as it is.
        steps: Optimiser steps of the whole run.
        batch: Pairs of content and style per step and process.
        crop: Height and width of the training crops in pixels.
        optimizer: "soap" learns more from every pair, "adam" serves for comparison.
        learning_rate: At its highest; rises over `warmup` steps, then falls by a cosine to zero.
        warmup: Steps until the learning rate is at its highest.
        content_weight: Of the distance of instance-normalised relu3_1 to the content's.
        style_weight: Of the relative distance of feature statistics to the style's.
        color_weight: Of the distance of colours to the style's.
        identity_weight: Of the error of a picture that is given its own statistics.
        stability_weight: Of the flicker from one frame of a moving camera to the next.
        range_weight: Of the amount by which pixels leave 0..1, where they are compressed.
        spectral_penalty: Weight of the squared norms of the decoder's convolutions.
        spectral_cap: Largest norm of a convolution of the decoder, None for any.
        octaves: Levels of the Gaussian pyramid on which style is compared.
        octave_decay: Weight of an octave of the style's term relative to the next finer one; 1 for all alike.
        clip: Largest norm of the gradient; longer ones are scaled down to it.
        ema: Decay per step of the averaged weights that become the model.
        seed: Of the initial weights and of every crop.
        precision: Of the convolutions; statistics are float64 whatever it is.
        workers: Processes that read pictures, 0 for none.
        checkpoint_every: Steps between checkpoints.
        sample_every: Steps between sample pictures.
    """

    widths: tuple[int, ...] = (16, 32, 64, 128, 64)
    convolutions: tuple[int, ...] = (2, 2, 2, 1, 1)
    decoder_convolutions: tuple[int, ...] | None = None
    stage: Stage = "all"
    steps: int = 10_000
    batch: int = 4
    crop: int = 128
    optimizer: Optimizer = "soap"
    learning_rate: float = 2e-3
    warmup: int = 200
    content_weight: float = 1.0
    style_weight: float = 40.0
    color_weight: float = 30.0
    identity_weight: float = 60.0
    stability_weight: float = 100.0
    range_weight: float = 30.0
    spectral_penalty: float = 0.0
    spectral_cap: float | None = None
    octaves: int = 3
    octave_decay: float = 0.3
    clip: float = 5.0
    ema: float = 0.999
    seed: int = 0
    precision: TrainingPrecision = "fp32"
    workers: int = 0
    checkpoint_every: int = 250
    sample_every: int = 500

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "octaves", "checkpoint_every", "sample_every"):
            check_range(name, getattr(self, name), 1)
        for name in ("warmup", "workers", "seed"):
            check_range(name, getattr(self, name), 0)
        for name in [field.name for field in fields(self) if field.name.endswith("_weight")]:
            check_range(name, getattr(self, name), 0, 1e9)
        for name in ("widths", "convolutions", "decoder_convolutions"):
            for number in getattr(self, name) or ():
                check_range(f"a number of {name}", number, 1)
        check_range("spectral_penalty", self.spectral_penalty, 0, 1e9)
        if self.spectral_cap is not None:
            check_range("spectral_cap", self.spectral_cap, 0, 1e9, open_low=True)
        check_range("crop", self.crop, 32, 4096)
        check_range("learning_rate", self.learning_rate, 0, 1, open_low=True)
        check_range("octave_decay", self.octave_decay, 0, 1)
        check_range("clip", self.clip, 0, open_low=True)
        check_range("ema", self.ema, 0, 0.999999)
        check_choice("stage", self.stage, Stage)
        check_choice("optimizer", self.optimizer, Optimizer)
        check_choice("precision", self.precision, TrainingPrecision)
