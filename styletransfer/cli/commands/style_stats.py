"""`styletransfer style-stats`: measure styles once and keep their statistics as files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import click

from ...errors import OptionError, StyleTransferError
from ...options import OutputOptions, ProcessOptions, RuntimeOptions, ShardOptions
from ..click_options import (
    build_options,
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
from ..paths import (
    STATISTICS_SUFFIX,
    InputFile,
    apply_if_exists,
    check_distinct,
    check_outputs,
    describe_unreadable,
    expand_contents,
    fill_template,
    resolve_template,
)
from ..stylize_job import load_stylizer
from ..thread_pool import ReportProgress, explain_resuming, run_jobs, set_threads

DEFAULT_TEMPLATE = "{style}" + STATISTICS_SUFFIX


@dataclass(frozen=True)
class MeasureJob:
    """One style and the file of its statistics."""

    style: InputFile
    output: Path

    @property
    def inputs(self) -> list[str]:
        """Names of the files that are read."""
        return [str(self.style)]


@click.command(cls=ConfiguredCommand)
@click.argument("styles", metavar="STYLE...", nargs=-1, required=True, type=click.Path())
@dataclass_option(
    OutputOptions,
    "output",
    "-o",
    "--output",
    metavar="PATH|DIR|TEMPLATE",
    show_default=f"{DEFAULT_TEMPLATE} in this folder",
    help="File, folder, or template with the fields {style} and {folder} (the subfolder in which a pattern "
    "found the style).",
)
@style_size_option
@stroke_scale_option
@model_option
@runtime_options
@if_exists_options
@shard_option
@json_option
@click.pass_obj
def style_stats(
    console: Console,
    /,
    styles: tuple[str, ...],
    model: str,
    style_size: int | None,
    stroke_scale: int | None,
    force: bool,
    as_json: bool,
    **values: Any,
) -> int:
    """Measure styles once and save their statistics, which can be used as STYLE later.

    STYLE is a picture, a folder or a quoted pattern. A file of statistics has 6 to 13 MB, loads at once, and
    works with the model that measured it. It serves contents of every size, as the picture would, unless
    --stroke-scale measures for one stroke scale alone.
    """
    from ...media import unreadable_extensions

    runtime = build_options(RuntimeOptions, values)
    output = build_options(OutputOptions, {**values, **({"if_exists": "overwrite"} if force else {})})
    shard = build_options(ShardOptions, values)
    jobs = plan_measurements(styles, output, shard)
    if not jobs:
        done = "all of these statistics exist already"
        console.note(done if shard.shard is None else f"nothing is left to do in shard {shard.shard}")
        return 0
    set_threads(build_options(ProcessOptions, values))
    stop = Event()
    stylizer = load_stylizer(console, model, runtime, stop=stop)

    def measure(job: MeasureJob, _: ReportProgress) -> str:
        assert job.style.path is not None
        statistics = stylizer.measure_style(job.style.path, style_size=style_size, stroke_scale=stroke_scale)
        job.output.parent.mkdir(parents=True, exist_ok=True)
        statistics.save(job.output)
        return describe(job, output=str(job.output)) if as_json else str(job.output)

    def describe(job: MeasureJob, **facts: str) -> str:
        return json.dumps({"style": str(job.style), "model": stylizer.model_name, **facts})

    def describe_failure(job: MeasureJob, failure: StyleTransferError) -> str | None:
        return describe(job, error=str(failure)) if as_json else None

    resume = explain_resuming(output, forced=force, without_force=values["if_exists"])
    code = run_jobs(console, jobs, measure, describe_failure, stop=stop, resume=resume)
    for line in describe_unreadable(styles, unreadable_extensions()):
        console.note(line)
    return code


def plan_measurements(
    arguments: tuple[str, ...], output: OutputOptions, shard: ShardOptions
) -> list[MeasureJob]:
    """Plan which file holds the statistics of which style of this shard; names are checked among all.

    Raises:
        OptionError: A style is missing, or an output is not a .safetensors file or has the name of another.
        OutputExistsError: An output exists and may not be overwritten.
    """
    from ...media import readable_extensions

    expanded = [expand_contents(argument, readable_extensions()) for argument in arguments]
    inputs = [each for found, _ in expanded for each in found]
    if any(each.path is None for each in inputs):
        raise OptionError("a STYLE cannot be -", hint="save the picture first")
    template = resolve_template(output.output, DEFAULT_TEMPLATE)
    outputs = [fill_template(template, {"folder": each.folder, "style": each.stem}) for each in inputs]
    for path in outputs:
        if path.suffix != STATISTICS_SUFFIX:
            hint = f"name it {path.stem}{STATISTICS_SUFFIX}"
            raise OptionError(f"{path}: statistics are {STATISTICS_SUFFIX} files", hint=hint)
    check_distinct(outputs, "{folder} {style}")
    check_outputs(outputs, [each.path for each in inputs if each.path])
    are_many = len(inputs) > 1 or any(many for _, many in expanded)
    own = [index for index, each in enumerate(inputs) if shard.holds(each.relative_name)]
    policy = output.if_exists or ("skip" if are_many else "error")
    paths = apply_if_exists([outputs[index] for index in own], policy, reserved=outputs)
    return [MeasureJob(inputs[index], path) for index, path in zip(own, paths, strict=True) if path]
