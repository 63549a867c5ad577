"""Choices that options leave open; their ranges are tested where they come in."""

from __future__ import annotations

import pytest

from styletransfer.options import StylizeOptions, resolve_stroke_scale


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
