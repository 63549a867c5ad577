"""All options of the program with their defaults, ranges and help texts; they are written nowhere else.

The command line, the Python interface and TOML files all build these frozen dataclasses, so every value is
checked once and means the same everywhere. This package imports no torch because `--help` reads it.
"""

from .checks import check_kind, check_style_weights, parse_bytes
from .exporting import ExportOptions
from .ray_cluster import ClusterOptions
from .runtime_and_output import (
    DEFAULT_MODEL,
    IfExists,
    OutputOptions,
    Precision,
    ProcessOptions,
    RuntimeOptions,
)
from .serving import ServeOptions
from .sharding import ArchiveOptions, ShardOptions
from .style_schedule import StyleSchedule
from .stylizing import (
    AUTOMATIC_STROKE_SCALES,
    DEFAULT_MATCH,
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
from .video import VideoOptions, parse_time

__all__ = [
    "AUTOMATIC_STROKE_SCALES",
    "DEFAULT_MATCH",
    "DEFAULT_MODEL",
    "ArchiveOptions",
    "ClusterOptions",
    "ContentStatistics",
    "ExportOptions",
    "IfExists",
    "OutputOptions",
    "Precision",
    "PreserveColor",
    "ProcessOptions",
    "RuntimeOptions",
    "ServeOptions",
    "ShardOptions",
    "StyleSchedule",
    "StylizeOptions",
    "TextureOptions",
    "TrainOptions",
    "Transform",
    "VideoOptions",
    "change_options",
    "check_kind",
    "check_style_weights",
    "default_style_size",
    "parse_bytes",
    "parse_time",
    "resolve_stroke_scale",
]
