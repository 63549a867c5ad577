"""`styletransfer evaluate`: measure how well pictures are stylized, by a model or by anything else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ImageError, OptionError, StyleTransferError
from ..options import DEFAULT_MODEL, RuntimeOptions, StylizeOptions
from .batch import run_batch
from .candidates import Candidate, list_candidates, plan_pairs
from .command import ConfiguredCommand
from .examiner import Examiner, Scored, write_sheet
from .fields import build_options, field_option
from .loading import load_stylizer
from .outputs import check_outputs, settle_existing
from .parameters import json_option, runtime_options, stroke_scale_option, style_size_option
from .report import Report

if TYPE_CHECKING:
    from ..evaluation import Scores


def _check_alphas(
    context: click.Context, parameter: click.Parameter, values: tuple[float, ...]
) -> tuple[float, ...]:
    try:
        for value in values:
            StylizeOptions(alpha=value)
    except OptionError as error:
        raise click.BadParameter(str(error), context, parameter) from error
    return values


@click.command(cls=ConfiguredCommand)
@click.argument("sources", metavar="PAIRS | CONTENT STYLE...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--outputs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    show_default="none",
    help="Folder of pictures to score, NAME.METHOD.EXT; the model is then left out unless --model is given.",
)
@click.option(
    "-m",
    "--model",
    metavar="NAME|PATH",
    show_default=f"{DEFAULT_MODEL}, or none with --outputs",
    help="Name of a model, see `styletransfer models list`, or a .safetensors file.",
)
@click.option(
    "-a",
    "--alpha",
    "alphas",
    type=float,
    multiple=True,
    callback=_check_alphas,
    metavar="0..1",
    show_default="1",
    help="Strength of the transfer; give several for a row each.",
)
@field_option(
    StylizeOptions,
    "size",
    none="full",
    metavar="N|full",
    help="Long edge at which to stylize; results are brought to the content's own size to be measured.",
)
@style_size_option
@stroke_scale_option
@field_option(StylizeOptions, "preserve_color")
@field_option(StylizeOptions, "transform")
@click.option(
    "--network",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    show_default="torchvision's, downloaded",
    help="VGG-19 as a .safetensors file, at least to relu3_1; scores by different networks do not compare.",
)
@click.option(
    "--contact-sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    show_default="none",
    help="Write all pictures, side by side, into this file.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite the contact sheet.")
@runtime_options
@json_option
@click.pass_obj
def evaluate(
    report: Report,
    /,
    sources: tuple[str, ...],
    outputs: Path | None,
    model: str | None,
    alphas: tuple[float, ...],
    network: Path | None,
    contact_sheet: Path | None,
    force: bool,
    as_json: bool,
    **values: Any,
) -> int:
    """Measure how well pictures are stylized.

    PAIRS is a folder with NAME.content.jpg and NAME.style.jpg for every pair, or a CSV file with the columns
    content and style; CONTENT and STYLE are pictures, folders or quoted patterns, all of which are combined.

    The table on standard output has the mean of every score over the pairs, one row per method: the content
    as it is, the pictures in --outputs, the model. With --json, one object per picture and method, and
    at the end the means.
    """
    from ..model.vgg import load_vgg19
    from ..pipeline.device import resolve_device

    runtime = build_options(RuntimeOptions, values)
    look = build_options(StylizeOptions, values)
    model = DEFAULT_MODEL if model is None and outputs is None else model
    candidates = list_candidates(plan_pairs(sources), outputs, model, alphas or (look.alpha,))
    if contact_sheet is not None:
        _check_sheet(contact_sheet, candidates, force=force)
    perceptual = load_vgg19(network).to(resolve_device(runtime.device))
    stylizer = None if model is None else load_stylizer(report, model, runtime)
    examiner = Examiner(perceptual, stylizer, look)
    results: list[Scored] = []

    def examine(candidate: Candidate) -> str | None:
        results.append(examiner.examine(candidate))
        return candidate.describe(**asdict(results[-1].scores)) if as_json else None

    def describe_failure(candidate: Candidate, failure: StyleTransferError) -> str | None:
        return candidate.describe(error=str(failure)) if as_json else None

    code = run_batch(report, candidates, examine, describe_failure, resume="the same command begins again")
    for line in summarize(results, as_json=as_json):
        report.product(line)
    if contact_sheet is not None and results:
        write_sheet(contact_sheet, results)
        report.note(f"all pictures side by side: {contact_sheet}")
    return code


def summarize(results: Sequence[Scored], *, as_json: bool) -> list[str]:
    """Write the mean scores of every method as lines: a table, or one JSON object each."""
    from ..evaluation import average_scores, format_scores

    by_method: dict[str, list[Scores]] = {}
    for result in results:
        by_method.setdefault(result.candidate.method, []).append(result.scores)
    means = {method: average_scores(scores) for method, scores in by_method.items()}
    if as_json:
        return [
            json.dumps({"method": method, "mean_of": len(by_method[method]), **asdict(mean)})
            for method, mean in means.items()
        ]
    most = max(map(len, by_method.values()), default=0)
    rows = {
        method if len(scores) == most else f"{method} ({len(scores)} of {most})": means[method]
        for method, scores in by_method.items()
    }
    return format_scores(rows).splitlines() if rows else []


def _check_sheet(path: Path, candidates: Sequence[Candidate], *, force: bool) -> None:
    """Find out before hours of work that the contact sheet cannot be written."""
    from ..media import check_writable_format

    try:
        check_writable_format(path)
    except ImageError as error:  # of an option, while nothing is written yet
        raise OptionError(error.message, hint=error.hint) from error
    check_outputs([path], [Path(name) for candidate in candidates for name in candidate.inputs])
    settle_existing([path], "overwrite" if force else "error")
