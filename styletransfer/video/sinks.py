"""Where stylized frames go: into parts that are kept, into a folder of pictures, or down a pipe."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple, Protocol

from torch import Tensor

from ..errors import StyleTransferError
from ..media import Picture, write_picture
from .encoding import EncodedPart, FrameEncoder
from .libav import explain_libav, load_av
from .output_formats import VideoOutput
from .part_store import Part, PartStore
from .sources import Selection, SourceInfo, VideoFile
from .stream_copying import StreamCopier, Tags

Metadata = Mapping[str, str] | None


class FinishedFrame(NamedTuple):
    """A stylized frame on its way to the result.

    Attributes:
        picture: Its pixels.
        pts: Time stamp in units of the result's time base.
        duration: How long it is shown, in the same units; 0 if that is unknown.
        name: Its name in a folder of frames, without extension.
    """

    picture: Picture
    pts: int
    duration: int
    name: str


class FrameSink(Protocol):
    """What takes stylized frames, in order."""

    def write(self, frame: FinishedFrame) -> None:
        """Take one frame."""

    def end_part(self, state: Mapping[str, Tensor]) -> None:
        """Keep the frames since the last call for good, with the state of the stylizer after them."""


class PartSink:
    """Writes frames into the parts of a store.

    Args:
        store: The parts.
        output: How they are encoded.
        info: Time base and more of the result.
        threads: Threads of the encoder; 0 for its own choice.
        metadata: What is recorded in every file of a folder of frames.
    """

    def __init__(
        self, store: PartStore, output: VideoOutput, info: SourceInfo, threads: int, metadata: Metadata = None
    ) -> None:
        self._store, self._output, self._info, self._threads = store, output, info, threads
        self._metadata = metadata
        self._part: EncodedPart | None = None
        self._pts: list[int] = []
        self._durations: list[int] = []

    def write(self, frame: FinishedFrame) -> None:
        """Encode a frame, or write its file."""
        try:
            if self._output.container.kind == "folder":
                self._write_file(frame)
            else:
                if self._part is None:
                    path = self._store.path_of(len(self._store.parts))
                    self._part = EncodedPart(path, self._output, self._info, self._threads)
                self._part.write(frame.picture, frame.pts)
        except Exception as error:
            raise explain_libav(error, str(self._output.path), "cannot be written") from error
        self._pts.append(frame.pts)
        self._durations.append(frame.duration)

    def end_part(self, state: Mapping[str, Tensor]) -> None:
        """Finish the part; a run that is stopped later goes on after it."""
        if not self._pts:
            return
        part = self.close()
        assert part is not None
        try:
            self._store.add(part, state)
        except OSError as error:
            raise explain_libav(error, str(self._output.path), "cannot be written") from error

    def close(self) -> Part | None:
        """Close the part that is being written and return its frames; None if there are none."""
        encoder, self._part = self._part, None
        part = Part(tuple(self._pts), tuple(self._durations))
        self._pts, self._durations = [], []
        if encoder is not None:
            try:
                encoder.close()
            except Exception as error:
                raise explain_libav(error, str(self._output.path), "cannot be written") from error
        return part if part.pts else None

    def abandon(self) -> None:
        """Close the part that is being written after an error, whatever becomes of it."""
        with suppress(StyleTransferError):
            self.close()

    def _write_file(self, frame: FinishedFrame) -> None:
        assert self._output.path is not None
        depth = self._output.bit_depth
        picture = frame.picture if self._output.alpha else frame.picture.on_white()
        path = self._output.path / f"{frame.name}.png"
        write_picture(picture.with_bit_depth(depth), path, metadata=self._metadata)


class PipeSink:
    """Writes frames as Matroska to a pipe, with the other streams beside them as they are read.

    Args:
        pipe: The pipe.
        output: How frames are encoded.
        info: Time base and more of the result.
        threads: Threads of the encoder; 0 for its own choice.
        source: The video from which other streams are copied; None for inputs that have none.
        selection: Which part of it is copied.
        tags: What is recorded.
    """

    def __init__(
        self,
        pipe: BinaryIO,
        output: VideoOutput,
        info: SourceInfo,
        threads: int,
        source: VideoFile | None,
        selection: Selection,
        tags: Tags,
    ) -> None:
        self.omitted: list[str] = []
        options = {"flush_packets": "1"}
        self._container = load_av().open(
            _WriteOnly(pipe), "w", format=output.container.format, container_options=options
        )
        self._encoder = FrameEncoder(self._container, output, info, threads)
        self._copier: StreamCopier | None = None
        self._waiting: deque[Any] = deque()
        if source is None:
            self._container.metadata.update(tags.choose({}))
        else:
            self._copier = StreamCopier(
                source.container, source.stream, self._container, self._encoder.stream, selection, tags
            )
            self.omitted = self._copier.omitted
            source.forward_packets(self._waiting.append)  # on the thread that decodes

    def write(self, frame: FinishedFrame) -> None:
        """Encode a frame and send what is ready."""
        self._send(list(self._encoder.encode(frame.picture, frame.pts)))

    def end_part(self, state: Mapping[str, Tensor]) -> None:
        """Do nothing, because what is sent is sent."""

    def close(self) -> None:
        """Send the rest and the end of the file."""
        self._send(list(self._encoder.flush()))
        self._container.close()

    def _send(self, packets: list[Any]) -> None:
        while self._waiting:
            packet = self._waiting.popleft()
            if self._copier is not None and (copied := self._copier.copy(packet)) is not None:
                packets.append(copied)
        self._container.mux(packets)


class _WriteOnly:
    """A pipe as libav writes to it: it cannot seek."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe

    def write(self, data: bytes) -> int:
        self._pipe.write(data)
        self._pipe.flush()
        return len(data)
