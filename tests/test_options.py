"""Choices that options leave open; their ranges are tested where they come in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from styletransfer.errors import OptionError
from styletransfer.options import (
    ArchiveOptions,
    OutputOptions,
    ProcessOptions,
    RuntimeOptions,
    StylizeOptions,
    TrainOptions,
    resolve_stroke_scale,
)


@pytest.mark.parametrize(
    ("width", "height", "scale", "style_size"),
    [
        (1, 1, 1, 1024),
        (1023, 1000, 1, 1024),
        (700, 1024, 2, 512),
        (2048, 1536, 4, 512),
        (4095, 3000, 7, 512),
        (100_000, 2000, 8, 512),
        (8192, 300, 2, 512),
        (8192, 8, 1, 1024),
    ],
)
def test_strokes_suit_the_size_of_the_picture(width: int, height: int, scale: int, style_size: int) -> None:
    options = resolve_stroke_scale(StylizeOptions(), width, height)
    assert (options.stroke_scale, options.style_size) == (scale, style_size)


def test_strokes_suit_the_size_that_is_asked_for() -> None:
    assert resolve_stroke_scale(StylizeOptions(size=2048), 300, 200).stroke_scale == 4
    assert resolve_stroke_scale(StylizeOptions(size=512), 3000, 2000).stroke_scale == 1


def test_what_is_asked_for_stays() -> None:
    options = resolve_stroke_scale(StylizeOptions(stroke_scale=3, style_size=300), 512, 512)
    assert (options.stroke_scale, options.style_size) == (3, 300)


def test_strokes_of_statistics_are_kept_to() -> None:
    assert resolve_stroke_scale(StylizeOptions(), 2048, 2048, [2, 1]).stroke_scale == 2


@pytest.mark.parametrize(
    ("options", "values"),
    [
        (
            RuntimeOptions,
            {
                "tile": [100.5, "4", -1, True, float("nan")],
                "max_memory": ["x", 5, b"1G", ""],
                "device": [None, 4, "gpu"],
                "precision": [None, [], "fp64"],
            },
        ),
        (ProcessOptions, {"threads": [1.5, "2", 0]}),
        (ArchiveOptions, {"shards": [1, None, "yes"]}),
        (
            OutputOptions,
            {
                "quality": [95.5, "9", None, 0, 101],
                "bit_depth": ["8", 8.0, 12, None, True],
                "output": [3],
                "lut": [3, b"x.cube"],
                "if_exists": ["", 1],
                "metadata": [1, None],
                "keep_location": ["no"],
                "dpi": ["3", 0, float("inf"), float("nan")],
            },
        ),
        (
            StylizeOptions,
            {
                "alpha": [None, "1", float("nan"), True],
                "size": ["3", 2.0, 0],
                "preserve_color": [None, 1],
                "color_only": [None, 1, "yes"],
                "transform": [["wct"]],
            },
        ),
        (
            TrainOptions,
            {
                "widths": [5, "12", (1.5,), ()],
                "decoder_convolutions": [3],
                "steps": [1.5, "3", 0],
                "spectral_cap": ["x", 0],
                "gradient_clip": [None],
            },
        ),
    ],
)
def test_wrong_values_are_named_where_options_are_made(options: Any, values: dict[str, list[Any]]) -> None:
    options()
    for name, wrong in values.items():
        for value in wrong:
            with pytest.raises(OptionError) as caught:
                options(**{name: value})
            assert name in str(caught.value) or repr(value) in str(caught.value)
            assert caught.value.hint


def test_numbers_of_numpy_are_numbers() -> None:
    assert StylizeOptions(alpha=np.float32(0.5), size=np.int64(20)).size == 20  # type: ignore[arg-type]
