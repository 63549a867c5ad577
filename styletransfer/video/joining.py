"""Join finished parts to the result, without encoding again, and put the other streams beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from heapq import merge
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import VideoError
from ..media import Picture
from .animation_writing import write_animation
from .av_frames import FrameConverter
from .encoding import seconds_of
from .libav import explain_libav, load_av
from .output_formats import VideoOutput
from .part_store import Part
from .sources import Selection, SourceInfo, find_video, open_input
from .stream_copying import StreamCopier, Tags

MILLISECOND = Fraction(1, 1000)


def join_parts(
    files: Sequence[Path],
    parts: Sequence[Part],
    target: Path,
    output: VideoOutput,
    info: SourceInfo,
    *,
    source: Path | None,
    selection: Selection,
    tags: Tags,
) -> list[str]:
    """Write the file of a result from its parts.

    Args:
        files: The parts' files.
        parts: Their frames.
        target: The file to write; the caller renames it.
        output: How it is written.
        info: Time base and more of the result.
        source: The video from which other streams are copied; None for inputs that have none.
        selection: Which part of the input is copied.
        tags: What is recorded.

    Returns:
        What the container cannot hold, such as "subtitle subrip".
    """
    if output.container.kind == "animation":
        write_animation(
            _decode_parts(files, info, alpha=output.alpha),
            _list_delays(parts, info),
            target,
            output.container.format,
            loops=info.loops if info.is_animation else 0,
            quality=output.quality,
            comment=tags.comment,
        )
        return []
    try:
        return _join(files, parts, target, output, info, source, selection, tags)
    except Exception as error:
        raise explain_libav(error, str(output.path), "cannot be written") from error


def _join(
    files: Sequence[Path],
    parts: Sequence[Part],
    target: Path,
    output: VideoOutput,
    info: SourceInfo,
    source: Path | None,
    selection: Selection,
    tags: Tags,
) -> list[str]:
    av = load_av()
    assert output.codec is not None
    with ExitStack() as stack:
        options = dict(output.container.options)
        container = stack.enter_context(
            av.open(str(target), "w", format=output.container.format, container_options=options)
        )
        with av.open(str(files[0])) as first:
            video = container.add_stream_from_template(first.streams.video[0], opaque=True)
            video.time_base = info.time_base
            if output.codec.tag is not None and output.container.format in {"mp4", "mov"}:
                video.codec_context.codec_tag = output.codec.tag
            if output.alpha:
                video.metadata["alpha_mode"] = "1"
        copier = None
        others: Iterator[tuple[float, Any]] = iter(())
        if source is None:
            container.metadata.update(tags.choose({}))
        else:
            opened = stack.enter_context(open_input(source))
            copier = StreamCopier(opened, find_video(opened, str(source)), container, video, selection, tags)
            others = copier.packets(opened)
        encoded = _read_parts(files, parts, video, info)
        for _, packet in merge(encoded, others, key=lambda item: item[0]):
            container.mux_one(packet)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return [] if copier is None else copier.omitted


def _read_parts(
    files: Sequence[Path], parts: Sequence[Part], video: Any, info: SourceInfo
) -> Iterator[tuple[float, Any]]:
    """Yield the packets of all parts with their times, which come from the lists and not from the files."""
    following = [part.pts[0] for part in parts[1:]]
    for number, (file, part) in enumerate(zip(files, parts, strict=True)):
        ends = [*part.pts[1:], following[number] if number < len(following) else None]
        with load_av().open(str(file)) as container:
            packets = (packet for packet in container.demux(video=0) if packet.size)
            for index, packet in enumerate(packets):
                if index >= len(part.pts):
                    raise VideoError(f"{file}: more packets than frames")
                pts, end = part.pts[index], ends[index]
                packet.time_base = info.time_base
                packet.pts = packet.dts = pts
                packet.duration = part.durations[index] if end is None else end - pts
                packet.stream = video
                yield seconds_of(pts, info.time_base), packet


def _decode_parts(files: Sequence[Path], info: SourceInfo, *, alpha: bool) -> Iterator[Picture]:
    converter = FrameConverter(info.width, info.height, alpha=alpha, bit_depth=8)
    for file in files:
        with load_av().open(str(file)) as container:
            for frame in container.decode(video=0):
                yield converter.convert(frame)


def _list_delays(parts: Sequence[Part], info: SourceInfo) -> list[int]:
    """Return how long each frame is shown, in milliseconds, without drift."""
    pts = [each for part in parts for each in part.pts]
    last = parts[-1].durations[-1]
    ends = [*pts[1:], pts[-1] + last]
    origin = pts[0]
    marks = [round((each - origin) * info.time_base / MILLISECOND) for each in [origin, *ends]]
    return [end - start for start, end in pairwise(marks)]
