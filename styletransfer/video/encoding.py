"""Encode pictures: as a part of a video, which later parts are joined to, or to a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..media import Picture
from .av_frames import BT709, LIMITED, build_frame
from .libav import load_av
from .output_formats import VideoOutput
from .sources import SourceInfo

FULL_RANGE = 2  # as libav numbers it
PART_FORMAT = "matroska"  # can be played as far as it was written, even after a kill


class FrameEncoder:
    """Encodes pictures into a stream of an open container.

    Args:
        container: Where the stream is added; packets are muxed by the caller.
        output: How it is encoded.
        info: Time base, rate and pixel aspect.
        threads: Threads of the encoder; 0 for its own choice.
    """

    def __init__(self, container: Any, output: VideoOutput, info: SourceInfo, threads: int) -> None:
        assert output.codec is not None
        self._output = output
        # Encoders keep rates as ratios of 32-bit numbers.
        rate = info.rate.limit_denominator(100_000)
        self.stream = container.add_stream(output.codec.encoder, rate=rate, options=output.encoder_options())
        self.stream.width, self.stream.height = output.width, output.height
        self.stream.pix_fmt = output.pixel_format
        self.stream.time_base = info.time_base
        context = self.stream.codec_context
        context.time_base = info.time_base
        context.thread_count = threads
        context.sample_aspect_ratio = info.pixel_aspect
        tag_colors(context, output.pixel_format)
        if output.alpha:
            self.stream.metadata["alpha_mode"] = "1"
        self._time_base = info.time_base

    def encode(self, picture: Picture, pts: int) -> Iterator[Any]:
        """Yield the packets that a picture completes."""
        output = self._output
        frame = build_frame(picture, output.pixel_format, output.width, output.height)
        frame.pts, frame.time_base = pts, self._time_base
        yield from self.stream.encode(frame)

    def flush(self) -> Iterator[Any]:
        """Yield the remaining packets."""
        yield from self.stream.encode(None)


class EncodedPart:
    """A part of a video, written as a file of its own.

    Times in the file count from its start; `parts` keeps the exact ones.

    Args:
        path: The file.
        output: How it is encoded.
        info: Time base, rate and pixel aspect.
        threads: Threads of the encoder; 0 for its own choice.
    """

    def __init__(self, path: Path, output: VideoOutput, info: SourceInfo, threads: int) -> None:
        self._container = load_av().open(str(path), "w", format=PART_FORMAT)
        self._encoder = FrameEncoder(self._container, output, info, threads)
        self._first: int | None = None

    def write(self, picture: Picture, pts: int) -> None:
        """Add a frame at a time stamp in units of the time base."""
        self._first = pts if self._first is None else self._first
        self._container.mux(list(self._encoder.encode(picture, pts - self._first)))

    def close(self) -> None:
        """Finish the file."""
        try:
            if self._first is not None:
                self._container.mux(list(self._encoder.flush()))
        finally:
            self._container.close()


def tag_colors(context: Any, pixel_format: str) -> None:
    """Tag a stream as BT.709: limited range, or full range for RGB, which has no matrix."""
    context.color_primaries = context.color_trc = BT709
    if load_av().VideoFormat(pixel_format).is_rgb:
        context.color_range = FULL_RANGE
    else:
        context.colorspace, context.color_range = BT709, LIMITED


def seconds_of(pts: int, time_base: Fraction) -> float:
    """Return a time stamp in seconds."""
    return float(pts * time_base)
