"""The run of one job of `video`, from the files that it reads to the one that it writes."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OptionError
from ..options import OutputOptions, StyleSchedule, StylizeOptions, VideoOptions
from ..result_metadata import describe_settings, list_settings
from .console import Console
from .map_files import VideoMapFiles
from .paths import STDIN, decode_name
from .video_planning import VideoJob

if TYPE_CHECKING:
    from ..api import Stylizer
    from ..video import FrameSource, MaskTrack, RegionTracks, RenderedVideo, RenderPlan


@dataclass(frozen=True)
class VideoJobOptions:
    """All options of a job.

    Attributes:
        stylize: How frames look.
        video: Which part of the video, and how it is encoded.
        output: What is recorded in the result.
        schedule: Weights of styles that change with time.
        files: The files that say where each style is painted.
        threads: Threads of decoder and encoder; None for their own choice.
    """

    stylize: StylizeOptions
    video: VideoOptions
    output: OutputOptions
    schedule: StyleSchedule | None
    files: VideoMapFiles
    threads: int | None

    def describe(self, job: VideoJob, model: str) -> dict[str, str]:
        """Return the settings that a result records."""
        styles = [decode_name(each) for each in job.styles]
        content = decode_name(Path(job.label))
        described = describe_settings(
            content, styles, self.stylize, decode_name(Path(model)), self.files.describe()
        )
        video = {name: str(value) for name, value in asdict(self.video).items() if value is not None}
        schedule = {} if self.schedule is None else {"style_schedule": str(asdict(self.schedule))}
        return described | video | schedule


class VideoJobRunner:
    """Opens the input of a job, plans its output, and renders it.

    Args:
        console: Receives notes and the progress.
        job: The job.
        options: Its options.
        stack: Closes the files at the end.

    Raises:
        VideoError: The input cannot be read.
        OptionError: The output cannot hold what is asked for.
    """

    def __init__(self, console: Console, job: VideoJob, options: VideoJobOptions, stack: ExitStack) -> None:
        from ..video import (
            RegionTracks,
            Selection,
            describe_result,
            holds_pixel_aspect,
            open_source,
            plan_output,
        )

        self._console, self._job, self._options = console, job, options
        self._moving: set[Path] = set()
        video = options.video
        rate = None if video.fps is None else Fraction(video.fps).limit_denominator(100_000)
        self._spool = self._open_spool(stack) if job.content == STDIN and job.output is not None else None
        self.source: FrameSource = open_source(
            self._choose_source(),
            job.label,
            rate=rate,
            threads=options.threads or 0,
            spool=self._spool,
        )
        stack.callback(self.source.close)
        of_frames = bool(job.frames)  # their rate is the source's own
        self.selection = Selection(video.start, video.end, None if of_frames else rate)
        square = not holds_pixel_aspect(job.output, video, folder=job.is_folder)
        size = options.stylize.size
        self.info = describe_result(self.source.info, self.selection, size, square_pixels=square)
        self.output = plan_output(
            job.output, self.info, video, folder=job.is_folder, quality=options.output.quality
        )
        for note in (*self.info.notes, *self.output.notes):
            console.note(note)
        opened = self._open_tracks(stack)
        first_frames = {name: track.first for name, track in opened.items()}
        self._maps = options.files.read(console, first_frames)
        self._tracks: RegionTracks | None = None
        if self._maps is not None and opened:
            masks = {index: opened[name] for index, name in enumerate(options.files.masks) if name in opened}
            self._tracks = RegionTracks(self._maps, masks, opened.get(options.files.content_map or ""))
            self._maps = self._tracks.maps

    @property
    def bit_depth(self) -> int:
        """Bits per channel of the stylized frames."""
        return 8 if self.output.bit_depth == 8 else 16

    def run(self, stylizer: Stylizer, **settings: Any) -> RenderedVideo:
        """Render the result.

        Args:
            stylizer: The model.
            settings: Arguments of `Stylizer.frame_stylizer`.

        Raises:
            RenderInterrupted: Ctrl-C was pressed.
        """
        from ..video import PartStore, render_to_pipe, render_video

        job, options = self._job, self._options
        frames = stylizer.frame_stylizer(
            job.styles,
            replace(options.stylize, size=None),  # frames are resized where they are decoded
            steadiness=options.video.steadiness,
            causal=STDIN in {job.content, job.target},
            schedule=options.schedule,
            maps=self._maps,
            bit_depth=self.bit_depth,
            **settings,
        )
        recorded = list_settings(stylizer, options.describe(job, stylizer.model_name))
        plan = self._plan(recorded)
        if job.output is None:
            with self._progress(0.0) as report:
                return render_to_pipe(plan, frames, sys.stdout.buffer, report)
        job.output.parent.mkdir(parents=True, exist_ok=True)
        if job.is_folder:
            job.output.mkdir(exist_ok=True)
        store = PartStore(job.output, self._identify(recorded))
        if store.outdated:
            self._console.note(
                f"what a stopped run has left was made with other settings ({', '.join(store.outdated)}) "
                "and is not used"
            )
        if store.frames:
            self._console.note(f"{store.frames} frames are there from a run that was stopped; going on")
        with self._progress(store.seconds(self.info.time_base)) as report:
            return render_video(plan, frames, store, report)

    def _plan(self, recorded: dict[str, str]) -> RenderPlan:
        from ..video import RenderPlan, Tags, VideoFile

        output = self._options.output
        path = self._job.path
        if self._spool is not None:
            path = Path(self._spool.name)
        comment = json.dumps(recorded) if output.metadata else None
        return RenderPlan(
            self.source,
            self.selection,
            self.info,
            self.output,
            path if isinstance(self.source, VideoFile) else None,
            threads=self._options.threads or 0,
            tags=Tags(output.metadata, output.keep_location, comment),
            settings=recorded if output.metadata else None,
            tracks=self._tracks,
        )

    def _identify(self, recorded: dict[str, str]) -> dict[str, object] | None:
        """Return all that the frames of the result depend on; None if the input cannot be read again."""
        from ..files import compute_sha256

        fingerprint = self.source.fingerprint()
        if fingerprint is None:
            return None
        stills = [each for each in self._options.files.paths if each not in self._moving]
        hashes = [compute_sha256(path) for path in (*self._job.styles, *stills)]
        tracks = {} if self._tracks is None else {"moving_masks": self._tracks.fingerprint()}
        encoding = {"pixel_format": self.output.pixel_format, "crf": self.output.crf}
        return {**recorded, "input": fingerprint, "hashes": hashes, **tracks, **encoding}

    def _open_tracks(self, stack: ExitStack) -> dict[str, MaskTrack]:
        """Open the masks and the map that change with time, by their names."""
        from ..video import MaskTrack, is_moving, open_source

        files, info, threads = self._options.files, self.source.info, self._options.threads or 0
        tracks: dict[str, MaskTrack] = {}
        for name in files.changing:
            frames = files.frames.get(name)
            if frames is None and not is_moving(Path(name)):
                continue
            self._moving.update(frames or [Path(name)])
            source = open_source(frames or Path(name), name, rate=info.rate, threads=threads)
            stack.callback(source.close)
            tracks[name] = MaskTrack(source, info, self.selection)
        return tracks

    def _progress(self, done: float) -> Any:
        return self._console.video_progress(self.info.seconds, done)

    def _choose_source(self) -> Any:
        if self._job.content == STDIN:
            if sys.stdin is None:
                raise OptionError("standard input is closed", hint="give a file")
            return sys.stdin.buffer
        return self._job.frames or Path(self._job.content)

    def _open_spool(self, stack: ExitStack) -> Any:
        """Open a file for a copy of what the pipe gives: its sound is copied when all frames are done."""
        import tempfile

        assert self._job.output is not None
        folder = self._job.output.resolve().parent
        folder.mkdir(parents=True, exist_ok=True)
        return stack.enter_context(
            tempfile.NamedTemporaryFile(prefix=".styletransfer-", dir=folder, buffering=0)
        )
