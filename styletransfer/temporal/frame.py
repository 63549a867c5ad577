"""One frame of a video."""

from __future__ import annotations

from typing import NamedTuple

from ..media import Picture


class Frame(NamedTuple):
    """One frame of a video.

    Attributes:
        picture: The pixels, of 8 or 16 bits, with or without an alpha channel.
        time: Seconds since the start of the video.
        index: Number in the video, from 0.
    """

    picture: Picture
    time: float
    index: int  # type: ignore[assignment]  # A tuple has a method of this name.
