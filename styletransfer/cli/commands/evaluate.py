"""`styletransfer evaluate`: score stylized pictures, made by a model or by anything else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from ...errors import OptionError, StyleTransferError
from ...options import DEFAULT_MODEL, ProcessOptions, RuntimeOptions, StylizeOptions
from ..click_options import (
    build_options,
    dataclass_option,
    json_option,
    runtime_options,
    stroke_scale_option,
    style_size_option,
    vgg16_option,
    vgg_option,
)
from ..configured_command import ConfiguredCommand
from ..console import Console
from ..paths import check_contact_sheet, describe_unreadable, expand_contents
from ..stylize_job import load_stylizer
from ..thread_pool import ReportProgress, run_jobs, set_threads

if TYPE_CHECKING:
    from ...evaluation import Candidate, Pair, ScoredCandidate, Scores


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
    help="Folder of pictures to score, named NAME.METHOD.EXT. Without --model no model is then scored.",
)
@click.option(
    "-m",
    "--model",
    metavar="NAME|PATH",
    show_default=f"{DEFAULT_MODEL}, or none with --outputs",
    help="Name of a model (see `styletransfer models list`) or path of a .safetensors file.",
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
    help="Strength of the style. Repeat the option for one row per value.",
)
@dataclass_option(
    StylizeOptions,
    "size",
    none="full",
    metavar="N|full",
    help="Long edge in pixels at which pictures are stylized. They are scored at the size of the content.",
)
@style_size_option
@stroke_scale_option
@dataclass_option(StylizeOptions, "preserve_color")
@dataclass_option(StylizeOptions, "color_only", is_flag=True)
@dataclass_option(StylizeOptions, "transform")
@dataclass_option(StylizeOptions, "match", none="auto", metavar="0..1|auto")
@dataclass_option(StylizeOptions, "passes", metavar="N")
@dataclass_option(StylizeOptions, "refine", metavar="N")
@vgg_option
@vgg16_option
@click.option(
    "--contact-sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    show_default="none",
    help="File for a picture that shows all results side by side.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite the contact sheet.")
@runtime_options
@json_option
@click.pass_obj
def evaluate(
    console: Console,
    /,
    sources: tuple[str, ...],
    outputs: Path | None,
    model: str | None,
    alphas: tuple[float, ...],
    vgg: Path | None,
    vgg16: Path | None,
    contact_sheet: Path | None,
    force: bool,
    as_json: bool,
    **values: Any,
) -> int:
    """Score stylized pictures.

    PAIRS is a folder with NAME.content.jpg and NAME.style.jpg for every pair, or a CSV file with the columns
    content and style. CONTENT and STYLE are pictures, folders or quoted patterns; every content is combined
    with every style.

    The table on standard output holds the mean of every score over the pairs, with one row per method: the
    content itself, the pictures in --outputs, and the model. With --json there is one object per picture and
    method, followed by the means.
    """
    from ...evaluation import Evaluator, list_candidates, write_contact_sheet
    from ...media import unreadable_extensions
    from ...model.vgg import load_vgg16, load_vgg19
    from ...pipeline.device import resolve_device

    runtime = build_options(RuntimeOptions, values)
    options = build_options(StylizeOptions, values)
    set_threads(build_options(ProcessOptions, values))
    model = DEFAULT_MODEL if model is None and outputs is None else model
    candidates = list_candidates(plan_pairs(sources), outputs, model, alphas or (options.alpha,))
    if contact_sheet is not None:
        inputs = [Path(name) for candidate in candidates for name in candidate.inputs]
        check_contact_sheet(contact_sheet, inputs, force=force)
    device = resolve_device(runtime.device)
    network = load_vgg19(vgg).to(device)
    deep_network = None if vgg16 is None else load_vgg16(vgg16).to(device)
    stop = Event()
    stylizer = None if model is None else load_stylizer(console, model, runtime, stop=stop)
    evaluator = Evaluator(network, stylizer, options, deep_network)
    results: list[ScoredCandidate] = []

    def score(candidate: Candidate, _: ReportProgress) -> str | None:
        results.append(evaluator.evaluate(candidate))
        return candidate.describe(**asdict(results[-1].scores)) if as_json else None

    def describe_failure(candidate: Candidate, failure: StyleTransferError) -> str | None:
        return candidate.describe(error=str(failure)) if as_json else None

    resume = "the same command begins again"
    code = run_jobs(console, candidates, score, describe_failure, stop=stop, resume=resume)
    for line in summarize(results, as_json=as_json):
        console.result(line)
    if contact_sheet is not None and results:
        write_contact_sheet(contact_sheet, results)
        console.note(f"all pictures side by side: {contact_sheet}")
    for line in describe_unreadable(sources, unreadable_extensions()):
        console.note(line)
    return code


def plan_pairs(arguments: Sequence[str]) -> list[Pair]:
    """List the pairs of the arguments: either one argument PAIRS, or CONTENT and STYLE...

    Raises:
        OptionError: A file is missing, or a folder or list holds no pairs.
    """
    from ...evaluation import combine_pairs, read_pairs
    from ...media import readable_extensions

    extensions = readable_extensions()
    if len(arguments) == 1:
        return read_pairs(Path(arguments[0]), extensions)
    expanded = [[each.path for each in expand_contents(argument, extensions)[0]] for argument in arguments]
    if [None] in expanded:
        raise OptionError("an evaluation cannot read standard input", hint="save the picture first")
    contents, *styles = [[path for path in paths if path is not None] for paths in expanded]
    return combine_pairs(contents, [path for paths in styles for path in paths])


def summarize(results: Sequence[ScoredCandidate], *, as_json: bool) -> list[str]:
    """Return the mean scores of every method as the lines of a table, or as one JSON object each."""
    from ...evaluation import average_scores, format_scores

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
