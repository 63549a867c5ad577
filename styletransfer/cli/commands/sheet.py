"""`styletransfer sheet`: compare styles, or values of options, on one contact sheet."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from styletransfer import __version__

from ...errors import OptionError, StyleTransferError
from ...options import ProcessOptions, RuntimeOptions, StylizeOptions
from ...options.stylize_command_line import compose_stylize_command, format_value
from ..click_options import (
    accept_none,
    build_options,
    cache_styles_option,
    dataclass_option,
    json_option,
    model_option,
    runtime_options,
    style_size_option,
)
from ..configured_command import ConfiguredCommand
from ..console import Console
from ..paths import InputFile, describe_unreadable, find_style_folder
from ..sheet_page import SheetPage
from ..sheet_picture import SheetPicture, read_reduced
from ..sheet_planning import LISTED, SheetCell, is_page, plan_sheet
from ..stylize_job import load_stylizer
from ..thread_pool import ReportProgress, divide_threads, run_jobs

if TYPE_CHECKING:
    from ...media import Picture

SEVERAL = "Several values, separated by commas, make rows or columns."


def _check_edge(context: click.Context, parameter: click.Parameter, value: int | None) -> int | None:
    try:
        StylizeOptions(size=value)
    except OptionError as error:
        raise click.BadParameter(str(error), context, parameter) from error
    return value


@click.command(cls=ConfiguredCommand)
@click.argument("content", type=click.Path())
@click.argument("styles", metavar="STYLE...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--content",
    "more_contents",
    multiple=True,
    type=click.Path(),
    show_default="none",
    metavar="PATH",
    help="A further content, or folder or pattern of contents. May be given several times.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("sheet.png"),
    help="File of the contact sheet: a picture, or a page to open pictures large and compare them (.html).",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing sheet.")
@click.option(
    "--size",
    type=accept_none("full", int),
    default=512,
    callback=_check_edge,
    metavar="N|full",
    help="Long edge in pixels at which larger contents are stylized.",
)
@click.option(
    "--cell",
    type=int,
    default=256,
    callback=_check_edge,
    metavar="N",
    help="Long edge in pixels at which pictures are shown.",
)
@dataclass_option(StylizeOptions, "alpha", "-a", "--alpha", metavar="0..1,...", several=SEVERAL)
@dataclass_option(StylizeOptions, "match", none="auto", metavar="0..1|auto,...", several=SEVERAL)
@dataclass_option(StylizeOptions, "passes", metavar="N,...", several=SEVERAL)
@dataclass_option(
    StylizeOptions,
    "stroke_scale",
    none="auto",
    metavar="K|auto,...",
    several=f"{SEVERAL} Large strokes need a larger --size.",
)
@dataclass_option(StylizeOptions, "alpha_scales", show_default="1 for all")
@dataclass_option(StylizeOptions, "style_weights", show_default="no blend, one column per style")
@style_size_option
@dataclass_option(StylizeOptions, "preserve_color")
@dataclass_option(StylizeOptions, "color_only", is_flag=True)
@dataclass_option(StylizeOptions, "transform")
@dataclass_option(StylizeOptions, "refine", metavar="N")
@cache_styles_option
@model_option
@runtime_options
@json_option
@click.pass_obj
def sheet(
    console: Console,
    /,
    content: str,
    more_contents: tuple[str, ...],
    styles: tuple[str, ...],
    output: Path,
    force: bool,
    size: int | None,
    cell: int,
    model: str,
    cache_styles: bool,
    as_json: bool,
    **values: Any,
) -> int:
    """Compare styles, or values of options, on one contact sheet.

    CONTENT and STYLE are pictures, folders or quoted patterns. The sheet has one row per content and one
    column per style. Of contents, styles and options with several values, two may vary: `--alpha 0.4,0.7,1
    --match 0,1` makes rows and columns of one pair.

    A page (-o sheet.html) is one file that holds its pictures. It opens them large, compares them with the
    content, and has the command of each. No perceptual network is needed unless results are refined, and no
    other file is written. With larger pictures, `stylize` chooses larger strokes than the small pictures of
    the sheet have.
    """
    from ...media import unreadable_extensions
    from ...style_measurer import KeyedCache

    lists = {name: values[name] for name in LISTED}
    options = build_options(StylizeOptions, values | {name: each[0] for name, each in lists.items()})
    runtime = build_options(RuntimeOptions, values)
    contents = (content, *more_contents)
    plan = plan_sheet(contents, styles, options, lists, output, cell=cell, size=size, force=force)
    for note in plan.notes:
        console.note(note)
    workers = divide_threads(build_options(ProcessOptions, values), runtime, len(plan.cells))
    stop = Event()
    style_folder = find_style_folder() if cache_styles else None
    stylizer = load_stylizer(console, model, runtime, stop=stop, style_folder=style_folder)
    # The cells of one content follow each other.
    reduced_contents: KeyedCache[InputFile, Picture] = KeyedCache(lambda file: read_reduced(file, size), 1)

    def compose_command(job: SheetCell, reduced: Picture) -> str:
        long_edge = max(reduced.width, reduced.height)
        sized = replace(job.options, size=long_edge if long_edge == size else None)
        styles = [str(style) for style in job.styles]
        return compose_stylize_command(str(job.content), styles, sized, runtime, model, told=job.values)

    collected: SheetPage | SheetPicture
    if is_page(output):
        collected = SheetPage(plan, cell, output, compose_command)
    else:
        collected = SheetPicture(plan, cell, output)

    def make(job: SheetCell, report: ReportProgress) -> None:
        collected.check_space()
        reduced = reduced_contents.get(job.content)
        paths = [style.path for style in job.styles if style.path is not None]
        made = stylizer.stylize_picture(reduced, paths, job.options, bit_depth=8, progress=report)
        collected.add(job, reduced, made.picture)

    def describe_failure(job: SheetCell, failure: StyleTransferError) -> str | None:
        facts = {"content": str(job.content), "styles": [str(style) for style in job.styles], **job.values}
        return json.dumps(facts | {"error": str(failure)}) if as_json else None

    resume = "the same command begins again"
    code = run_jobs(console, plan.cells, make, describe_failure, stop=stop, resume=resume, workers=workers)
    if not collected.is_empty:
        settings = {
            "styletransfer": __version__,
            "model": Path(stylizer.model_name).name,
            **{name: str(value) for name, value in asdict(options).items() if value is not None},
            **{name: ", ".join(map(format_value, each)) for name, each in lists.items() if len(each) > 1},
        }
        output.parent.mkdir(parents=True, exist_ok=True)
        facts = {
            "output": str(output),
            **collected.write(settings),
            "rows": len(plan.rows),
            "columns": len(plan.columns),
            "model": stylizer.model_name,
        }
        console.result(json.dumps(facts) if as_json else str(output))
    for line in describe_unreadable([*contents, *styles], unreadable_extensions()):
        console.note(line)
    return code
