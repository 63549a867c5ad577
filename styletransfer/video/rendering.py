"""Render a video: decode, stylize and encode at once, in parts, and go on where a run was stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from torch import Tensor

from ..errors import VideoError
from ..temporal import Frame, FrameStylizer
from .av_frames import fit_picture
from .joining import join_parts
from .output_formats import VideoOutput
from .part_store import PART_SECONDS, Part, PartStore
from .pipelining import BackgroundWriter, prefetch
from .region_tracks import RegionTracks
from .sinks import FinishedFrame, FrameSink, PartSink, PipeSink
from .sources import FrameSource, Selection, SourceFrame, SourceInfo, VideoFile
from .stream_copying import Tags

AHEAD = 3  # frames that wait between two threads
Report = Callable[[float, int], None]  # seconds of the result that are done, and frames of this run


@dataclass(frozen=True)
class RenderPlan:
    """What is rendered.

    Attributes:
        source: The input.
        selection: Which of its frames.
        info: What is known of the result's frames, see `describe_result`.
        output: How they are written.
        path: The input's file, from which other streams are copied; None if it has none.
        threads: Threads of the encoder; 0 for its own choice.
        tags: What is recorded in a file.
        settings: What is recorded in every file of a folder of frames.
        tracks: Where each style is painted in every frame; None if that does not change.
    """

    source: FrameSource
    selection: Selection
    info: SourceInfo
    output: VideoOutput
    path: Path | None
    threads: int = 0
    tags: Tags = Tags()  # noqa: RUF009  it is frozen
    settings: Mapping[str, str] | None = None
    tracks: RegionTracks | None = None


@dataclass(frozen=True)
class RenderedVideo:
    """A result.

    Attributes:
        frames: Number of its frames.
        seconds: Its length.
        omitted: What its container cannot hold, such as "subtitle subrip".
    """

    frames: int
    seconds: float
    omitted: tuple[str, ...] = ()


class RenderInterrupted(KeyboardInterrupt):
    """The user stopped the run.

    Attributes:
        seconds: How much of the result the same command finds done.
        playable: A file with all frames so far; None if there are none.
    """

    def __init__(self, seconds: float, playable: Path | None) -> None:
        super().__init__()
        self.seconds, self.playable = seconds, playable


def describe_result(
    info: SourceInfo, selection: Selection, size: int | None, *, square_pixels: bool
) -> SourceInfo:
    """Return what is known of the frames of a result.

    Args:
        info: What is known of the input.
        selection: Which frames are chosen.
        size: Long edge of the result; None for that of the input.
        square_pixels: Whether frames are stretched so that their pixels become squares.
    """
    selected = selection.describe(info)
    width, height = info.width, info.height
    if square_pixels and info.pixel_aspect != 1:
        width = max(1, round(width * info.pixel_aspect))
        selected = replace(selected, pixel_aspect=Fraction(1))
    if size is not None:
        longest = max(width, height)
        width, height = (max(1, round(edge * size / longest)) for edge in (width, height))
    return replace(selected, width=width, height=height)


def render_video(
    plan: RenderPlan, stylizer: FrameStylizer, store: PartStore, report: Report
) -> RenderedVideo:
    """Render a file or a folder of frames part by part; what the store holds already is not made again.

    Raises:
        VideoError: A file cannot be read or written, or no frame is selected. Finished parts stay.
        RenderInterrupted: Ctrl-C was pressed; finished parts stay.
    """
    assert plan.output.path is not None
    sink = PartSink(store, plan.output, plan.info, plan.threads, plan.settings)
    playable = name_playable(plan.output.path)
    try:
        _render_frames(plan, stylizer, sink, store, report)
        if not store.parts:
            raise VideoError(f"{plan.info.name}: no frame is selected", hint="change --start and --end")
        omitted = [] if plan.output.container.kind == "folder" else _finish(plan, store)
    except KeyboardInterrupt as stop:
        seconds = store.seconds(plan.info.time_base)
        left = _leave_playable(plan, store, sink, playable)
        store.discard_if_empty()
        raise RenderInterrupted(seconds, left) from stop
    except Exception:
        sink.abandon()
        store.discard_if_empty()
        raise
    playable.unlink(missing_ok=True)
    result = RenderedVideo(store.frames, store.seconds(plan.info.time_base), tuple(omitted))
    store.discard()
    return result


def render_to_pipe(
    plan: RenderPlan, stylizer: FrameStylizer, pipe: BinaryIO, report: Report
) -> RenderedVideo:
    """Render to a pipe as Matroska.

    Raises:
        VideoError: The input cannot be read, or no frame is selected.
        BrokenPipeError: The reader has gone.
    """
    video = plan.source if isinstance(plan.source, VideoFile) else None
    sink = PipeSink(pipe, plan.output, plan.info, plan.threads, video, plan.selection, plan.tags)
    frames, seconds = _render_frames(plan, stylizer, sink, None, report)
    if not frames:
        raise VideoError(f"{plan.info.name}: no frame is selected", hint="change --start and --end")
    sink.close()
    return RenderedVideo(frames, seconds, tuple(sink.omitted))


def name_playable(output: Path) -> Path:
    """Return the name of what Ctrl-C leaves of a result."""
    return output.with_name(f"{output.stem}.partial{output.suffix}")


def _render_frames(
    plan: RenderPlan, stylizer: FrameStylizer, sink: FrameSink, store: PartStore | None, report: Report
) -> tuple[int, float]:
    """Render the frames that are missing; return their number and the seconds that the result has."""
    unit = plan.info.time_base
    done = 0 if store is None else store.frames
    state = store.read_state() if store is not None and done else None
    reached = 0.0
    if store is not None and done:
        reached = float((store.parts[-1].pts[-1] - store.parts[0].pts[0]) * unit)
    stamps: dict[int, SourceFrame] = {}

    def load() -> Iterator[Frame]:
        first = None
        source = plan.source.frames()
        if plan.tracks is not None:
            source = plan.tracks.attach(source, plan.source.info)
        for index, item in enumerate(plan.selection.apply(source, plan.source.info)):
            first = item.pts if first is None else first
            time = float((item.pts - first) * unit)
            if time < reached - stylizer.lookback and index < done - stylizer.lookback_frames:
                continue  # decoded, because seeking is not exact everywhere, but not even converted
            if index >= done:
                stamps[index] = item
            picture = fit_picture(item.load(), plan.info.width, plan.info.height)
            flat = picture if plan.output.alpha else picture.on_white()
            yield Frame(flat, time, index, None if item.maps is None else item.maps())

    def write(item: FinishedFrame | Mapping[str, Tensor]) -> None:
        if isinstance(item, FinishedFrame):
            sink.write(item)
        else:
            sink.end_part(item)

    writer: BackgroundWriter[FinishedFrame | Mapping[str, Tensor]] = BackgroundWriter(write, AHEAD)
    count, begin, seconds = 0, None, reached
    try:
        with prefetch(load(), AHEAD) as frames, closing(_as_generator(stylizer, frames, state)) as results:
            for frame in results:
                item = stamps.pop(frame.index)
                begin = item.pts if begin is None else begin
                name = item.label or f"{frame.index + 1:06}"
                writer.put(FinishedFrame(frame.picture, item.pts, item.duration, name))
                count += 1
                seconds = frame.time + float(item.duration * unit)
                if (item.pts - begin) * unit >= PART_SECONDS:
                    writer.put(stylizer.state())
                    begin = None
                report(seconds, count)
        if count:
            writer.put(stylizer.state())
        writer.finish()
    except BaseException:
        writer.cancel()
        raise
    return count, seconds


def _as_generator(
    stylizer: FrameStylizer, frames: Iterator[Frame], state: Mapping[str, Tensor] | None
) -> Generator[Frame]:
    """Yield what the stylizer does; closing it ends the stylizer's threads as well."""
    yield from stylizer.stylize(frames, resume=state)


def _finish(plan: RenderPlan, store: PartStore) -> list[str]:
    """Join the parts and give the result its name."""
    assert plan.output.path is not None
    files = [store.path_of(number) for number in range(len(store.parts))]
    joined = store.folder / f"joined{plan.output.path.suffix}"
    omitted = _join(plan, files, store.parts, joined)
    os.replace(joined, os.path.realpath(plan.output.path))  # noqa: PTH105
    return omitted


def _leave_playable(plan: RenderPlan, store: PartStore, sink: PartSink, playable: Path) -> Path | None:
    """Join what is done and the beginning of the next part, if the result is a video."""
    unfinished = sink.close()
    if plan.output.container.kind != "video":
        return None
    parts = [*store.parts, *([unfinished] if unfinished is not None else [])]
    if not parts:
        return None
    files = [store.path_of(number) for number in range(len(parts))]
    joined = store.folder / f"joined{playable.suffix}"
    first = parts[0].pts[0]
    end = plan.selection.start + float((parts[-1].pts[-1] - first) * plan.info.time_base)
    _join(plan, files, parts, joined, end=max(end, plan.selection.start + 0.001))
    os.replace(joined, playable)  # noqa: PTH105
    return playable


def _join(
    plan: RenderPlan,
    files: list[Path],
    parts: list[Part],
    target: Path,
    *,
    end: float | None = None,
) -> list[str]:
    selection = plan.selection if end is None else replace(plan.selection, end=end)
    return join_parts(
        files,
        parts,
        target,
        plan.output,
        plan.info,
        source=plan.path,
        selection=selection,
        tags=plan.tags,
    )
