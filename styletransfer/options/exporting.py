"""In which form a network is written for other programs: `ExportOptions`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .checks import check_choice, option

ExportFormat = Literal["onnx"]


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of an export.

    Raises:
        OptionError: A value is of the wrong type or out of its range.
    """

    format: ExportFormat = option(
        "onnx", "Format of the files. Onnx runs in Python, browsers, C++, C# and Java by onnxruntime."
    )

    def __post_init__(self) -> None:
        check_choice("format", self.format, ExportFormat)
