"""`styletransfer video`: repaint videos, animations and frames in the style of pictures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from ...errors import OptionError, StyleTransferError
from ...options import (
    OutputOptions,
    ProcessOptions,
    RuntimeOptions,
    ShardOptions,
    StyleSchedule,
    StylizeOptions,
    VideoOptions,
    parse_time,
)
from ..click_options import (
    accept_none,
    build_options,
    cache_styles_option,
    dataclass_option,
    if_exists_options,
    json_option,
    model_option,
    parse_numbers,
    runtime_options,
    shard_option,
    stroke_scale_option,
    style_size_option,
)
from ..configured_command import ConfiguredCommand
from ..console import Console, explain_error
from ..map_files import VideoMapFiles, video_map_options
from ..paths import STDIN, STDOUT, find_style_folder
from ..stylize_job import load_stylizer
from ..thread_pool import MAX_WORKERS, divide_threads, is_disk_full
from ..video_job import VideoJobOptions, VideoJobRunner
from ..video_planning import VideoJob, plan_videos

if TYPE_CHECKING:
    from ...api import Stylizer


def parse_moment(value: Any) -> float:
    """Read a time such as 1:02:03.5 or a number of seconds."""
    try:
        return parse_time(value) if isinstance(value, str) else float(value)
    except (OptionError, TypeError, ValueError) as error:
        raise click.BadParameter(str(error)) from error


def parse_weights(value: Any) -> StyleSchedule | tuple[float, ...]:
    """Read weights such as 2,1, or weights at times such as "0:1,0 10:0,1"."""
    if isinstance(value, StyleSchedule):
        return value
    try:
        if isinstance(value, str) and StyleSchedule.is_schedule(value):
            return StyleSchedule.parse(value)
    except OptionError as error:
        raise click.BadParameter(str(error)) from error
    return parse_numbers(float)(value)


parse_moment.__name__ = "time"  # click's metavar
parse_weights.__name__ = "weights"


@click.command(cls=ConfiguredCommand)
@click.argument("content", metavar="IN", type=click.Path(allow_dash=True))
@click.argument("styles", metavar="STYLE...", nargs=-1, required=True, type=click.Path())
@dataclass_option(
    OutputOptions,
    "output",
    "-o",
    "--output",
    metavar="PATH|DIR/|TEMPLATE|-",
    show_default="{content}_{style}.mp4 in this folder; for animations their own extension",
    help="File, whose extension chooses the container: .mp4 .m4v .mov .mkv .webm .gif .webp .apng; a folder "
    "of PNG frames (an existing one, or a path that ends in a slash), or of the results if IN stands for "
    "several videos; a template with the fields {content} {style} {alpha}; or - for Matroska on standard "
    "output.",
)
@click.option(
    "--start",
    type=parse_moment,
    default=VideoOptions.start,
    metavar="TIME",
    help=VideoOptions.__dataclass_fields__["start"].metadata["help"],
)
@click.option(
    "--end",
    type=accept_none("end", parse_moment),
    default="end",
    metavar="TIME|end",
    help=VideoOptions.__dataclass_fields__["end"].metadata["help"],
)
@dataclass_option(VideoOptions, "fps", none="auto", metavar="N|auto")
@dataclass_option(StylizeOptions, "size", none="full", metavar="N|full")
@dataclass_option(VideoOptions, "steadiness", metavar="0..1")
@dataclass_option(StylizeOptions, "alpha", "-a", "--alpha", metavar="0..1")
@dataclass_option(StylizeOptions, "alpha_scales", show_default="1 for all")
@click.option(
    "--style-weights",
    type=parse_weights,
    metavar="N,N,...",
    show_default="none, for one STYLE",
    help="Blend of all styles: one number per style such as 2,1, or such numbers at times in seconds, "
    'between which they change evenly: "0:1,0 10:0,1".',
)
@video_map_options
@dataclass_option(StylizeOptions, "outside")
@style_size_option
@stroke_scale_option
@dataclass_option(StylizeOptions, "preserve_color")
@dataclass_option(StylizeOptions, "color_only", is_flag=True)
@dataclass_option(StylizeOptions, "transform")
@dataclass_option(StylizeOptions, "match", none="auto", metavar="0..1|auto")
@dataclass_option(StylizeOptions, "passes", metavar="N")
@dataclass_option(StylizeOptions, "content_statistics")
@dataclass_option(VideoOptions, "codec")
@dataclass_option(VideoOptions, "crf", none="auto", metavar="N|auto")
@dataclass_option(VideoOptions, "bit_depth", metavar="8|10|16")
@dataclass_option(VideoOptions, "flatten", is_flag=True)
@dataclass_option(OutputOptions, "quality", metavar="1..100", help="Quality of animated WebP, 1..100.")
@cache_styles_option
@model_option
@runtime_options
@if_exists_options
@shard_option
@dataclass_option(
    OutputOptions,
    "metadata",
    "--metadata/--no-metadata",
    help="Keep the tags of the video, and record the settings in a comment if it has none.",
)
@dataclass_option(
    OutputOptions,
    "keep_location",
    "--keep-location/--no-location",
    help="Keep also where the video was filmed.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Print what would be written, and do nothing.")
@json_option
@click.pass_obj
def video(
    console: Console,
    /,
    content: str,
    styles: tuple[str, ...],
    style_weights: StyleSchedule | tuple[float, ...] | None,
    model: str,
    force: bool,
    dry_run: bool,
    cache_styles: bool,
    as_json: bool,
    masks: tuple[str, ...],
    content_map: str | None,
    style_map: str | None,
    **values: Any,
) -> int:
    """Repaint videos, animations and frames, steadily, with their sound.

    IN is a video, an animated GIF, WebP or PNG, a folder or quoted pattern of frames or of videos, or - for a
    video on standard input. STYLE is as for stylize; several are blended by --style-weights, or have one
    --mask each.

    The work is kept in parts of 10 seconds beside the result until all of it is done: after a crash, or
    Ctrl-C, the same command goes on.
    """
    schedule = style_weights if isinstance(style_weights, StyleSchedule) else None
    weights = None if schedule is not None else style_weights
    chosen = {name: value for name, value in values.items() if name != "bit_depth"}  # it is of the video
    output = build_options(OutputOptions, {**chosen, **({"if_exists": "overwrite"} if force else {})})
    runtime = build_options(RuntimeOptions, values)
    options = VideoJobOptions(
        build_options(StylizeOptions, {**values, "style_weights": weights}),
        build_options(VideoOptions, values),
        output,
        schedule,
        VideoMapFiles(masks, content_map, style_map),
        values["threads"],
    )
    if as_json and output.output == STDOUT and not dry_run:
        raise OptionError("--json and -o - both write to standard output", hint="leave one of them out")
    shard = build_options(ShardOptions, values)
    plan = plan_videos(content, styles, options.stylize, schedule, output, options.files, shard)
    for note in plan.notes:
        console.note(note)
    if dry_run:
        for job in plan.jobs:
            facts = describe_job(job)
            line = f"{' + '.join([job.label, *facts['styles']])} -> {job.target}"
            console.result(json.dumps(facts) if as_json else line)
        return 0

    stop = Event()
    workers = divide_threads(build_options(ProcessOptions, values), runtime, MAX_WORKERS)
    style_folder = find_style_folder() if cache_styles else None

    @lru_cache
    def load() -> Stylizer:
        return load_stylizer(console, model, runtime, stop=stop, style_folder=style_folder)

    damaged, failures = False, 0
    with ExitStack() as stack:
        stack.callback(stop.set)
        if len(plan.jobs) > 1:
            load()  # a model that is missing is no failure of every video
        for job in plan.jobs:
            try:
                facts = render_job(console, job, options, load, workers)
            except StyleTransferError as error:
                # What has run out for one video has run out for the next.
                if len(plan.jobs) == 1 or is_disk_full(error):
                    raise
                failures += 1
                facts = {**describe_job(job), "error": str(error)}
                console.error(str(explain_error(error, [job.label])))
            if job.output is not None and (as_json or "error" not in facts):
                console.result(json.dumps(facts) if as_json else job.target)
            if (damage := facts.get("damage")) is not None:
                damaged = True
                console.error(damage)
    if failures:
        console.note(f"{failures} of {len(plan.jobs)} videos failed; the same command tries them again")
    return int(damaged or failures > 0)


def render_job(
    console: Console, job: VideoJob, options: VideoJobOptions, load: Callable[[], Stylizer], workers: int
) -> dict[str, Any]:
    """Make one result, and return what there is to say of it."""
    start = time.perf_counter()
    with ExitStack() as stack:
        # A video that cannot be read is refused before the model is loaded.
        runner = VideoJobRunner(console, job, options, stack)
        stylizer = load()
        try:
            made = runner.run(stylizer, workers=workers)
        except KeyboardInterrupt as interrupt:
            console.note(f"stopped{explain_interrupt(interrupt, job)}")
            raise (
                interrupt.__cause__ or interrupt
            ) from None  # it may be a SIGTERM, which has another exit code
        except Exception as error:
            if is_disk_full(error):
                console.note(f"stopped because the disk is full; {explain_resuming(job)}")
            raise
        damage = runner.source.damage.describe(runner.source.info.name)
    for name in made.omitted:
        console.note(f"{job.target} cannot hold this part of {job.label}, which is left out: {name}")
    return {
        **describe_job(job),
        "width": runner.output.width,
        "height": runner.output.height,
        "frames": made.frames,
        "length": round(made.seconds, 3),
        "damage": damage,
        "alpha": options.stylize.alpha,
        "model": stylizer.model_name,
        "device": stylizer.device,
        "seconds": round(time.perf_counter() - start, 3),
    }


def describe_job(job: VideoJob) -> dict[str, Any]:
    """Return what is known of a result before it is made."""
    return {"content": job.label, "styles": [str(each) for each in job.styles], "output": job.target}


def explain_interrupt(interrupt: KeyboardInterrupt, job: VideoJob) -> str:
    """Say how much of a stopped run is kept."""
    from ...video import RenderInterrupted

    if not isinstance(interrupt, RenderInterrupted):
        return f": {explain_resuming(job)}"
    playable = "" if interrupt.playable is None else f"; {interrupt.playable} plays what is done"
    return f" with {interrupt.seconds:.1f} s kept; {explain_resuming(job)}{playable}"


def explain_resuming(job: VideoJob) -> str:
    """Say what the same command would do."""
    again = job.content == STDIN or job.output is None
    return "the same command begins again" if again else "the same command goes on"
