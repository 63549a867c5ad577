"""`styletransfer stylize`: repaint pictures in the style of others."""

from __future__ import annotations

import json
from typing import Any

import click

from ..errors import OptionError, StyleTransferError
from ..options import OutputOptions, RuntimeOptions, StylizeOptions
from .batch import explain_resuming, run_batch
from .command import ConfiguredCommand
from .fields import build_options, field_option
from .jobs import Job, plan_jobs
from .loading import load_stylizer, share_threads
from .outputs import STDOUT
from .painter import Painter
from .parameters import (
    cache_option,
    existing_options,
    json_option,
    model_option,
    runtime_options,
    stroke_scale_option,
    style_size_option,
)
from .report import Report
from .style_cache import StyleCache, find_style_cache


@click.command(cls=ConfiguredCommand)
@click.argument("content", type=click.Path(allow_dash=True))
@click.argument("styles", metavar="STYLE...", nargs=-1, required=True, type=click.Path())
@field_option(
    OutputOptions,
    "output",
    "-o",
    "--output",
    metavar="PATH|DIR|TEMPLATE|-",
    show_default="{content}_{style}.png in this folder",
    help="File, folder, template with the fields {content} {style} {alpha} {ext} and {folder} (where below "
    "its fixed part a pattern found the content), or - for a PNG on stdout.",
)
@field_option(StylizeOptions, "alpha", "-a", "--alpha", metavar="0..1")
@field_option(
    StylizeOptions,
    "style_weights",
    show_default="no blend, one result per style",
    help="Blend all styles into one, in these proportions.",
)
@field_option(
    StylizeOptions, "size", none="full", metavar="N|full", help="Long edge of the result in pixels."
)
@style_size_option
@stroke_scale_option
@field_option(StylizeOptions, "preserve_color")
@field_option(StylizeOptions, "transform")
@field_option(StylizeOptions, "statistics")
@cache_option
@model_option
@runtime_options
@existing_options
@field_option(OutputOptions, "bit_depth", metavar="8|16")
@field_option(OutputOptions, "quality", metavar="1..100")
@field_option(
    OutputOptions, "metadata", "--metadata/--no-metadata", help="Record the settings in the picture's file."
)
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be written, and do nothing.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure.")
@json_option
@click.pass_obj
def stylize(
    report: Report,
    /,
    content: str,
    styles: tuple[str, ...],
    model: str,
    force: bool,
    dry_run: bool,
    fail_fast: bool,
    cache_styles: bool,
    as_json: bool,
    **values: Any,
) -> int:
    """Repaint pictures in the style of others.

    CONTENT is a picture, a folder, a quoted pattern such as 'photos/**/*.jpg', or - for standard input.
    STYLE is the same (not -), or a file that style-stats made.

    Every content is repainted in every style; with --style-weights, in the blend of all styles. The paths
    of the results go to standard output, all else to standard error.
    """
    look = build_options(StylizeOptions, values)
    runtime = build_options(RuntimeOptions, values)
    output = build_options(OutputOptions, {**values, **({"if_exists": "overwrite"} if force else {})})
    if as_json and output.output == STDOUT and not dry_run:
        raise OptionError("--json and -o - both write to standard output", hint="leave one of them out")
    plan = plan_jobs(content, styles, look, output)
    for note in plan.notes:
        report.note(note)
    if dry_run:
        for job in plan.jobs:
            report.product(describe_job(job, as_json=as_json))
        return 0
    if not plan.jobs:
        return 0

    workers, runtime = (1, runtime) if fail_fast else share_threads(runtime, len(plan.jobs))
    stylizer = load_stylizer(report, model, runtime)
    cache = StyleCache(stylizer, find_style_cache()) if cache_styles else None
    painter = Painter(stylizer, look, output, plan.jobs, cache)

    def paint(job: Job) -> str | None:
        result = painter.paint(job)
        report.detail(f"{result['width']}x{result['height']} pixels in {result['seconds']} s")
        if as_json:
            return json.dumps(result)
        return None if job.output is None else str(job.output)

    def describe_failure(job: Job, failure: StyleTransferError) -> str | None:
        return json.dumps(painter.describe(job, error=str(failure))) if as_json else None

    resume = explain_resuming(output, forced=force, otherwise=values["if_exists"])
    return run_batch(
        report, plan.jobs, paint, describe_failure, fail_fast=fail_fast, resume=resume, workers=workers
    )


def describe_job(job: Job, *, as_json: bool) -> str:
    """Say what a job would do, as one line."""
    output = STDOUT if job.output is None else str(job.output)
    if as_json:
        styles = [str(style) for style in job.styles]
        return json.dumps({"content": str(job.content), "styles": styles, "output": output})
    return f"{' + '.join(job.inputs)} -> {output}"
