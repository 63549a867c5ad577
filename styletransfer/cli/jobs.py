"""Which results a run makes: contents paired with styles, each with its output."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ImageError, OptionError
from ..options import OutputOptions, StylizeOptions
from .inputs import NAMES, STDIN, Source, expand_contents, expand_styles
from .outputs import STDOUT, check_distinct, check_outputs, fill_template, resolve_template, settle_existing

DEFAULT_TEMPLATE = "{content}_{style}.png"
TELLING_FIELDS = "{folder} {content} {style} {ext}"


@dataclass(frozen=True)
class Job:
    """One result to be made.

    Attributes:
        content: What is repainted.
        styles: One style, or several to be blended.
        output: Where the result goes; None for standard output.
    """

    content: Source
    styles: tuple[Source, ...]
    output: Path | None = None

    @property
    def inputs(self) -> list[str]:
        """The names of all files that the job reads, the content first."""
        return [source.label for source in (self.content, *self.styles)]

    def name_output(
        self,
        template: str,
        alpha: float,
        extensions: Collection[str],
        *,
        content_index: int = 0,
        style_index: int = 0,
    ) -> Path:
        """Fill the template of an output with what belongs to this job.

        Args:
            template: See `fill_template`.
            alpha: For the field {alpha}.
            extensions: That can be written; {ext} is the content's if among them, else png.
            content_index: Of the content's name that {content} is, see `Source.name`.
            style_index: Likewise {style}.
        """
        extension = self.content.extension
        fields = {
            "folder": self.content.folder,
            "content": self.content.name(content_index),
            "style": "+".join(style.name(style_index) for style in self.styles),
            "alpha": f"{alpha:g}",
            "ext": extension if f".{extension}" in extensions else "png",
        }
        return fill_template(template, fields)


def pair_sources(
    contents: Sequence[Source], styles: Sequence[Source], weights: Sequence[float] | None
) -> list[Job]:
    """Make one job of every content with every style, or, given weights, with the blend of all styles.

    Raises:
        OptionError: There is not one weight per style.
    """
    if weights is None:
        return [Job(content, (style,)) for content in contents for style in styles]
    if len(weights) != len(styles):
        raise OptionError(
            f"{len(weights)} style weights for {len(styles)} styles", hint="give one for every STYLE"
        )
    return [Job(content, tuple(styles)) for content in contents]


def name_outputs(jobs: Sequence[Job], template: str, alpha: float, extensions: Collection[str]) -> list[Job]:
    """Give every job its output; where several would have the same, tell them apart by extension or folder.

    1.jpg and 1.png become 1_jpg_waves.png and 1_png_waves.png; a/1.jpg and b/1.jpg become a_1_waves.png and
    b_1_waves.png. Names stay, to be refused, where that does not suffice, and where they are inputs: there
    one may be the result of the other.

    Args:
        jobs: Without their outputs.
        template: See `Job.name_output`, as the others.
        alpha: For the field {alpha}.
        extensions: That can be written.
    """
    inputs = {Path(name).resolve() for name in {name for job in jobs for name in job.inputs}}
    same: dict[Path, list[Job]] = {}
    for job in jobs:
        same.setdefault(job.name_output(template, alpha, extensions), []).append(job)
    outputs: dict[Job, Path] = {}
    for output, group in same.items():
        if len(group) == 1:
            outputs[group[0]] = output
            continue
        content_index = choose_name({(job.content,) for job in group})
        style_index = choose_name({job.styles for job in group})
        longer = [
            job.name_output(template, alpha, extensions, content_index=content_index, style_index=style_index)
            for job in group
        ]
        suffice = len(set(longer)) == len(group) and output.resolve() not in inputs
        outputs.update(zip(group, longer if suffice else [output] * len(group), strict=True))
    return [replace(job, output=outputs[job]) for job in jobs]


def choose_name(members: Collection[tuple[Source, ...]]) -> int:
    """Return which of their names tells sources, or blends of them, apart; the first where none does."""
    for index in range(NAMES):
        if len({tuple(source.name(index) for source in member) for member in members}) == len(members):
            return index
    return 0


def drop_own_results(jobs: Sequence[Job]) -> list[Job]:
    """Leave out contents that are outputs of other contents of the same run.

    They are there because a run that writes into the folder it reads was stopped or is repeated. Not for
    runs that overwrite: what is left out here is no longer protected as an input.
    """
    writers = {job.output.resolve(): job.content for job in jobs if job.output is not None}

    def is_own_result(job: Job) -> bool:
        writer = writers.get(job.content.path.resolve()) if job.content.path is not None else None
        return writer is not None and writer != job.content

    return [job for job in jobs if not is_own_result(job)]


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        jobs: The results to be made.
        notes: What was left out and why, for the user.
    """

    jobs: tuple[Job, ...]
    notes: tuple[str, ...] = ()


def plan_jobs(content: str, styles: Sequence[str], look: StylizeOptions, output: OutputOptions) -> Plan:
    """Plan a run from what the user typed; whatever can be wrong with it is found here, before any work.

    Args:
        content: The word CONTENT.
        styles: The words STYLE.
        look: Of these, alpha, style_weights and style_size.
        output: Where results go.

    Raises:
        OptionError: A file is missing, an output cannot be as asked, two results have one name.
        OutputExistsError: An output is there and was not to be touched.
    """
    from ..media import readable_extensions, writable_extensions

    contents, are_many = expand_contents(content, readable_extensions())
    jobs = pair_sources(contents, expand_styles(styles, readable_extensions()), look.style_weights)
    if content == STDIN and sys.stdin.isatty():
        raise OptionError("standard input is a terminal", hint="pipe a picture into it")
    if output.output == STDOUT:
        _check_stdout(jobs, output)
        return Plan(tuple(jobs))
    template = resolve_template(output.output, DEFAULT_TEMPLATE)
    writable = writable_extensions()
    named = name_outputs(jobs, template, look.alpha, writable)
    check_distinct([job.output for job in named if job.output is not None], TELLING_FIELDS)
    policy = output.if_exists or ("skip" if are_many or len(named) > 1 else "error")
    # What exists and is to be overwritten may be an original that only has the name of a result.
    kept = drop_own_results(named) if are_many and policy != "overwrite" else named
    outputs = [job.output for job in kept if job.output is not None]
    for path in outputs:
        _check_format(path, output.bit_depth)
    sources = {source for job in kept for source in (job.content, *job.styles)}
    check_outputs(outputs, [source.path for source in sources if source.path])
    settled = settle_existing(outputs, policy)
    planned = [replace(job, output=path) for job, path in zip(kept, settled, strict=True) if path is not None]
    notes = []
    if dropped := len({job.content for job in named} - {job.content for job in kept}):
        notes.append(f"left out {dropped} contents that are results of this command")
    if skipped := len(kept) - len(planned):
        notes.append(f"skipped {skipped} of {len(kept)} results, which exist already")
    if look.style_size is not None and any(source.is_statistics for source in sources):
        notes.append("--style-size does not change statistics, which are measured already")
    return Plan(tuple(planned), tuple(notes))


def _check_stdout(jobs: Sequence[Job], output: OutputOptions) -> None:
    if len(jobs) > 1:
        raise OptionError(f"{len(jobs)} results cannot go to standard output", hint="name a folder: -o DIR/")
    if sys.stdout.isatty():
        raise OptionError("standard output is a terminal", hint="redirect it, or name a file by -o")


def _check_format(path: Path, bit_depth: int) -> None:
    from ..media import check_writable_format

    try:
        check_writable_format(path, bit_depth=bit_depth)
    except ImageError as error:  # of an option, while nothing is written yet
        raise OptionError(error.message, hint=error.hint) from error
