"""Choices that options leave open; their ranges are tested where they come in."""

from __future__ import annotations

import pytest

from styletransfer.options import StylizeOptions, settle_strokes


@pytest.mark.parametrize(
    ("long_edge", "scale", "size"),
    [(1, 1, 1024), (1023, 1, 1024), (1024, 2, 512), (2048, 4, 512), (4095, 7, 512), (100_000, 8, 512)],
)
def test_strokes_suit_the_size_of_the_picture(long_edge: int, scale: int, size: int) -> None:
    look = settle_strokes(StylizeOptions(), long_edge)
    assert (look.stroke_scale, look.style_size) == (scale, size)


def test_what_is_asked_for_stays() -> None:
    look = StylizeOptions(stroke_scale=3)
    assert settle_strokes(look, 2048) is look
    assert settle_strokes(StylizeOptions(style_size=300), 2048).style_size == 300


def test_strokes_of_statistics_are_kept_to() -> None:
    assert settle_strokes(StylizeOptions(), 2048, [2, 1]).stroke_scale == 2
