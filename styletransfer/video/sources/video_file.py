"""Decode a video file or a pipe, frame by frame, and say what of it is damaged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import VideoError
from ..av_frames import FrameConverter, is_hdr
from ..libav import explain_libav, is_libav_error, load_av
from .frame_source import Damage, SourceFrame, SourceInfo

DEFAULT_RATE = Fraction(25)  # of raw streams that state none
CUT_OFF_SECONDS = 1.0  # by which the last packet may end before the stated duration
PICTURE_FORMATS = ("image2", "_pipe")  # demuxers of single pictures
ALPHA_DECODERS = {"vp9": "libvpx-vp9", "vp8": "libvpx"}  # FFmpeg's own decoders drop alpha
PROGRESSIVE = {0, 1}  # field orders: unknown, progressive
OPTIONS = {"protocol_whitelist": "file,pipe,crypto,data"}  # a playlist may not reach into the network


class VideoFile:
    """A source of frames that libav decodes.

    Args:
        file: A path, or a binary stream with `read` alone.
        name: Printable name for messages.
        rate: Frames per second of streams without time stamps; None for what they state.
        threads: Threads that decode; 0 for libav's choice.

    Raises:
        VideoError: The file cannot be read, or it has no video.
    """

    def __init__(
        self,
        file: Path | Any,
        name: str,
        *,
        rate: Fraction | None = None,
        threads: int = 0,
    ) -> None:
        av = load_av()
        self._path = file if isinstance(file, Path) else None
        # The first frame is decoded at once, and other packets may come before it.
        self._early: list[Any] | None = []
        self._receive: Callable[[Any], None] | None = None
        self.damage = Damage()
        try:
            self.container = open_input(file)
        except Exception as error:
            raise explain_libav(
                error, name, "is not a readable video", "export or download it again"
            ) from error
        self.stream = find_video(self.container, name)
        self.stream.codec_context.thread_count = threads
        self.stream.codec_context.thread_type = "AUTO"
        self._decoder = self._find_alpha_decoder(av)
        self._rate = self._find_rate(rate)
        self._pending, first = self._decode_first(name)
        width, height = first.width, first.height
        if first.rotation % 180:
            width, height = height, width
        components = first.format.components
        alpha = any(each.is_alpha for each in components)
        hdr = is_hdr(first.color_trc)
        bit_depth = 16 if max(each.bits for each in components) > 8 and not hdr else 8
        self._converter = FrameConverter(width, height, alpha=alpha, bit_depth=bit_depth)
        aspect = self.stream.codec_context.sample_aspect_ratio or Fraction(1)
        notes = []
        if hdr:
            notes.append(f"{name} is HDR; it is mapped to SDR")
        if self._is_interlaced(first):
            notes.append(f"{name} is interlaced; its fields are joined by a filter (bwdif)")
        self.info = SourceInfo(
            name=name,
            width=width,
            height=height,
            time_base=self.stream.time_base or 1 / self._rate,
            rate=self._rate,
            seconds=self._measure_length(),
            alpha=alpha,
            bit_depth=bit_depth,
            pixel_aspect=1 / aspect if first.rotation % 180 else aspect,
            notes=tuple(notes),
        )

    def forward_packets(self, receive: Callable[[Any], None]) -> None:
        """Call a function with every packet of the other streams, in order, for results that are streamed."""
        for packet in self._early or ():
            receive(packet)
        self._receive = receive

    def frames(self) -> Iterator[SourceFrame]:
        """Yield all frames in the order in which they are shown, with strictly rising time stamps."""
        self._early = None
        last: int | None = None
        time_base = self.info.time_base
        typical = max(1, round(1 / self._rate / time_base))
        for count, frame in enumerate(self._deinterlace()):
            unit = frame.time_base or time_base
            pts = None if frame.pts is None else round(frame.pts * unit / time_base)
            if pts is None:
                pts = round(count / self._rate / time_base)
            if last is not None and pts <= last:  # damaged or missing time stamps
                pts = last + typical
            last = pts
            duration = round(frame.duration * unit / time_base) if frame.duration else typical
            yield SourceFrame(pts, duration, partial(self._converter.convert, frame))

    def fingerprint(self) -> dict[str, object] | None:
        """Return path, size and time of change; None for a pipe."""
        return None if self._path is None else identify_file(self._path)

    def close(self) -> None:
        """Close the file."""
        self._pending = iter(())
        self.container.close()

    def _find_alpha_decoder(self, av: Any) -> Any:
        """Return a decoder that keeps the alpha channel of VP8 and VP9; None if the stream's own will do."""
        tags = {key.lower(): text for key, text in self.stream.metadata.items()}
        name = ALPHA_DECODERS.get(self.stream.codec_context.name)
        if tags.get("alpha_mode") != "1" or name is None or name not in av.codecs_available:
            return None
        return av.CodecContext.create(name, "r")

    def _find_rate(self, rate: Fraction | None) -> Fraction:
        stated = self.stream.guessed_rate or self.stream.average_rate or self.stream.base_rate
        return rate if rate is not None and self.stream.time_base is None else stated or rate or DEFAULT_RATE

    def _decode_first(self, name: str) -> tuple[Iterator[Any], Any]:
        decoded = self._decode()
        try:
            first = next(decoded, None)
        except Exception as error:
            if not is_libav_error(error):
                raise
            raise explain_libav(error, name, "is not a readable video", "export it again") from error
        if first is None:
            raise VideoError(f"{name}: no frame can be decoded", hint="export or download it again")

        def all_frames() -> Iterator[Any]:
            yield first
            yield from decoded

        return all_frames(), first

    def _decode(self) -> Iterator[Any]:
        """Yield decoded frames; broken packets are remembered and passed over."""
        reached = 0.0
        try:
            for packet in self.container.demux():
                if packet.pts is not None and packet.size:
                    end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    reached = max(reached, end)
                if packet.stream.index == self.stream.index:  # a flush has no index of its own
                    yield from self._decode_packet(packet)
                elif packet.size and self._receive is not None:
                    self._receive(packet)
                elif packet.size and self._early is not None:
                    self._early.append(packet)
        except Exception as error:
            if not is_libav_error(error):
                raise
            self.damage.cut_off = True  # the demuxer itself gave up
        if self._decoder is not None:
            yield from self._decoder.decode(None)
        container = self.container
        if container.duration is not None and self._path is not None:
            stated = container.duration / 1e6
            if "matroska" not in container.format.name:  # which states the time of the end
                stated += (container.start_time or 0) / 1e6
            self.damage.cut_off = self.damage.cut_off or reached < stated - CUT_OFF_SECONDS

    def _decode_packet(self, packet: Any) -> Iterator[Any]:
        if not packet.size and packet.pts is not None:
            return  # Theora: the frame before is shown for longer; libav would take it for the end
        av = load_av()
        try:
            if self._decoder is None:
                frames = packet.decode()
            else:
                frames = self._decoder.decode(packet) if packet.size else []
        except av.error.FFmpegError:
            self._count_damage(packet)
            return
        for frame in frames:
            if frame.is_corrupt:
                self._count_damage(frame)
            else:
                yield frame

    def _count_damage(self, broken: Any) -> None:
        at = "at an unknown time" if broken.pts is None else f"{float(broken.pts * broken.time_base):.2f} s"
        self.damage.frames.append(at)

    def _is_interlaced(self, frame: Any) -> bool:
        return bool(frame.interlaced_frame) or self.stream.codec_context.field_order not in PROGRESSIVE

    def _deinterlace(self) -> Iterator[Any]:
        """Yield the frames; from the first interlaced one on, through bwdif, which leaves others alone."""
        graph: Any = None
        for frame in self._pending:
            if graph is None and self._is_interlaced(frame):
                graph = self._build_filter(frame)
            if graph is None:
                yield frame
                continue
            rotation = frame.rotation
            graph.push(frame)
            yield from _pull(graph, rotation)
        if graph is not None:
            graph.push(None)
            yield from _pull(graph, 0)

    def _build_filter(self, frame: Any) -> Any:
        graph = load_av().filter.Graph()
        source = graph.add_buffer(template=self.stream, width=frame.width, height=frame.height)
        marked = frame.interlaced_frame
        filter = graph.add("bwdif", f"mode=send_frame:deint={'interlaced' if marked else 'all'}")
        sink = graph.add("buffersink")
        source.link_to(filter)
        filter.link_to(sink)
        graph.configure()
        return graph

    def _measure_length(self) -> float | None:
        stream = self.stream
        if self._path is None:
            return None
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        duration = self.container.duration
        return None if duration is None else float(duration / 1e6)


def open_input(file: Path | Any) -> Any:
    """Open a file for demuxing; its path cannot be taken for a protocol."""
    av = load_av()
    if isinstance(file, Path):
        if not file.is_file():
            raise VideoError(f"{file}: no such file")
        return av.open(os.path.abspath(file), "r", metadata_errors="replace")  # noqa: PTH100
    return av.open(file, "r", metadata_errors="replace")


def find_video(container: Any, name: str) -> Any:
    """Return the stream to stylize: the first that is no cover art.

    Raises:
        VideoError: There is none.
    """
    if container.format.name.endswith(PICTURE_FORMATS):
        raise VideoError(f"{name} is a picture", hint="use `styletransfer stylize`")
    attached = load_av().stream.Disposition.attached_pic
    streams = [each for each in container.streams.video if not each.disposition & attached]
    if not streams:
        cover = " but cover art" if container.streams.video else ""
        raise VideoError(f"{name} has no video{cover}", hint="choose a file with a video stream")
    return next((each for each in streams if each.disposition & 1), streams[0])


def identify_file(path: Path) -> dict[str, object]:
    """Return what changes when a file changes: its path, size and time of change."""
    status = path.stat()
    return {"path": str(path.resolve()), "size": status.st_size, "changed": status.st_mtime_ns}


def _pull(graph: Any, rotation: int) -> Iterator[Any]:
    av = load_av()
    while True:
        try:
            yield graph.pull()
        except (BlockingIOError, av.error.EOFError):
            return
