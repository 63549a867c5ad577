"""Run the jobs of `stylize`: read the content, stylize it, write the result, describe it."""

from __future__ import annotations

import io
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from ..cluster.remote_path import RemotePath
from ..errors import StyleTransferError
from ..options import ClusterOptions, OutputOptions, ProcessOptions, RuntimeOptions, StylizeOptions
from ..result_metadata import choose_metadata, describe_settings, list_settings
from .console import Console
from .job_planning import StylizeJob
from .map_files import MAP_SETTINGS, MapFiles
from .paths import InputFile, decode_name, find_weights_folder

if TYPE_CHECKING:
    from ..api import Stylizer
    from ..media import PhotoMetadata, Picture
    from ..media.cube_lut import CubeLut
    from ..region_maps import RegionMaps


@dataclass(frozen=True)
class StylizeRun:
    """What a `stylize` command asks for beside its inputs, on this machine, for archives, and on Ray alike.

    Attributes:
        model: Name of the model or path of its weights.
        options: How results look.
        output: How results are written.
        files: The files that say where each style is painted.
        runtime: Device, precision and memory.
        process: Threads.
        cluster: Where the work is done.
        style_folder: A folder in which the statistics of styles are kept; None keeps them in memory.
        resume: What to say about going on after an interrupt.
        as_json: Whether each result is described by a line of JSON.
        fail_fast: Whether the first failure ends the run.
    """

    model: str
    options: StylizeOptions
    output: OutputOptions
    files: MapFiles
    runtime: RuntimeOptions
    process: ProcessOptions
    cluster: ClusterOptions
    style_folder: Path | None
    resume: str
    as_json: bool
    fail_fast: bool

    def load_stylizer(self, console: Console, stop: Event) -> Stylizer:
        """Load the model; see `load_stylizer`."""
        return load_stylizer(console, self.model, self.runtime, stop=stop, style_folder=self.style_folder)

    def describe_failure(
        self, job: StylizeJob, failure: StyleTransferError, model: str, device: str
    ) -> str | None:
        """Return the line of JSON of a job that failed; None without --json."""
        if not self.as_json:
            return None
        return json.dumps(describe_result(job, self.options.alpha, model, device, error=str(failure)))


class JobResult(NamedTuple):
    """A result before it is written.

    Attributes:
        picture: The picture.
        alpha: Strength of the style.
        lut: The map of colors; None without --color-only.
        settings: What the file records of the settings; None to record nothing.
        photo: What it records of the content.
    """

    picture: Picture
    alpha: float
    lut: CubeLut | None
    settings: dict[str, str] | None
    photo: PhotoMetadata


class JobRunner:
    """Runs jobs one after the other, or several at once on as many threads.

    Args:
        console: Receives a note about every animated input.
        stylizer: The model.
        run: The options of the run.
        jobs: All jobs of the run.
        maps: What the run's map files hold; None if styles are painted everywhere.
    """

    def __init__(
        self,
        console: Console,
        stylizer: Stylizer,
        run: StylizeRun,
        jobs: Sequence[StylizeJob],
        maps: RegionMaps | None,
    ) -> None:
        from ..style_measurer import KeyedCache

        self.console = console
        self.stylizer = stylizer
        self.options, self.output = run.options, run.output
        self.files, self.maps = run.files, maps
        # The jobs of one content follow each other, and standard input can be read only once.
        self._contents = KeyedCache(self._read_content, size=1)
        self._noted: set[InputFile] = set()
        self._remaining_uses = Counter(job.content for job in jobs)
        self._lock = Lock()

    def run(self, job: StylizeJob, progress: Callable[[float], None] | None = None) -> dict[str, Any]:
        """Make one result, write it and describe it; `progress` receives the share that is done."""
        start = time.perf_counter()
        content, photo = self._take_content(job)
        result = self.stylize(job, content, photo, progress)
        del content  # freed before the result is encoded
        if job.lut is not None and result.lut is not None:
            # Before the picture, whose file says that all is done.
            job.lut.parent.mkdir(parents=True, exist_ok=True)
            result.lut.save(job.lut)
        self._write(job, result)
        seconds = time.perf_counter() - start
        return describe_result(
            job, result.alpha, self.stylizer.model_name, self.stylizer.device, result.picture, seconds=seconds
        )

    def stylize(
        self,
        job: StylizeJob,
        content: Picture,
        photo: PhotoMetadata,
        progress: Callable[[float], None] | None = None,
    ) -> JobResult:
        """Stylize a content that has been read, without writing anything."""
        for style in job.styles:
            self._note_animation(style)
        styles = [each.path for each in job.styles if each.path is not None]  # never standard input
        picture, options, lut = self.stylizer.stylize_picture(
            content,
            styles,
            self.options,
            bit_depth=self.output.bit_depth,
            progress=progress,
            maps=self.maps,
        )
        described = describe_job_settings(job, options, self.stylizer.model_name, self.files)
        settings = list_settings(self.stylizer, described) if self.output.metadata else None
        return JobResult(picture, options.alpha, lut, settings, choose_metadata(photo, self.output))

    def read(self, source: Path | io.BytesIO) -> tuple[Picture, PhotoMetadata]:
        """Read a content from a file or a stream, and what is kept of its metadata."""
        from ..media import read_photo_metadata, read_picture

        picture = read_picture(source)
        return picture, read_photo_metadata(source, keep_location=self.output.keep_location)

    def _take_content(self, job: StylizeJob) -> tuple[Picture, PhotoMetadata]:
        """Return the content of a job; after its last job it is no longer kept here."""
        content = self._contents.get(job.content)
        with self._lock:
            self._remaining_uses[job.content] -= 1
            if not self._remaining_uses[job.content]:
                self._contents.discard(job.content)
        return content

    def _read_content(self, content: InputFile) -> tuple[Picture, PhotoMetadata]:
        source: Path | io.BytesIO
        if content.path is None:
            source = io.BytesIO(sys.stdin.buffer.read())
            source.name = content.label  # for messages
        else:
            source = content.path
        picture, photo = self.read(source)
        self._note_animation(content, photo)
        return picture, photo

    def _note_animation(self, source: InputFile, photo: PhotoMetadata | None = None) -> None:
        """Say once that only the first frame of an animated input is used."""
        from ..media import read_photo_metadata

        with self._lock:
            if source in self._noted:
                return
            self._noted.add(source)
        if photo is None and source.path is not None:
            photo = read_photo_metadata(source.path)
        if photo is not None and photo.animated:
            self.console.note(f"{source.label} is animated; only its first frame is used")

    def _write(self, job: StylizeJob, result: JobResult) -> None:
        from ..media import write_picture

        picture, settings, photo = result.picture, result.settings, result.photo
        if job.output is None:
            buffer = io.BytesIO()  # so that a reader that hangs up is not reported as an error of writing
            write_picture(picture, buffer, format="png", metadata=settings, photo=photo)
            sys.stdout.buffer.write(buffer.getbuffer())
            sys.stdout.buffer.flush()
        else:
            job.output.parent.mkdir(parents=True, exist_ok=True)
            quality = self.output.quality
            write_picture(picture, job.output, quality=quality, metadata=settings, photo=photo)


def describe_result(
    job: StylizeJob,
    alpha: float,
    model: str,
    device: str,
    picture: Picture | None = None,
    *,
    seconds: float | None = None,
    error: str | None = None,
) -> dict[str, Any]:
    """Return the JSON object of a job; values that a failed job does not have are None."""
    return {
        **describe_files(job, error),
        "width": picture and picture.width,
        "height": picture and picture.height,
        "alpha": alpha,
        "model": model,
        "device": device,
        "seconds": seconds and round(seconds, 3),
    }


def describe_files(job: StylizeJob, error: str | None = None) -> dict[str, Any]:
    """Return the part of the JSON object of a job that names files, or the error in the place of results."""
    return {
        "content": str(job.content),
        "styles": [str(style) for style in job.styles],
        **({"output": str(job.output)} if error is None else {"error": error}),
        **({"lut": str(job.lut)} if job.lut is not None and error is None else {}),
    }


def describe_job_settings(
    job: StylizeJob, options: StylizeOptions, model: str, files: MapFiles
) -> dict[str, str]:
    """Return those of the recorded settings that are known before the model is loaded."""
    content = decode_name(job.content.path or Path(job.content.label))
    styles = [decode_name(style.path) for style in job.styles if style.path]
    return describe_settings(content, styles, options, decode_name(Path(model)), files.describe())


def compare_settings(jobs: Sequence[StylizeJob], run: StylizeRun) -> str | None:
    """Describe how many existing results were made with other settings; None if there are none.

    Results without recorded settings are passed over, and so are settings that are chosen by size.

    Args:
        jobs: Jobs whose results exist.
        run: The options of this run.
    """
    from ..media import read_recorded_settings

    options = run.options
    chosen_by_size = {name for name in ("stroke_scale", "style_size") if getattr(options, name) is None}
    defaults = {name: str(value) for name, value in asdict(StylizeOptions()).items() if value is not None}
    count = 0
    names: dict[str, None] = {}
    for job in jobs:
        if job.output is None or isinstance(job.output, RemotePath):  # too many requests
            continue
        recorded = read_recorded_settings(job.output)
        if "styletransfer" not in recorded:
            continue
        recorded = defaults | recorded  # an older version had fewer options
        wanted = describe_job_settings(job, options, run.model, run.files)
        known = {*wanted, *asdict(options), *MAP_SETTINGS} - chosen_by_size
        other = [name for name in wanted | recorded if wanted.get(name) != recorded.get(name)]
        other = [name for name in other if name in known]
        count += bool(other)
        names.update(dict.fromkeys(other))
    if not count:
        return None
    results = "1 existing result was" if count == 1 else f"{count} existing results were"
    options_named = ", ".join(name.replace("_", "-") for name in names)
    return f"{results} made with other settings ({options_named}); -f makes all results again"


def load_stylizer(
    console: Console,
    model: str,
    runtime: RuntimeOptions,
    *,
    stop: Event | None = None,
    style_folder: Path | None = None,
) -> Stylizer:
    """Load a model, and say once which one it is and where it computes.

    Args:
        console: Output of the command.
        model: Name of the model or path of its weights.
        runtime: Device, precision and memory.
        stop: An event that ends all work once it is set.
        style_folder: A folder in which the statistics of styles are kept; None keeps them in memory.

    Raises:
        WeightsError: The weights are missing or damaged.
        OptionError: The machine lacks the device.
    """
    from ..api import Stylizer
    from ..pipeline.process_memory import tune_allocator

    tune_allocator()
    stylizer = Stylizer(
        model, runtime=runtime, weights_folder=find_weights_folder(), style_folder=style_folder, stop=stop
    )
    console.note(f"model {stylizer.model_name} on {stylizer.device}, {stylizer.precision}")
    return stylizer
