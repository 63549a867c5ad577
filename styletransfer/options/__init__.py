"""All options of the program with their defaults, ranges and help texts; they are written nowhere else.

The command line, the Python interface and TOML files all build these frozen dataclasses, so every value is
checked once and means the same everywhere. This package imports no torch because `--help` reads it.
"""

from .checks import check_kind, check_style_weights, parse_bytes
from .running import DEFAULT_MODEL, IfExists, OutputOptions, Precision, ProcessOptions, RuntimeOptions
from .serving import ServeOptions
from .style_schedule import StyleSchedule
from .stylizing import (
    AUTOMATIC_STROKE_SCALES,
    ContentStatistics,
    PreserveColor,
    StylizeOptions,
    Transform,
    change_options,
    default_style_size,
    resolve_stroke_scale,
)
from .texture import TextureOptions
from .training import TrainOptions

__all__ = [
    "AUTOMATIC_STROKE_SCALES",
    "DEFAULT_MODEL",
    "ContentStatistics",
    "IfExists",
    "OutputOptions",
    "Precision",
    "PreserveColor",
    "ProcessOptions",
    "RuntimeOptions",
    "ServeOptions",
    "StyleSchedule",
    "StylizeOptions",
    "TextureOptions",
    "TrainOptions",
    "Transform",
    "change_options",
    "check_kind",
    "check_style_weights",
    "default_style_size",
    "parse_bytes",
    "resolve_stroke_scale",
]
