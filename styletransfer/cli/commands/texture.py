"""`styletransfer texture`: make textures in the style of pictures."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from styletransfer import __version__

from ...errors import ImageError, OptionError, StyleTransferError
from ...options import OutputOptions, ProcessOptions, RuntimeOptions, TextureOptions
from ..click_options import (
    build_options,
    cache_styles_option,
    dataclass_option,
    if_exists_options,
    json_option,
    model_option,
    runtime_options,
)
from ..configured_command import ConfiguredCommand
from ..console import Console
from ..paths import (
    STDOUT,
    InputFile,
    apply_if_exists,
    check_distinct,
    check_outputs,
    decode_name,
    describe_unreadable,
    expand_styles,
    fill_template,
    find_style_folder,
    resolve_template,
)
from ..stylize_job import load_stylizer
from ..thread_pool import ReportProgress, explain_resuming, run_jobs, set_threads

if TYPE_CHECKING:
    from ...api import Stylizer
    from ...media import Picture

DEFAULT_TEMPLATE = "{style}_texture.png"


@dataclass(frozen=True)
class TextureJob:
    """One texture to make.

    Attributes:
        styles: One style, or several that are blended.
        output: File of the texture; None for standard output.
    """

    styles: tuple[InputFile, ...]
    output: Path | None

    @property
    def inputs(self) -> list[str]:
        """Names of the files that are read."""
        return [each.label for each in self.styles]


def parse_size(value: str) -> tuple[int, ...]:
    """Read a size such as 1024x768, or 1024 for a square; lists of TOML files come as 1024,768."""
    try:
        edges = tuple(int(part) for part in re.split("[x,]", value.lower()))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a size such as 1024x768") from error
    return edges * 2 if len(edges) == 1 else edges


parse_size.__name__ = "wxh"  # click's metavar


def _check_size(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    try:
        TextureOptions(size=value)
    except OptionError as error:
        raise click.BadParameter(str(error), context, parameter) from error
    return value


@click.command(cls=ConfiguredCommand)
@click.argument("styles", metavar="STYLE...", nargs=-1, required=True, type=click.Path())
@dataclass_option(
    OutputOptions,
    "output",
    "-o",
    "--output",
    metavar="PATH|DIR|TEMPLATE|-",
    show_default=f"{DEFAULT_TEMPLATE} in this folder",
    help="File, folder, template with the fields {style}, {seed} and {folder} (the subfolder in which a "
    "pattern found the style), or - for a PNG on standard output.",
)
@click.option(
    "--size",
    type=parse_size,
    default="x".join(map(str, TextureOptions().size)),
    callback=_check_size,
    metavar="WxH|N",
    help=TextureOptions.__dataclass_fields__["size"].metadata["help"],
)
@dataclass_option(TextureOptions, "seed", metavar="N")
@dataclass_option(TextureOptions, "tileable", "--tileable/--not-tileable")
@dataclass_option(TextureOptions, "style_weights", show_default="no blend, one texture per style")
@dataclass_option(TextureOptions, "style_size", none="auto", metavar="N|auto")
@dataclass_option(TextureOptions, "refine", metavar="N")
@cache_styles_option
@model_option
@runtime_options
@if_exists_options
@dataclass_option(OutputOptions, "bit_depth", metavar="8|16")
@dataclass_option(OutputOptions, "quality", metavar="1..100")
@dataclass_option(OutputOptions, "dpi", metavar="N")
@dataclass_option(
    OutputOptions,
    "metadata",
    "--metadata/--no-metadata",
    help="Record the settings in the file of the texture.",
)
@json_option
@click.pass_obj
def texture(
    console: Console,
    /,
    styles: tuple[str, ...],
    model: str,
    force: bool,
    cache_styles: bool,
    as_json: bool,
    **values: Any,
) -> int:
    """Make textures in the style of pictures, without a content.

    STYLE is a picture, a folder, a quoted pattern, or a file that style-stats has written. One texture is
    made in every style or, with --style-weights, one in the blend of all styles. Their strokes have the size
    that they have in the style, however large the texture is.
    """
    from ...media import unreadable_extensions
    from ...texture import synthesize_texture

    options = build_options(TextureOptions, values)
    runtime = build_options(RuntimeOptions, values)
    output = build_options(OutputOptions, {**values, **({"if_exists": "overwrite"} if force else {})})
    if as_json and output.output == STDOUT:
        raise OptionError("--json and -o - both write to standard output", hint="leave one of them out")
    jobs = plan_textures(styles, options, output)
    if not jobs:
        console.note("all of these textures exist already")
        return 0
    set_threads(build_options(ProcessOptions, values))
    stop = Event()
    style_folder = find_style_folder() if cache_styles else None
    stylizer = load_stylizer(console, model, runtime, stop=stop, style_folder=style_folder)

    def make(job: TextureJob, report: ReportProgress) -> str | None:
        start = time.perf_counter()
        paths = [each.path for each in job.styles if each.path is not None]
        picture = synthesize_texture(stylizer, paths, options, bit_depth=output.bit_depth, progress=report)
        settings = list_settings(job, options, stylizer) if output.metadata else None
        write_texture(picture, job.output, output, settings)
        if job.output is None:
            return None
        seconds = round(time.perf_counter() - start, 3)
        return describe(job, output=str(job.output), seconds=seconds) if as_json else str(job.output)

    def describe(job: TextureJob, **facts: object) -> str:
        width, height = options.size
        return json.dumps(
            {
                "styles": job.inputs,
                "width": width,
                "height": height,
                "seed": options.seed,
                "model": stylizer.model_name,
                "device": stylizer.device,
                **facts,
            }
        )

    def describe_failure(job: TextureJob, failure: StyleTransferError) -> str | None:
        return describe(job, error=str(failure)) if as_json else None

    resume = explain_resuming(output, forced=force, without_force=values["if_exists"])
    code = run_jobs(console, jobs, make, describe_failure, stop=stop, resume=resume)
    for line in describe_unreadable(styles, unreadable_extensions()):
        console.note(line)
    return code


def plan_textures(
    arguments: Sequence[str], options: TextureOptions, output: OutputOptions
) -> list[TextureJob]:
    """Plan which file holds the texture of which style, and find out what can be wrong before any work.

    Raises:
        OptionError: A style is missing, the weights do not fit, or an output is not possible.
        OutputExistsError: An output exists and may not be overwritten.
    """
    from ...media import check_writable_format, readable_extensions

    inputs = expand_styles(arguments, readable_extensions())
    if options.style_weights is not None and len(options.style_weights) != len(inputs):
        raise OptionError(
            f"{len(options.style_weights)} style weights for {len(inputs)} styles",
            hint="give one for every STYLE",
        )
    groups = [(each,) for each in inputs] if options.style_weights is None else [tuple(inputs)]
    if output.output == STDOUT:
        if len(groups) > 1:
            hint = "name a folder: -o DIR/"
            raise OptionError(f"{len(groups)} textures cannot go to standard output", hint=hint)
        if sys.stdout.isatty():
            hint = "redirect it, or name a file by -o"
            raise OptionError("standard output is a terminal", hint=hint)
        return [TextureJob(groups[0], None)]
    template = resolve_template(output.output, DEFAULT_TEMPLATE)
    outputs = [
        fill_template(
            template,
            {
                "folder": group[0].folder,
                "style": "+".join(each.stem for each in group),
                "seed": str(options.seed),
            },
        )
        for group in groups
    ]
    check_distinct(outputs, "{folder} {style}")
    for path in outputs:
        try:
            check_writable_format(path, bit_depth=output.bit_depth, size=options.size)
        except ImageError as error:  # still an error of an option, because nothing is written yet
            raise OptionError(error.message, hint=error.hint) from error
    check_outputs(outputs, [each.path for each in inputs if each.path])
    paths = apply_if_exists(outputs, output.if_exists or ("skip" if len(groups) > 1 else "error"))
    return [TextureJob(group, path) for group, path in zip(groups, paths, strict=True) if path]


def write_texture(
    picture: Picture, path: Path | None, output: OutputOptions, settings: dict[str, str] | None
) -> None:
    """Write a texture to a file, or as PNG to standard output."""
    from ...media import PhotoMetadata, write_picture

    photo = PhotoMetadata(dpi=None if output.dpi is None else (output.dpi, output.dpi))
    if path is None:
        write_picture(picture, sys.stdout.buffer, format="png", metadata=settings, photo=photo)
        sys.stdout.buffer.flush()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(picture, path, quality=output.quality, metadata=settings, photo=photo)


def list_settings(job: TextureJob, options: TextureOptions, stylizer: Stylizer) -> dict[str, str]:
    """Return what it takes to make the same pixels again, with file names but without their folders."""
    chosen = {**asdict(options), "size": "x".join(map(str, options.size))}
    return {
        "styletransfer": __version__,
        "model": decode_name(Path(stylizer.model_name)),
        "model_sha256": stylizer.fingerprint,
        "device": stylizer.device,
        "precision": stylizer.precision,
        "styles": ", ".join(decode_name(style.path) for style in job.styles if style.path),
        **{name: str(value) for name, value in chosen.items() if value is not None},
    }
