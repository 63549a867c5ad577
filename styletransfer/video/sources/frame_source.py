"""Where frames come from: what every kind of input gives, and the choice of a part or of another rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple, Protocol

from ...media import Picture
from ...region_maps import RegionMaps

LARGEST_TIME_BASE = Fraction(1, 1000)  # seconds; results of another rate are timed in units below this


class SourceFrame(NamedTuple):
    """One frame of an input, whose pixels are converted only if they are asked for.

    Attributes:
        pts: Presentation time, in units of the source's time base.
        duration: How long it is shown, in the same units; 0 if that is unknown.
        load: Returns the picture.
        label: Name of the file, for frames that are files.
        maps: Returns where each style is painted in this frame; None if all frames share that.
    """

    pts: int
    duration: int
    load: Callable[[], Picture]
    label: str = ""
    maps: Callable[[], RegionMaps] | None = None


@dataclass(frozen=True)
class SourceInfo:
    """What is known of an input before it is decoded.

    Attributes:
        name: Printable name of the input.
        width: Pixels from left to right, as it is seen (after rotation).
        height: Pixels from top to bottom.
        time_base: Unit of time stamps in seconds.
        rate: Frames per second on average.
        seconds: Length; None if it is unknown, as for a pipe.
        alpha: Whether frames have an alpha channel.
        bit_depth: Bits per channel of the frames, 8 or 16.
        pixel_aspect: Width of a pixel divided by its height.
        loops: How often an animation is repeated, 0 for ever; None if it is played once or is a video.
        is_animation: Whether this is a GIF, WebP or APNG.
        is_folder: Whether frames are files of their own.
        notes: What the user should know.
    """

    name: str
    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    seconds: float | None = None
    alpha: bool = False
    bit_depth: int = 8
    pixel_aspect: Fraction = Fraction(1)
    loops: int | None = None
    is_animation: bool = False
    is_folder: bool = False
    notes: tuple[str, ...] = ()


@dataclass
class Damage:
    """What could not be read of an input.

    Attributes:
        frames: What and where, one text per broken frame, in their order.
        cut_off: Whether the input ends before the time that it states.
    """

    frames: list[str] = field(default_factory=list)
    cut_off: bool = False

    def describe(self, name: str) -> str | None:
        """Return one line about the damage; None if there is none."""
        parts = []
        if self.frames:
            shown = ", ".join(self.frames[:5]) + (", ..." if len(self.frames) > 5 else "")
            count = "1 frame is" if len(self.frames) == 1 else f"{len(self.frames)} frames are"
            parts.append(f"{count} damaged and left out ({shown})")
        if self.cut_off:
            parts.append("it is cut off; the result has what there is")
        return f"{name}: {'; '.join(parts)}" if parts else None


class FrameSource(Protocol):
    """An input that yields frames."""

    info: SourceInfo
    damage: Damage

    def frames(self) -> Iterator[SourceFrame]:
        """Yield all frames from the start, with rising time stamps; may be called once."""

    def fingerprint(self) -> dict[str, object] | None:
        """Return what identifies the input on disk; None for a pipe, which cannot be read again."""

    def close(self) -> None:
        """Release the files."""


@dataclass(frozen=True)
class Selection:
    """Which frames of an input become frames of the result.

    Attributes:
        start: Seconds of the input at which the result begins.
        end: Seconds of the input at which it ends; None for the input's end.
        rate: Frames per second of the result; None keeps the input's time stamps.
    """

    start: float = 0.0
    end: float | None = None
    rate: Fraction | None = None

    @property
    def is_trimmed(self) -> bool:
        """Whether a part of the input is left out."""
        return self.start > 0 or self.end is not None

    def describe(self, info: SourceInfo) -> SourceInfo:
        """Return what is known of the selected frames."""
        seconds = info.seconds
        if seconds is not None:
            seconds = max(0.0, min(seconds, seconds if self.end is None else self.end) - self.start)
        if self.rate is None:
            return replace(info, seconds=seconds)
        unit = 1 / self.rate
        while unit > LARGEST_TIME_BASE:
            unit /= 2
        return replace(info, seconds=seconds, rate=self.rate, time_base=unit)

    def apply(self, frames: Iterable[SourceFrame], info: SourceInfo) -> Iterator[SourceFrame]:
        """Yield the selected frames, timed from the start of the selection in units of `describe`."""
        if self.is_trimmed:
            frames = self._trim(frames, info)
        return iter(frames) if self.rate is None else self._change_rate(frames, info)

    def _trim(self, frames: Iterable[SourceFrame], info: SourceInfo) -> Iterator[SourceFrame]:
        first = None
        shift = round(Fraction(self.start) / info.time_base)
        for frame in frames:
            first = frame.pts if first is None else first
            time = float((frame.pts - first) * info.time_base)
            if self.end is not None and time >= self.end:
                return
            if time >= self.start:
                yield frame._replace(pts=frame.pts - shift)

    def _change_rate(self, frames: Iterable[SourceFrame], info: SourceInfo) -> Iterator[SourceFrame]:
        """Show, at every tick of the rate, the last frame that has begun."""
        assert self.rate is not None
        step = int(1 / self.rate / self.describe(info).time_base)
        tick = 0
        held: SourceFrame | None = None
        origin = Fraction(0)
        for frame in frames:
            time = frame.pts * info.time_base
            if held is None:
                origin = time
            while held is not None and origin + tick / self.rate < time:
                yield held._replace(pts=self._place(origin, step, tick), duration=step)
                tick += 1
            held = frame
        if held is not None:
            last = held.pts * info.time_base + (held.duration * info.time_base or 1 / info.rate)
            while origin + tick / self.rate < last:
                yield held._replace(pts=self._place(origin, step, tick), duration=step)
                tick += 1

    def _place(self, origin: Fraction, step: int, tick: int) -> int:
        assert self.rate is not None
        return round(origin * self.rate) * step + tick * step
