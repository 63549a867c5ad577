"""Copy what else a video holds, without encoding: sound, subtitles, chapters, tags."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .libav import is_libav_error, load_av
from .sources import Selection

# Tags that the muxer writes itself, or that are no longer true.
OWN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "rotate", "alpha_mode"}
STREAM_TAGS = {*OWN_TAGS, "duration", "bps", "number_of_frames", "number_of_bytes"}
TIME_CODE = "timecode"  # a tag of the container or of a stream
MAX_TIME_CODE_RATE = 255  # frames per second, which MP4 stores in a byte
MICROSECOND = Fraction(1, 1_000_000)


@dataclass(frozen=True)
class Tags:
    """What is recorded in a result beside the streams.

    Attributes:
        keep: Whether the tags of the input are kept.
        keep_location: Whether the place where it was filmed is kept too.
        comment: What is recorded of the settings; None records nothing.
    """

    keep: bool = True
    keep_location: bool = False
    comment: str | None = None

    def choose(self, tags: dict[str, str]) -> dict[str, str]:
        """Return the tags of a result from those of the input."""
        kept = {key: text for key, text in tags.items() if key.lower() not in OWN_TAGS} if self.keep else {}
        if not self.keep_location:
            kept = {key: text for key, text in kept.items() if "location" not in key.lower()}
        if self.comment is not None:
            kept.setdefault("comment", self.comment)
        return kept


class StreamCopier:
    """Copies the other streams of a video into a result.

    Args:
        source: The container that is read.
        video: Its stream that is stylized.
        target: The container that is written; its video stream is there, and nothing is muxed yet.
        result: The video stream of the target.
        selection: Which part of the input is copied.
        tags: What is recorded of the input.

    Attributes:
        omitted: What the target cannot hold, such as "subtitle subrip".
    """

    def __init__(
        self, source: Any, video: Any, target: Any, result: Any, selection: Selection, tags: Tags
    ) -> None:
        self.omitted: list[str] = []
        self._streams: dict[int, Any] = {}
        self._origin = Fraction(0) if video.start_time is None else video.start_time * video.time_base
        self._selection = selection
        # A time code counts the frames from the first one, in the rate of the input.
        untouched = not selection.is_trimmed and selection.rate is None
        self._rate = video.average_rate if untouched else None
        if tags.keep and self._rate:
            result.codec_context.framerate = self._rate  # by which muxers count it
        for stream in source.streams:
            # The muxer of MP4 writes a data stream with the titles of chapters itself.
            of_chapters = stream.type == "data" and stream.name == "bin_data" and source.chapters()
            # So it does with the track of a time code.
            of_time_code = stream.type == "data" and TIME_CODE in stream.metadata
            if stream.index != video.index and not of_chapters and not of_time_code:
                self._add(stream, target)
        target.metadata.update(self._check_time_code(tags.choose(dict(source.metadata))))
        if tags.keep:
            result.metadata.update(self._check_time_code(_choose_stream_tags(video)))
            self._copy_chapters(source, target)
        result.disposition = video.disposition

    def copy(self, packet: Any) -> Any | None:
        """Return a packet of the input as one of the target; None if it is not copied."""
        copied = self._streams.get(packet.stream_index)
        if copied is None or not packet.size:
            return None
        if self._selection.is_trimmed and not self._shift(packet):
            return None
        packet.stream = copied
        return packet

    def packets(self, source: Any) -> Iterator[tuple[float, Any]]:
        """Yield all packets to mux with their times in seconds, from a container opened anew."""
        wanted = [source.streams[index] for index in self._streams]
        if not wanted:
            return
        for packet in source.demux(*wanted):
            if packet.size and (copied := self.copy(packet)) is not None:
                stamp = copied.dts if copied.dts is not None else copied.pts
                yield float((stamp or 0) * copied.time_base), copied

    def _add(self, stream: Any, target: Any) -> None:
        attached = load_av().stream.Disposition.attached_pic
        if stream.type == "attachment":
            return self._attach(stream, target)
        label = f"{stream.type} {_name_codec(stream)}"
        if stream.type == "video":
            label = "cover art" if stream.disposition & attached else f"another {label}"
        if not _is_accepted(stream, target.format.name):
            self.omitted.append(label)
            return None
        copied = target.add_stream_from_template(stream, opaque=True)
        copied.metadata.update(_choose_stream_tags(stream))
        copied.disposition = stream.disposition
        self._streams[stream.index] = copied
        return None

    def _check_time_code(self, tags: dict[str, str]) -> dict[str, str]:
        """Return tags without a time code that is no longer true, or that muxers would fail on."""
        return {
            key: text
            for key, text in tags.items()
            if key.lower() != TIME_CODE or (self._rate and _is_time_code(text, round(self._rate)))
        }

    def _attach(self, stream: Any, target: Any) -> None:
        if target.format.name != "matroska":
            self.omitted.append(f"attachment {stream.name or ''}".rstrip())
            return
        target.add_attachment(stream.name, stream.mimetype, stream.data)

    def _copy_chapters(self, source: Any, target: Any) -> None:
        chapters = source.chapters()
        if self._selection.is_trimmed:
            chapters = [moved for each in chapters if (moved := self._move_chapter(each)) is not None]
        if chapters:
            target.set_chapters(chapters)

    def _move_chapter(self, chapter: Any) -> Any | None:
        start, end = Fraction(self._selection.start), self._selection.end
        unit = chapter["time_base"] or Fraction(1)
        first, last = chapter["start"] * unit, chapter["end"] * unit
        if last <= start or (end is not None and first >= end):
            return None
        first = max(first, start) - start
        last = (last if end is None else min(last, Fraction(end))) - start
        return {**chapter, "start": round(first / unit), "end": round(last / unit)}

    def _shift(self, packet: Any) -> bool:
        """Move a packet to the time of the selection, or return False if it is outside of it."""
        if packet.pts is None:
            return False
        start, end = Fraction(self._selection.start), self._selection.end
        time = packet.pts * packet.time_base - self._origin
        if time < start or (end is not None and time >= end):
            return False
        shift = round(start / packet.time_base)
        packet.pts -= shift
        packet.dts = packet.pts if packet.dts is None else packet.dts - shift
        return True


def _is_time_code(text: str, rate: int) -> bool:
    """Tell whether a text is a time code at a rate, where `;` means dropped numbers (SMPTE ST 12-1)."""
    match = re.fullmatch(r"\d\d:\d\d:\d\d([:;.])\d\d+", text)
    return match is not None and 1 <= rate <= MAX_TIME_CODE_RATE and (match[1] == ":" or rate in {30, 60})


def _is_accepted(stream: Any, format: str) -> bool:
    """Tell whether a format can hold a stream, which muxers tell only when they write the header."""
    with load_av().open(io.BytesIO(), "w", format=format) as trial:
        try:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
        except Exception as error:
            if not (isinstance(error, ValueError | TypeError | AttributeError) or is_libav_error(error)):
                raise
            return False
    return True


def _choose_stream_tags(stream: Any) -> dict[str, str]:
    tags = dict(stream.metadata)
    return {key: text for key, text in tags.items() if key.lower().split("-")[0] not in STREAM_TAGS}


def _name_codec(stream: Any) -> str:
    context = getattr(stream, "codec_context", None)
    name = getattr(stream, "name", None) if context is None else context.name
    return str(name or "of unknown kind")
