"""`styletransfer sheet`: preview pictures in many styles on one contact sheet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from styletransfer import __version__

from ...errors import OptionError, StyleTransferError
from ...options import ProcessOptions, RuntimeOptions, StylizeOptions
from ..click_options import (
    accept_none,
    build_options,
    cache_styles_option,
    dataclass_option,
    json_option,
    model_option,
    runtime_options,
    stroke_scale_option,
    style_size_option,
)
from ..configured_command import ConfiguredCommand
from ..console import Console
from ..job_planning import StylizeJob, pair_inputs
from ..paths import (
    InputFile,
    check_contact_sheet,
    describe_unreadable,
    expand_contents,
    expand_styles,
    find_style_folder,
)
from ..stylize_job import load_stylizer
from ..thread_pool import ReportProgress, divide_threads, run_jobs

if TYPE_CHECKING:
    from ...media import Picture
    from ...media.contact_sheet import Tile

MAX_SHEET_PIXELS = 2**27  # which take 1.6 GB while the sheet is drawn


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
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("sheet.png"),
    help="File of the contact sheet.",
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
@dataclass_option(StylizeOptions, "alpha", "-a", "--alpha", metavar="0..1")
@style_size_option
@stroke_scale_option
@dataclass_option(StylizeOptions, "preserve_color")
@dataclass_option(StylizeOptions, "color_only", is_flag=True)
@dataclass_option(StylizeOptions, "transform")
@dataclass_option(StylizeOptions, "match", metavar="0..1")
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
    """Preview pictures in many styles on one contact sheet.

    CONTENT and STYLE are pictures, folders or quoted patterns. The sheet has one row per content and one
    column per style. No perceptual network is needed, and no other file is written. With larger pictures,
    `stylize` chooses larger strokes than the small pictures of the sheet have.
    """
    from ...media import unreadable_extensions

    options = build_options(StylizeOptions, values)
    runtime = build_options(RuntimeOptions, values)
    jobs, columns = plan_sheet(content, styles, output, cell, force=force)
    workers = divide_threads(build_options(ProcessOptions, values), runtime, len(jobs))
    stop = Event()
    style_folder = find_style_folder() if cache_styles else None
    stylizer = load_stylizer(console, model, runtime, stop=stop, style_folder=style_folder)
    made: dict[StylizeJob, Picture] = {}

    def make(job: StylizeJob, report: ReportProgress) -> None:
        from ...media import resize_picture

        reduced = read_reduced(job.content, size)
        style = job.styles[0].path
        assert style is not None
        picture = stylizer.stylize_picture(reduced, style, options, bit_depth=8, progress=report).picture
        long_edge = max(picture.width, picture.height)
        made[job] = resize_picture(picture, min(cell, long_edge)).on_white()

    def describe_failure(job: StylizeJob, failure: StyleTransferError) -> str | None:
        facts = {"content": str(job.content), "styles": [str(style) for style in job.styles]}
        return json.dumps(facts | {"error": str(failure)}) if as_json else None

    resume = "the same command begins again"
    code = run_jobs(console, jobs, make, describe_failure, stop=stop, resume=resume, workers=workers)
    if made:
        settings = {
            "styletransfer": __version__,
            "model": Path(stylizer.model_name).name,
            **{name: str(value) for name, value in asdict(options).items() if value is not None},
        }
        height, width = write_sheet(output, columns, jobs, made, cell, settings)
        facts = {"output": str(output), "width": width, "height": height, "model": stylizer.model_name}
        console.result(json.dumps(facts) if as_json else str(output))
    for line in describe_unreadable([content, *styles], unreadable_extensions()):
        console.note(line)
    return code


def plan_sheet(
    content: str, styles: Sequence[str], output: Path, cell: int, *, force: bool
) -> tuple[list[StylizeJob], list[InputFile]]:
    """Plan the pictures of a sheet, row by row, and the styles of its columns.

    Raises:
        OptionError: A file is missing, the sheet would be too large, or cannot be written there.
        OutputExistsError: The sheet exists and `force` is False.
    """
    from ...media import readable_extensions

    contents, _ = expand_contents(content, readable_extensions())
    if contents[0].path is None:
        raise OptionError("a sheet cannot read standard input", hint="save the picture first")
    columns = expand_styles(styles, readable_extensions())
    if (len(contents) + 1) * (len(columns) + 1) * cell**2 > MAX_SHEET_PIXELS:
        raise OptionError(
            f"{len(contents)} contents in {len(columns)} styles are too many for one sheet",
            hint="choose fewer, or a smaller --cell",
        )
    check_contact_sheet(output, [each.path for each in (*contents, *columns) if each.path], force=force)
    return pair_inputs(contents, columns, None), columns


def read_reduced(file: InputFile, size: int | None) -> Picture:
    """Read a picture and reduce its long edge to a size, if there is one and the picture is larger."""
    from ...media import read_picture, resize_picture

    assert file.path is not None  # never standard input, see plan_sheet
    picture = read_picture(file.path)
    long_edge = max(picture.width, picture.height)
    return resize_picture(picture, min(size or long_edge, long_edge))


def write_sheet(
    path: Path,
    columns: Sequence[InputFile],
    jobs: Sequence[StylizeJob],
    made: Mapping[StylizeJob, Picture],
    cell: int,
    settings: Mapping[str, str],
) -> tuple[int, int]:
    """Write the styles in a row, and below them one row per content; return height and width.

    Pictures that failed leave their cells empty.
    """
    from ...media import Picture, write_picture
    from ...media.contact_sheet import draw_contact_sheet

    shown = {job.content for job in made}
    rows: list[list[Tile | None]] = [[None, *(draw_tile(style, cell) for style in columns)]]
    for content in dict.fromkeys(job.content for job in jobs):
        results = [made.get(job) for job in jobs if job.content == content]
        tiles = [None if result is None else make_tile(result, "") for result in results]
        rows.append([draw_tile(content, cell) if content in shown else None, *tiles])
    drawn = Picture.from_float(draw_contact_sheet(rows, cell))
    write_picture(drawn, path, metadata=settings)
    return drawn.height, drawn.width


def draw_tile(file: InputFile, cell: int) -> Tile | None:
    """Show an input with its name; a file of statistics, or one that cannot be read, is its name alone."""
    import torch

    from ...media import Picture

    try:
        picture = None if file.is_statistics else read_reduced(file, cell).on_white()
    except StyleTransferError:  # it has been reported with its results
        picture = None
    blank = Picture(torch.full((3, 1, cell), 245, dtype=torch.uint8))
    return make_tile(picture or blank, file.stem)


def make_tile(picture: Picture, caption: str) -> Tile:
    """Convert a picture to a tile of the sheet."""
    from ...media.contact_sheet import Tile

    return Tile(picture.to_float(), caption)
