"""Plan the jobs of a run: contents paired with styles, each with its output."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..cluster.remote_path import parse_path
from ..errors import ImageError, OptionError
from ..options import IfExists, OutputOptions, ShardOptions, StylizeOptions
from .map_files import MapFiles
from .paths import (
    NAME_VARIANTS,
    STDIN,
    STDOUT,
    InputFile,
    apply_if_exists,
    check_distinct,
    check_outputs,
    describe_unreadable,
    expand_contents,
    expand_styles,
    fill_template,
    resolve_template,
    suggest_folder,
)

DEFAULT_TEMPLATE = "{content}_{style}.png"
DEFAULT_LUT_TEMPLATE = "{content}_{style}.cube"
LUT_SUFFIX = ".cube"
DISTINGUISHING_FIELDS = "{folder} {content} {style} {ext}"


@dataclass(frozen=True)
class StylizeJob:
    """One result to make.

    Attributes:
        content: The content.
        styles: One style, or several that are blended.
        output: File of the result; None for standard output.
        lut: File of the map of colors; None writes none.
    """

    content: InputFile
    styles: tuple[InputFile, ...]
    output: Path | None = None
    lut: Path | None = None

    @property
    def inputs(self) -> list[str]:
        """Names of all files that the job reads, the content first."""
        return [each.label for each in (self.content, *self.styles)]

    def name_output(
        self,
        template: str,
        alpha: float,
        extensions: Collection[str],
        *,
        content_index: int = 0,
        style_index: int = 0,
    ) -> Path:
        """Fill the template of an output for this job.

        Args:
            template: The template, see `fill_template`.
            alpha: Value of the field {alpha}.
            extensions: Extensions that can be written. {ext} is the content's if it is among them, else png.
            content_index: Index of the content's name that {content} is, see `InputFile.name`.
            style_index: Index of the style's name that {style} is.
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


def pair_inputs(
    contents: Sequence[InputFile],
    styles: Sequence[InputFile],
    weights: Sequence[float] | None,
    masks: Sequence[str] = (),
) -> list[StylizeJob]:
    """Pair every content with every style, or with all styles if there are weights or several masks.

    Raises:
        OptionError: The number of weights, or of masks, is not the number of styles.
    """
    if len(masks) > 1:
        if len(masks) != len(styles):
            raise OptionError(f"{len(masks)} masks for {len(styles)} styles", hint="give one for every STYLE")
        return [StylizeJob(content, tuple(styles)) for content in contents]
    if weights is None:
        return [StylizeJob(content, (style,)) for content in contents for style in styles]
    if len(weights) != len(styles):
        raise OptionError(
            f"{len(weights)} style weights for {len(styles)} styles", hint="give one for every STYLE"
        )
    return [StylizeJob(content, tuple(styles)) for content in contents]


def name_outputs(
    jobs: Sequence[StylizeJob], template: str, alpha: float, extensions: Collection[str]
) -> list[StylizeJob]:
    """Give every job an output; those that would be the same are distinguished by extension or folder.

    1.jpg and 1.png become 1_jpg_waves.png and 1_png_waves.png; a/1.jpg and b/1.jpg become a_1_waves.png and
    b_1_waves.png. Where that does not suffice the names stay equal and are refused later. They also stay
    where the output is an input, because one of the contents may then be a result of another.

    Args:
        jobs: The jobs without their outputs.
        template: The template, see `StylizeJob.name_output`.
        alpha: Value of the field {alpha}.
        extensions: Extensions that can be written.
    """
    inputs = {parse_path(name).resolve() for name in {name for job in jobs for name in job.inputs}}
    same: dict[Path, list[StylizeJob]] = {}
    for job in jobs:
        same.setdefault(job.name_output(template, alpha, extensions), []).append(job)
    outputs: dict[StylizeJob, Path] = {}
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


def name_luts(jobs: Sequence[StylizeJob], alpha: float, output: OutputOptions) -> list[StylizeJob]:
    """Give every job the file of its map of colors, if one is wanted.

    Args:
        jobs: The jobs, with their outputs.
        alpha: Value of the field {alpha}.
        output: Where results are written.

    Raises:
        OptionError: A file has another extension or the name of an input, or two jobs have the same file.
    """
    if output.lut is None or not jobs:
        return list(jobs)
    template = resolve_template(output.lut, DEFAULT_LUT_TEMPLATE)
    paths = [job.output for job in name_outputs(jobs, template, alpha, ()) if job.output is not None]
    for path in paths:
        if path.suffix.lower() != LUT_SUFFIX:
            raise OptionError(f"{path} is no name of a .cube file", hint="name it like look.cube")
    check_distinct(paths, DISTINGUISHING_FIELDS)
    check_outputs(paths, [each.path for job in jobs for each in (job.content, *job.styles) if each.path])
    return [replace(job, lut=path) for job, path in zip(jobs, paths, strict=True)]


def keep_existing_luts(
    jobs: Sequence[StylizeJob], policy: IfExists, reserved: Collection[Path] = ()
) -> list[StylizeJob]:
    """Apply the option --if-exists to the maps of colors; a map that is there to be skipped is not written.

    Args:
        jobs: The jobs of this process, with or without maps.
        policy: The option.
        reserved: Names of the maps of all jobs.

    Raises:
        OutputExistsError: A file exists and may not be overwritten.
    """
    paths = [job.lut for job in jobs if job.lut is not None]
    allowed = iter(apply_if_exists(paths, policy, reserved=reserved))
    return [job if job.lut is None else replace(job, lut=next(allowed)) for job in jobs]


def choose_name(members: Collection[tuple[InputFile, ...]]) -> int:
    """Return the index of the shortest name that distinguishes inputs, or blends of them; 0 if none does."""
    for index in range(NAME_VARIANTS):
        if len({tuple(each.name(index) for each in member) for member in members}) == len(members):
            return index
    return 0


def drop_own_results(jobs: Sequence[StylizeJob]) -> list[StylizeJob]:
    """Leave out contents that are outputs of other contents of the same run.

    They exist because a run that writes into the folder it reads was stopped or is repeated. This must not be
    used for runs that overwrite, because contents that are left out are no longer protected as inputs.
    """
    writers = {job.output.resolve(): job.content for job in jobs if job.output is not None}

    def is_own_result(job: StylizeJob) -> bool:
        writer = writers.get(job.content.path.resolve()) if job.content.path is not None else None
        return writer is not None and writer != job.content

    return [job for job in jobs if not is_own_result(job)]


@dataclass(frozen=True)
class JobPlan:
    """The jobs of a run.

    Attributes:
        jobs: The results to make.
        notes: Lines for the user about what was left out and why.
        skipped: The results that exist already and are not made again.
        unreadable: Lines about picture files in the folders that cannot be read, for the end of the run.
    """

    jobs: tuple[StylizeJob, ...]
    notes: tuple[str, ...] = ()
    skipped: tuple[StylizeJob, ...] = ()
    unreadable: tuple[str, ...] = ()


def plan_jobs(
    content: str,
    styles: Sequence[str],
    options: StylizeOptions,
    output: OutputOptions,
    files: MapFiles,
    shard: ShardOptions | None = None,
) -> JobPlan:
    """Plan a run from its arguments and find everything that can be wrong with them, before any work.

    Args:
        content: The argument CONTENT.
        styles: The arguments STYLE.
        options: The options; alpha, style_weights, style_size and color_only are used.
        output: Where results are written.
        files: The files that say where each style is painted.
        shard: The part of the results that this process makes; None for all. Names are chosen, and checked,
            among all results, so that they do not depend on it.

    Raises:
        OptionError: A file is missing, an output is not possible, or two results have the same name.
        OutputExistsError: An output exists and may not be overwritten.
    """
    from ..media import readable_extensions, unreadable_extensions, writable_extensions

    if output.lut is not None and not options.color_only:
        raise OptionError(
            "--lut is a map of colors, and strokes are none", hint="add --color-only, or leave out --lut"
        )
    unreadable = tuple(describe_unreadable([content, *styles], unreadable_extensions()))
    try:
        contents, are_many = expand_contents(content, readable_extensions())
        opened_styles = expand_styles(styles, readable_extensions())
    except OptionError as error:
        raise OptionError(error.message, hint="; ".join(unreadable) or error.hint) from error
    jobs = pair_inputs(contents, opened_styles, options.style_weights, files.masks)
    if content == STDIN and (sys.stdin is None or sys.stdin.isatty()):
        state = "closed" if sys.stdin is None else "a terminal"
        raise OptionError(f"standard input is {state}", hint="pipe a picture into it")
    shard = shard or ShardOptions()
    if output.output == STDOUT:
        _check_stdout(jobs, output, shard)
        luts = keep_existing_luts(name_luts(jobs, options.alpha, output), output.if_exists or "error")
        return JobPlan(tuple(luts), unreadable=unreadable)
    template = resolve_template(output.output, DEFAULT_TEMPLATE)
    writable = writable_extensions()
    named = name_outputs(jobs, template, options.alpha, writable)
    check_distinct([job.output for job in named if job.output is not None], DISTINGUISHING_FIELDS)
    policy = output.if_exists or ("skip" if are_many or len(named) > 1 else "error")
    # An existing file that is to be overwritten may be an original that only has the name of a result.
    kept = drop_own_results(named) if are_many and policy != "overwrite" else named
    kept = name_luts(kept, options.alpha, output)
    outputs = [job.output for job in kept if job.output is not None]
    for path in outputs:
        _check_format(path, output.bit_depth, are_many)
    inputs = {each for job in kept for each in (job.content, *job.styles)}
    check_outputs(outputs, [*(each.path for each in inputs if each.path), *files.paths])
    own = [job for job in kept if shard.holds(*(each.relative_name for each in (job.content, *job.styles)))]
    paths = apply_if_exists([job.output for job in own if job.output], policy, reserved=outputs)
    planned = [replace(job, output=path) for job, path in zip(own, paths, strict=True) if path is not None]
    planned = keep_existing_luts(planned, policy, [job.lut for job in kept if job.lut])
    notes = []
    if shard.shard is not None:
        notes.append(f"shard {shard.shard} has {len(own)} of {len(kept)} results")
    if dropped := len({job.content for job in named} - {job.content for job in kept}):
        notes.append(f"left out {dropped} contents that are results of this command")
    skipped = [job for job, path in zip(own, paths, strict=True) if path is None]
    if skipped:
        notes.append(f"skipped {len(skipped)} of {len(own)} results, which exist already")
    if options.style_size is not None and any(each.is_statistics for each in inputs):
        notes.append("--style-size does not change statistics, which are measured already")
    return JobPlan(tuple(planned), tuple(notes), tuple(skipped), unreadable)


def _check_stdout(jobs: Sequence[StylizeJob], output: OutputOptions, shard: ShardOptions) -> None:
    if shard.shard is not None:
        raise OptionError("--shard divides several results, and -o - is one", hint="leave one of them out")
    if len(jobs) > 1:
        raise OptionError(f"{len(jobs)} results cannot go to standard output", hint="name a folder: -o DIR/")
    if sys.stdout.isatty():
        raise OptionError("standard output is a terminal", hint="redirect it, or name a file by -o")


def _check_format(path: Path, bit_depth: int, are_many: bool) -> None:
    from ..media import check_writable_format

    try:
        check_writable_format(path, bit_depth=bit_depth)
    except ImageError as error:  # still an error of an option, because nothing is written yet
        hint = suggest_folder(path) if are_many and not path.suffix else error.hint
        raise OptionError(error.message, hint=hint) from error
