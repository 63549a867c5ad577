"""`styletransfer style-stats`: measure styles once and keep the statistics as files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..errors import OptionError, StyleTransferError
from ..options import OutputOptions, RuntimeOptions
from .batch import explain_resuming, run_batch
from .command import ConfiguredCommand
from .fields import build_options, field_option
from .inputs import STATISTICS, Source, expand_contents
from .loading import load_stylizer
from .outputs import check_distinct, check_outputs, fill_template, resolve_template, settle_existing
from .parameters import (
    existing_options,
    json_option,
    model_option,
    runtime_options,
    stroke_scale_option,
    style_size_option,
)
from .report import Report

DEFAULT_TEMPLATE = "{style}" + STATISTICS


@dataclass(frozen=True)
class Measurement:
    """One style and the file of its statistics."""

    style: Source
    output: Path

    @property
    def inputs(self) -> list[str]:
        """The names of the files that are read."""
        return [str(self.style)]


@click.command(cls=ConfiguredCommand)
@click.argument("styles", metavar="STYLE...", nargs=-1, required=True, type=click.Path())
@field_option(
    OutputOptions,
    "output",
    "-o",
    "--output",
    metavar="PATH|DIR|TEMPLATE",
    show_default=f"{DEFAULT_TEMPLATE} in this folder",
    help="File, folder, or template with the fields {style} and {folder} (where a pattern found the style).",
)
@style_size_option
@stroke_scale_option
@model_option
@runtime_options
@existing_options
@json_option
@click.pass_obj
def style_stats(
    report: Report,
    /,
    styles: tuple[str, ...],
    model: str,
    style_size: int | None,
    stroke_scale: int | None,
    force: bool,
    as_json: bool,
    **values: Any,
) -> int:
    """Measure styles once and save their statistics, to be given as STYLE later.

    STYLE is a picture, a folder or a quoted pattern. A file of statistics is small, takes no time to load,
    and works with the model that measured it. It has its own stroke scale, 1 unless you give another one.
    """
    runtime = build_options(RuntimeOptions, values)
    output = build_options(OutputOptions, {**values, **({"if_exists": "overwrite"} if force else {})})
    jobs = plan_measurements(styles, output)
    if not jobs:
        report.note("all of these statistics exist already")
        return 0
    stylizer = load_stylizer(report, model, runtime)

    def measure(job: Measurement) -> str:
        assert job.style.path is not None
        statistics = stylizer.measure_style(job.style.path, style_size=style_size, stroke_scale=stroke_scale)
        job.output.parent.mkdir(parents=True, exist_ok=True)
        statistics.save(job.output)
        return describe(job, output=str(job.output)) if as_json else str(job.output)

    def describe(job: Measurement, **facts: str) -> str:
        return json.dumps({"style": str(job.style), "model": stylizer.model_name, **facts})

    def describe_failure(job: Measurement, failure: StyleTransferError) -> str | None:
        return describe(job, error=str(failure)) if as_json else None

    resume = explain_resuming(output, forced=force, otherwise=values["if_exists"])
    return run_batch(report, jobs, measure, describe_failure, resume=resume)


def plan_measurements(words: tuple[str, ...], output: OutputOptions) -> list[Measurement]:
    """Plan which file holds the statistics of which style.

    Raises:
        OptionError: A style is missing, or an output is no .safetensors file or has the name of another.
        OutputExistsError: An output is there and was not to be touched.
    """
    from ..media import readable_extensions

    expanded = [expand_contents(word, readable_extensions()) for word in words]
    sources = [source for found, _ in expanded for source in found]
    if any(source.path is None for source in sources):
        raise OptionError("a STYLE cannot be -", hint="save the picture first")
    template = resolve_template(output.output, DEFAULT_TEMPLATE)
    outputs = [fill_template(template, {"folder": source.folder, "style": source.stem}) for source in sources]
    for path in outputs:
        if path.suffix != STATISTICS:
            hint = f"name it {path.stem}{STATISTICS}"
            raise OptionError(f"{path}: statistics are {STATISTICS} files", hint=hint)
    check_distinct(outputs, "{folder} {style}")
    check_outputs(outputs, [source.path for source in sources if source.path])
    are_many = len(sources) > 1 or any(many for _, many in expanded)
    settled = settle_existing(outputs, output.if_exists or ("skip" if are_many else "error"))
    return [Measurement(source, path) for source, path in zip(sources, settled, strict=True) if path]
