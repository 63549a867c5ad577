"""One frame of a video."""

from __future__ import annotations

from typing import NamedTuple

from ..media import Picture
from ..region_maps import RegionMaps


class Frame(NamedTuple):
    """One frame of a video.

    Attributes:
        picture: The pixels, of 8 or 16 bits, with or without an alpha channel.
        time: Seconds since the start of the video.
        index: Number in the video, from 0.
        masks: Masks of this frame, as many as those of the video, which they replace; None for those.
    """

    picture: Picture
    time: float
    index: int  # type: ignore[assignment]  # A tuple has a method of this name.
    masks: RegionMaps | None = None
