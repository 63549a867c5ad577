"""Plan the jobs of `video`: which files each of them reads and writes."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import OptionError
from ..options import OutputOptions, ShardOptions, StyleSchedule, StylizeOptions
from .job_planning import choose_name
from .map_files import VideoMapFiles
from .paths import (
    STDIN,
    STDOUT,
    InputFile,
    apply_if_exists,
    check_distinct,
    check_outputs,
    expand_contents,
    expand_styles,
    fill_template,
    resolve_template,
)

ANIMATIONS = {".gif", ".webp", ".apng"}
# What is taken from folders and patterns; a file that is named may have any extension.
VIDEOS = {
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".3gp", ".ogv", ".y4m", ".mxf"),
    *(".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob"),
}
DEFAULT_TEMPLATE = "{content}_{style}"
DISTINGUISHING_FIELDS = "{folder} {content} {style}"


@dataclass(frozen=True)
class VideoJob:
    """One result to make.

    Attributes:
        content: The argument IN, or one of the videos that it stands for.
        frames: The files of frames; empty if the content is a video or a pipe.
        styles: The styles.
        output: File or folder of the result; None for standard output.
        is_folder: Whether the result is a folder of PNG frames.
    """

    content: str
    frames: tuple[Path, ...]
    styles: tuple[Path, ...]
    output: Path | None = None
    is_folder: bool = False

    @property
    def path(self) -> Path | None:
        """The file of the video; None for frames and for a pipe."""
        return None if self.content == STDIN or self.frames else Path(self.content)

    @property
    def label(self) -> str:
        """Name of the input in messages."""
        return "<stdin>" if self.content == STDIN else self.content

    @property
    def target(self) -> str:
        """Name of the result."""
        if self.output is None:
            return STDOUT
        return f"{self.output}{os.sep}" if self.is_folder else str(self.output)


@dataclass(frozen=True)
class VideoPlan:
    """The jobs of a run.

    Attributes:
        jobs: The results to make.
        notes: Lines for the user about what was left out and why.
    """

    jobs: tuple[VideoJob, ...]
    notes: tuple[str, ...] = ()


def plan_videos(
    content: str,
    styles: Sequence[str],
    options: StylizeOptions,
    schedule: StyleSchedule | None,
    output: OutputOptions,
    files: VideoMapFiles,
    shard: ShardOptions,
) -> VideoPlan:
    """Plan a run from its arguments and find what can be wrong with them, before any work.

    Args:
        content: The argument IN: a video, a pipe, or a folder or pattern of frames or else of videos.
        styles: The arguments STYLE.
        options: The options; alpha and style_weights are used.
        schedule: Weights of styles that change with time.
        output: Where results are written.
        files: The files that say where each style is painted.
        shard: The part of the results that this process makes.

    Raises:
        OptionError: A file is missing, styles have no weights, or the output is not possible.
        OutputExistsError: A result exists and may not be overwritten.
    """
    from ..media import readable_extensions

    frames, videos = _expand_input(content, readable_extensions())
    chosen = expand_styles(styles, readable_extensions())
    paths = tuple(each.path for each in chosen if each.path is not None)
    weights = options.style_weights if schedule is None else schedule.weights[0]
    if weights is not None and len(weights) != len(paths):
        raise OptionError(
            f"{len(weights)} style weights for {len(paths)} styles", hint="give one for every STYLE"
        )
    if weights is None and len(files.masks) <= 1 and len(paths) > 1:
        raise OptionError(
            f"{len(paths)} styles for one result", hint="blend them, for example by --style-weights 1,1"
        )
    if output.output == STDOUT:
        if shard.shard is not None or videos:
            raise OptionError("-o - takes a single result", hint="name a folder, or leave out --shard")
        if sys.stdout.isatty():
            raise OptionError("standard output is a terminal", hint="redirect it, or name a file by -o")
        return VideoPlan((VideoJob(content, frames, paths),))
    style = "+".join(each.stem for each in chosen)
    if videos:
        named = _name_videos(videos, paths, style, output, options.alpha)
    else:
        job = VideoJob(content, frames, paths)
        named = {_name_output(job, style, output.output, options.alpha): Path(content).name}
    outputs = [job.output for job in named if job.output is not None]
    check_distinct(outputs, DISTINGUISHING_FIELDS)
    contents = [Path(job.content) for job in named if job.content != STDIN]
    check_outputs(outputs, [*frames, *paths, *contents, *files.paths])
    own = [job for job, name in named.items() if shard.holds(name)]
    notes = [] if shard.shard is None else [f"shard {shard.shard} has {len(own)} of {len(named)} results"]
    policy = output.if_exists or ("skip" if videos else "error")
    exists = _holds_frames if own and own[0].is_folder else Path.exists
    allowed = apply_if_exists([job.output for job in own if job.output], policy, exists, reserved=outputs)
    jobs = [replace(job, output=path) for job, path in zip(own, allowed, strict=True) if path is not None]
    if skipped := len(own) - len(jobs):
        exist = "the result exists already"
        notes.append(exist if not videos else f"skipped {skipped} of {len(own)} results, which exist already")
    return VideoPlan(tuple(jobs), tuple(notes))


def _expand_input(content: str, pictures: Collection[str]) -> tuple[tuple[Path, ...], tuple[InputFile, ...]]:
    """Return the frames, or else the videos, that a folder or a pattern stands for; a file is neither."""
    if content == STDIN or Path(content).is_file():
        return (), ()
    try:
        found, _ = expand_contents(content, pictures)
    except OptionError as no_pictures:
        try:
            videos, _ = expand_contents(content, VIDEOS)
        except OptionError:
            raise no_pictures from None
        return (), tuple(videos)
    return tuple(each.path for each in found if each.path is not None), ()


def _name_videos(
    videos: Sequence[InputFile], styles: tuple[Path, ...], style: str, output: OutputOptions, alpha: float
) -> dict[VideoJob, str]:
    """Give every video its output; return the jobs with the names by which they belong to shards."""
    template = resolve_template(output.output, f"{DEFAULT_TEMPLATE}.mp4")
    index = choose_name({(each,) for each in videos})
    named: dict[VideoJob, str] = {}
    for each in videos:
        fields = {"folder": each.folder, "content": each.name(index), "style": style, "alpha": f"{alpha:g}"}
        named[VideoJob(str(each), (), styles, fill_template(template, fields))] = each.relative_name
    if output.if_exists == "overwrite":  # what has the name of a result may be an original
        return named
    made = {job.output.resolve(): job.content for job in named if job.output is not None}
    # A run that writes into the folder that it reads finds its own results there.
    return {
        job: name
        for job, name in named.items()
        if made.get(Path(job.content).resolve(), job.content) == job.content
    }


def _name_output(job: VideoJob, style: str, output: str | None, alpha: float) -> VideoJob:
    is_folder = bool(job.frames) if output is None else output.endswith(os.sep) or Path(output).is_dir()
    if output is None:
        suffix = Path(job.content).suffix.lower()
        output = DEFAULT_TEMPLATE + ("" if is_folder else suffix if suffix in ANIMATIONS else ".mp4")
    elif is_folder:
        return replace(job, output=Path(output), is_folder=True)
    stem = "stdin" if job.content == STDIN else Path(job.content).stem
    if job.frames and glob.has_magic(job.content):
        stem = job.frames[0].parent.resolve().name
    fields = {"content": stem, "style": style, "alpha": f"{alpha:g}"}
    return replace(job, output=fill_template(output, fields), is_folder=is_folder)


def _holds_frames(folder: Path) -> bool:
    """Tell whether a folder holds frames that a finished run, or somebody else, has left there."""
    from ..video import find_part_folder

    return any(folder.glob("*.png")) and not find_part_folder(folder).exists()
