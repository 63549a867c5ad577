"""Where and how pictures are computed and written: `RuntimeOptions`, `ProcessOptions`, `OutputOptions`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ..errors import OptionError
from .checks import check_boolean, check_choice, check_integer, check_kind, check_range, option, parse_bytes

IfExists = Literal["error", "skip", "overwrite", "rename"]
Precision = Literal["auto", "fp32", "mixed", "bf16"]

DEFAULT_MODEL = "default"


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
    lut: str | None = option(
        None,
        "With --color-only, write the map of colors too, as a 3D lookup table for photo and video editors: "
        "a .cube file, or a template of its name with the fields of --output.",
    )
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
        if self.lut is not None:
            check_kind("lut", self.lut, (str,), "give a text")
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
