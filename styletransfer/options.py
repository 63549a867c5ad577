"""All options of the program with their defaults, ranges and help texts; they are written nowhere else.

The command line, the Python interface and TOML files all build these frozen dataclasses, so every value is
checked once and means the same everywhere. This module imports no torch because `--help` reads it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Any, Literal, get_args

from .errors import OptionError

PreserveColor = Literal["none", "luma"]
Transform = Literal["wct", "monge", "adain"]
ContentStatistics = Literal["exact", "thumbnail"]
IfExists = Literal["error", "skip", "overwrite", "rename"]
Precision = Literal["auto", "fp32", "mixed", "bf16"]
TrainingPrecision = Literal["fp32", "bf16"]
Stage = Literal["all", "decoder"]
Optimizer = Literal["soap", "adam"]

DEFAULT_MODEL = "default"
# The network paints strokes that suit a picture of this size, in pixels. Larger pictures get larger strokes.
NATIVE_LONG_EDGE, NATIVE_SHORT_EDGE = 512, 128
# The stroke scale that is chosen automatically never exceeds this: the largest prints are viewed from nearby.
MAX_AUTO_STROKE_SCALE = 8
# Long edge to which a style is reduced before it is measured, for stroke scale 1 and for larger ones.
STYLE_SIZE, STYLE_SIZE_FOR_LARGE_STROKES = 1024, 512


def option(default: Any, help: str) -> Any:
    """Declare an option as a dataclass field with its help text, which every interface shows."""
    return field(default=default, metadata={"help": help})


def check_choice(name: str, value: object, choices: object) -> None:
    """Raise OptionError unless a value is a member of a Literal type."""
    allowed = get_args(choices)
    if not isinstance(value, str) or value not in allowed:
        raise OptionError(f"{name} is {value!r}", hint=f"choose one of {', '.join(map(str, allowed))}")


def check_range(
    name: str, value: float, low: float, high: float = math.inf, *, open_low: bool = False
) -> None:
    """Raise OptionError unless low <= value <= high (low < value if `open_low`); NaN never passes."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise OptionError(f"{name} is {value!r}", hint="give a number")
    inside = (low < value if open_low else low <= value) and value <= high
    if not inside:
        bound = f"{'above' if open_low else 'at least'} {low}" + (
            "" if high == math.inf else f" and at most {high}"
        )
        raise OptionError(f"{name} is {value}", hint=f"it must be {bound}")


def check_integer(name: str, value: int, low: int, high: float = math.inf) -> None:
    """Raise OptionError unless a value is a whole number with low <= value <= high."""
    check_range(name, value, low, high)
    if not isinstance(value, Integral):
        raise OptionError(f"{name} is {value}", hint="give a whole number")


def check_boolean(name: str, value: object) -> None:
    """Raise OptionError unless a value is True or False."""
    if not isinstance(value, bool):
        raise OptionError(f"{name} is {value!r}", hint="choose True or False")


def check_kind(name: str, value: object, kinds: tuple[type, ...], hint: str) -> None:
    """Raise OptionError unless a value is an instance of one of some classes."""
    if not isinstance(value, kinds):
        raise OptionError(f"{name} is {value!r}", hint=hint)


def check_style_weights(weights: Sequence[float]) -> None:
    """Raise OptionError unless weights are non-negative numbers that are not all zero."""
    if isinstance(weights, str) or not isinstance(weights, Sequence):
        raise OptionError(f"style_weights is {weights!r}", hint="give one number per style, such as (2, 1)")
    for weight in weights:
        check_range("a style weight", weight, 0, 1e9)
    if not sum(weights) > 0:
        raise OptionError("all style weights are zero", hint="give at least one weight above 0")


def parse_bytes(text: str) -> int:
    """Read an amount of memory such as 700M, 2G or 1.5GB; units are powers of 1024.

    Raises:
        OptionError: The text is not an amount of memory, or it is less than 1M.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    amount = float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " ") if match else 0
    if amount < 2**20:
        raise OptionError(f"{text!r} is not an amount of memory", hint="write 700M or 2G")
    return int(amount)


@dataclass(frozen=True, kw_only=True)
class StylizeOptions:
    """Options that decide what a stylized picture looks like.

    Each field's help text describes it. None means: `style_weights` weighs all styles equally, `size` keeps
    the content's size, `style_size` and `stroke_scale` are chosen by `resolve_stroke_scale`.

    Raises:
        OptionError: A value is of the wrong type or out of its range.
    """

    alpha: float = option(
        1.0, "Strength of the style, from 0 (the content is reconstructed) to 1 (the full transfer)."
    )
    match: float = option(
        1.0,
        "Strength with which pieces of the style replace what resembles them, from 0 (only the statistics "
        "of the style are used) to 1.",
    )
    style_weights: tuple[float, ...] | None = option(
        None, "Blend all styles into one, in these proportions. Give one number per style, such as 2,1."
    )
    size: int | None = option(None, "Long edge of the result in pixels.")
    style_size: int | None = option(
        None,
        "Long edge in pixels to which larger styles are reduced before they are measured. Smaller values "
        "give finer strokes. Auto is 1024 for stroke scale 1 and 512 for larger strokes.",
    )
    stroke_scale: int | None = option(
        None,
        "Size of the strokes. With K, a copy K times smaller is stylized first and the picture is stylized "
        "over it, with the style enlarged K times. Auto enlarges strokes for pictures of 1024 pixels and "
        "more, so that the copy has at least 512 pixels, and by 8 at most.",
    )
    preserve_color: PreserveColor = option(
        "none", "Colors to keep. Luma takes the lightness from the style and the colors from the content."
    )
    transform: Transform = option(
        "wct",
        "Map between the feature statistics. Wct whitens and colors, monge is optimal transport, adain "
        "matches the variance of each channel.",
    )
    content_statistics: ContentStatistics = option(
        "exact",
        "Where the content is measured. Thumbnail measures a copy of at most 1024 pixels, which is faster "
        "for pictures of 4096 pixels and more and gives slightly different results.",
    )

    refine: int = option(
        0,
        "Iterations of an optimization that starts from the result and repaints it with pieces of the style. "
        "40 is a good number and takes about a minute for 512 pixels. 0 leaves it out.",
    )

    def __post_init__(self) -> None:
        check_range("alpha", self.alpha, 0, 1)
        check_range("match", self.match, 0, 1)
        check_integer("refine", self.refine, 0, 10_000)
        for name, largest in (("size", 1_000_000), ("style_size", 1_000_000), ("stroke_scale", 64)):
            if (value := getattr(self, name)) is not None:
                check_integer(name, value, 1, largest)
        if self.style_weights is not None:
            try:  # the numbers of NumPy's and torch's arrays become Python's
                weights = tuple(each.item() if hasattr(each, "item") else each for each in self.style_weights)
            except (TypeError, ValueError, RuntimeError):  # no sequence, or one of more than numbers
                weights = self.style_weights
            check_style_weights(weights if not isinstance(self.style_weights, str) else self.style_weights)
            object.__setattr__(self, "style_weights", weights)
        check_choice("preserve_color", self.preserve_color, PreserveColor)
        check_choice("transform", self.transform, Transform)
        check_choice("content_statistics", self.content_statistics, ContentStatistics)


def change_options(options: StylizeOptions, changes: Mapping[str, Any]) -> StylizeOptions:
    """Return options with some fields replaced.

    Raises:
        OptionError: There is no such field, or a value is out of its range.
    """
    check_kind("options", options, (StylizeOptions,), "give StylizeOptions(...), or single options by name")
    names = {field.name for field in fields(StylizeOptions)}
    if unknown := sorted(set(changes) - names):
        raise OptionError(f"unknown option {unknown[0]!r}", hint=f"choose among {', '.join(sorted(names))}")
    return replace(options, **changes)


def resolve_stroke_scale(
    options: StylizeOptions, width: int = 1, height: int = 1, measured: Iterable[int] = ()
) -> StylizeOptions:
    """Choose the stroke scale and the style size where the options leave them open.

    Pictures of 1024 pixels and more get a stroke scale above 1: the largest one that leaves the small copy at
    least 512 pixels along its long edge and 128 along the short one, but at most 8.

    Args:
        options: The options to complete.
        width: Width of the content in pixels, before it is resized to `options.size`.
        height: Height of the content in pixels.
        measured: Stroke scales of styles that were measured before. They cannot change, so the first one is
            used.

    Returns:
        The options with `stroke_scale` and `style_size` set.
    """
    long, short = max(width, height), min(width, height)
    if options.size is not None:
        long, short = options.size, short * options.size // long
    suitable = max(1, min(long // NATIVE_LONG_EDGE, short // NATIVE_SHORT_EDGE, MAX_AUTO_STROKE_SCALE))
    scale = options.stroke_scale or next(iter(measured), suitable)
    size = options.style_size or (STYLE_SIZE if scale == 1 else STYLE_SIZE_FOR_LARGE_STROKES)
    return replace(options, stroke_scale=scale, style_size=size)


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions:
    """Options that decide where and how a picture is computed.

    Statistics are float64 at every precision. None means: `tile` and `max_memory` are chosen by size.

    Raises:
        OptionError: A value is of the wrong type or out of its range.
    """

    device: str = option(
        "auto", "Device that computes: auto (a GPU if there is one), cpu, cuda, cuda:N or mps."
    )
    precision: Precision = option(
        "auto",
        "Precision of the convolutions. Mixed uses bfloat16 where 8-bit results hide the rounding; auto is "
        "mixed where the processor computes it faster, else fp32.",
    )
    tile: int | None = option(
        None, "Rows of the picture that are computed at a time, or 0 for all. The result is the same."
    )
    max_memory: str | None = option(
        None,
        "Memory that pictures may take beside the program itself, such as 2G. Less memory takes more time. "
        "Auto takes a modest share of what is free.",
    )

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, Precision)
        if self.tile is not None:
            check_integer("tile", self.tile, 0, 1_000_000)
        if self.max_memory is not None:
            check_kind("max_memory", self.max_memory, (str,), "write '700M' or '2G'")
            parse_bytes(self.max_memory)
        check_kind("device", self.device, (str,), "choose auto, cpu, cuda, cuda:N or mps")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise OptionError(f"device is {self.device!r}", hint="choose auto, cpu, cuda, cuda:N or mps")


@dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    """Options of the whole process, which only the command line sets."""

    threads: int | None = option(None, "Number of processor threads. Auto is what PyTorch chooses.")

    def __post_init__(self) -> None:
        if self.threads is not None:
            check_integer("threads", self.threads, 1, 4096)


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Options that decide where and how results are written.

    None means: `output` is "{content}_{style}.png" in the current folder, `if_exists` is "error" for one
    result and "skip" for several, so that a stopped run resumes.

    Raises:
        OptionError: A value is of the wrong type or out of its range.
    """

    output: str | None = option(
        None,
        "File, folder (an existing one, or a path that ends in a slash), template with the fields {content} "
        "{style} {alpha} {ext} and {folder} (the subfolder in which a pattern found the content), or - for a "
        "PNG on standard output.",
    )
    if_exists: IfExists | None = option(None, "What to do when an output exists already.")
    bit_depth: int = option(8, "Bits per channel of the result, 8 or 16. Only PNG and TIFF hold 16.")
    quality: int = option(95, "Quality of lossy formats (JPEG, WebP, AVIF), 1..100.")
    dpi: float | None = option(
        None, "Pixels per inch to record in the file of the result, for printing. None keeps the content's."
    )
    metadata: bool = option(
        True, "Record the settings, and the date, the camera and the lens of the content, in the result."
    )
    keep_location: bool = option(False, "Record also where the content was photographed.")

    def __post_init__(self) -> None:
        if self.output is not None:
            check_kind("output", self.output, (str,), "give a text")
        if self.if_exists is not None:
            check_choice("if_exists", self.if_exists, IfExists)
        check_integer("bit_depth", self.bit_depth, 8, 16)
        if self.bit_depth not in {8, 16}:
            raise OptionError(f"bit_depth is {self.bit_depth}", hint="choose 8 or 16")
        check_integer("quality", self.quality, 1, 100)
        if self.dpi is not None:
            check_range("dpi", self.dpi, 1, 65_535)
        check_boolean("metadata", self.metadata)
        check_boolean("keep_location", self.keep_location)


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The recipe of a training run.

    `decoder_convolutions` None means as many as in the encoder; `spectral_cap` None means no cap.

    Raises:
        OptionError: A value is of the wrong type or out of its range.
    """

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
        for name in ("widths", "convolutions", "decoder_convolutions"):
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
        check_choice("stage", self.stage, Stage)
        check_choice("optimizer", self.optimizer, Optimizer)
        check_choice("precision", self.precision, TrainingPrecision)
