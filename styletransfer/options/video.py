"""Which part of a video is stylized, how steady it is, and how it is encoded: `VideoOptions`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ..errors import OptionError
from .checks import check_boolean, check_choice, check_integer, check_range, option

VideoCodec = Literal["h264", "hevc", "vp9", "av1", "prores", "ffv1"]
BIT_DEPTHS = (8, 10, 16)
LARGEST_CRF = 63


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """Options of `styletransfer video` beside those of every stylized picture.

    Each field's help text describes it. None means: `end` is the end of the video, `fps` keeps its time
    stamps, `codec` is chosen by the file's extension and `crf` by the codec.

    Raises:
        OptionError: A value is of the wrong type or out of its range.
    """

    start: float = option(0.0, "Where the result begins: seconds, or a time such as 1:02:03.5.")
    end: float | None = option(None, "Where it ends, counted from the beginning of the video.")
    fps: float | None = option(
        None,
        "Frames per second of the result, at equal distances. For a folder of frames, the rate at which they "
        "were taken. Auto keeps all time stamps, and takes 25 for a folder.",
    )
    steadiness: float = option(
        1.0,
        "How much of a frame is taken over from the one before, along the motion, from 0 (each frame is "
        "painted by itself) to 1. Nothing is taken over across a cut.",
    )
    codec: VideoCodec | None = option(
        None, "Video codec. Auto is h264 for .mp4 and .mov, vp9 for .webm, and ffv1, without loss, for .mkv."
    )
    crf: int | None = option(
        None,
        "Quality of the codec as a constant rate factor: less is better and larger. Auto is 18 for h264, 20 "
        "for hevc, 24 for vp9 and av1.",
    )
    bit_depth: int = option(
        8, "Bits per channel of the result: 8, 10 (all codecs but vp9), or 16 (.mkv and PNG frames)."
    )
    flatten: bool = option(False, "Lay transparent pixels on white, for files that cannot hold transparency.")

    def __post_init__(self) -> None:
        check_range("start", self.start, 0, 1e9)
        if self.end is not None:
            check_range("end", self.end, 0, 1e9, open_low=True)
            if self.end <= self.start:
                raise OptionError(f"end is {self.end:g} s", hint=f"it must be after start, {self.start:g} s")
        if self.fps is not None:
            check_range("fps", self.fps, 0, 1000, open_low=True)
        check_range("steadiness", self.steadiness, 0, 1)
        if self.codec is not None:
            check_choice("codec", self.codec, VideoCodec)
        if self.crf is not None:
            check_integer("crf", self.crf, 0, LARGEST_CRF)
        check_integer("bit_depth", self.bit_depth, 8, 16)
        if self.bit_depth not in BIT_DEPTHS:
            raise OptionError(f"bit_depth is {self.bit_depth}", hint="choose 8, 10 or 16")
        check_boolean("flatten", self.flatten)


def parse_time(text: str) -> float:
    """Read a time as it is typed: seconds, minutes:seconds or hours:minutes:seconds.

    Raises:
        OptionError: The text is no time.
    """
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d*)?", text.strip()):
        raise OptionError(f"{text!r} is no time", hint="write seconds, or a time such as 1:02:03.5")
    seconds = 0.0
    for part in text.strip().split(":"):
        seconds = 60 * seconds + float(part)
    return seconds
