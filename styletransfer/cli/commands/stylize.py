"""`styletransfer stylize`: repaint pictures in the style of others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from threading import Event
from typing import Any

import click

from ...cluster.remote_path import RemotePath
from ...errors import OptionError, StyleTransferError
from ...options import (
    ArchiveOptions,
    ClusterOptions,
    OutputOptions,
    ProcessOptions,
    RuntimeOptions,
    ShardOptions,
    StylizeOptions,
)
from ..click_options import (
    build_options,
    cache_styles_option,
    dataclass_option,
    if_exists_options,
    json_option,
    model_option,
    runtime_options,
    shard_option,
    stroke_scale_option,
    style_size_option,
)
from ..configured_command import ConfiguredCommand
from ..console import Console
from ..job_planning import StylizeJob, plan_jobs
from ..map_files import MapFiles, map_options
from ..paths import STDOUT, find_style_folder
from ..stylize_job import JobRunner, StylizeRun, compare_settings
from ..thread_pool import ReportProgress, divide_threads, explain_resuming, run_jobs, set_threads


@click.command(cls=ConfiguredCommand)
@click.argument("content", type=click.Path(allow_dash=True))
@click.argument("styles", metavar="STYLE...", nargs=-1, required=True, type=click.Path())
@dataclass_option(
    OutputOptions,
    "output",
    "-o",
    "--output",
    metavar="PATH|DIR|TEMPLATE|-",
    show_default="{content}_{style}.png in this folder",
)
@dataclass_option(StylizeOptions, "alpha", "-a", "--alpha", metavar="0..1")
@dataclass_option(StylizeOptions, "alpha_scales", show_default="1 for all")
@dataclass_option(StylizeOptions, "style_weights", show_default="no blend, one result per style")
@map_options
@dataclass_option(StylizeOptions, "outside")
@dataclass_option(StylizeOptions, "size", none="full", metavar="N|full")
@style_size_option
@stroke_scale_option
@dataclass_option(StylizeOptions, "preserve_color")
@dataclass_option(StylizeOptions, "color_only", is_flag=True)
@dataclass_option(OutputOptions, "lut", metavar="PATH|DIR|TEMPLATE")
@dataclass_option(StylizeOptions, "transform")
@dataclass_option(StylizeOptions, "match", none="auto", metavar="0..1|auto")
@dataclass_option(StylizeOptions, "passes", metavar="N")
@dataclass_option(StylizeOptions, "refine", metavar="N")
@dataclass_option(StylizeOptions, "content_statistics")
@cache_styles_option
@model_option
@runtime_options
@dataclass_option(ClusterOptions, "engine")
@dataclass_option(
    ClusterOptions, "address", metavar="auto|HOST:PORT", show_default="Ray starts on this machine"
)
@dataclass_option(ClusterOptions, "workers", metavar="N", show_default="as many as the cluster has room for")
@dataclass_option(ClusterOptions, "gpus_per_worker", metavar="F", show_default="1 where there are GPUs")
@if_exists_options
@shard_option
@dataclass_option(ArchiveOptions, "shards", is_flag=True)
@dataclass_option(OutputOptions, "bit_depth", metavar="8|16")
@dataclass_option(OutputOptions, "quality", metavar="1..100")
@dataclass_option(OutputOptions, "dpi", metavar="N", show_default="the content's")
@dataclass_option(OutputOptions, "metadata", "--metadata/--no-metadata")
@dataclass_option(OutputOptions, "keep_location", "--keep-location/--no-location")
@click.option("-n", "--dry-run", is_flag=True, help="Print what would be written, and do nothing.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure.")
@json_option
@click.pass_obj
def stylize(
    console: Console,
    /,
    content: str,
    styles: tuple[str, ...],
    model: str,
    force: bool,
    dry_run: bool,
    fail_fast: bool,
    cache_styles: bool,
    as_json: bool,
    masks: tuple[str, ...],
    content_map: str | None,
    style_map: str | None,
    **values: Any,
) -> int:
    """Repaint pictures in the style of others.

    CONTENT is a picture, a folder, a quoted pattern such as 'photos/**/*.jpg', or - for standard input. STYLE
    is a picture, a folder, a quoted pattern, or a file that style-stats has written.

    Every content is repainted in every style. With --style-weights it is repainted in the blend of all
    styles, and with one --mask per style each style paints its own part. The paths of the results go to
    standard output, everything else goes to standard error.
    """
    options = build_options(StylizeOptions, values)
    output = build_options(OutputOptions, {**values, **({"if_exists": "overwrite"} if force else {})})
    cluster = build_options(ClusterOptions, values)
    cluster.check_engine()
    if as_json and output.output == STDOUT and not dry_run:
        raise OptionError("--json and -o - both write to standard output", hint="leave one of them out")
    files = MapFiles(masks, content_map, style_map)
    shard = build_options(ShardOptions, values)
    run = StylizeRun(
        model,
        options,
        output,
        files,
        build_options(RuntimeOptions, values),
        build_options(ProcessOptions, values),
        cluster,
        style_folder=find_style_folder() if cache_styles else None,
        resume=explain_resuming(output, forced=force, without_force=values["if_exists"]),
        as_json=as_json,
        fail_fast=fail_fast,
    )
    if build_options(ArchiveOptions, values).shards:
        from ..shards.shard_planning import plan_shards
        from ..shards.stylize_shards import stylize_shards

        return stylize_shards(
            console, plan_shards(content, styles, options, output, files, shard), run, dry_run=dry_run
        )
    plan = plan_jobs(content, styles, options, output, files, shard)
    for note in (*plan.notes, compare_settings(plan.skipped, run)):
        if note is not None:
            console.note(note)
    if dry_run:
        for job in plan.jobs:
            console.result(describe_job(job, as_json=as_json))
    if dry_run or not plan.jobs:
        for line in plan.unreadable:
            console.note(line)
        return 0

    if cluster.engine == "ray":
        from ..cluster.ray_engine import check_jobs, run_on_ray

        check_jobs(plan.jobs)
        code = run_on_ray(console, plan.jobs, run, files.read(console))
    else:
        code = run_locally(console, plan.jobs, run)
    for line in plan.unreadable:
        console.note(line)
    return code


def run_locally(console: Console, jobs: Sequence[StylizeJob], run: StylizeRun) -> int:
    """Run jobs on this machine and return the exit code.

    Raises:
        OptionError: A file is not on this machine.
        WeightsError: The weights are missing or damaged.
    """
    check_local(jobs)
    maps = run.files.read(console)
    stop = Event()
    if run.fail_fast:
        workers = 1
        set_threads(run.process)
    else:
        workers = divide_threads(run.process, run.runtime, len(jobs))
    stylizer = run.load_stylizer(console, stop)
    runner = JobRunner(console, stylizer, run, jobs, maps)

    def run_job(job: StylizeJob, report: ReportProgress) -> str | None:
        facts = runner.run(job, report)
        console.detail(f"{facts['width']}x{facts['height']} pixels in {facts['seconds']} s")
        if run.as_json:
            return json.dumps(facts)
        return None if job.output is None else str(job.output)

    def describe_failure(job: StylizeJob, failure: StyleTransferError) -> str | None:
        return run.describe_failure(job, failure, stylizer.model_name, stylizer.device)

    return run_jobs(
        console,
        jobs,
        run_job,
        describe_failure,
        stop=stop,
        resume=run.resume,
        fail_fast=run.fail_fast,
        workers=workers,
    )


def check_local(jobs: Sequence[StylizeJob]) -> None:
    """Refuse jobs with files in object stores.

    Raises:
        OptionError: There is one.
    """
    for job in jobs:
        for path in (job.content.path, *(style.path for style in job.styles), job.output, job.lut):
            if isinstance(path, RemotePath):
                raise OptionError(f"{path} is not on this machine", hint="add --engine ray")


def describe_job(job: StylizeJob, *, as_json: bool) -> str:
    """Return one line that says what a job would do."""
    output = STDOUT if job.output is None else str(job.output)
    if as_json:
        styles = [str(style) for style in job.styles]
        lut = {} if job.lut is None else {"lut": str(job.lut)}
        return json.dumps({"content": str(job.content), "styles": styles, "output": output, **lut})
    return f"{' + '.join(job.inputs)} -> {output}" + ("" if job.lut is None else f", {job.lut}")
