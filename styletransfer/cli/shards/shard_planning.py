"""Plan a run over tar shards: which archives there are, what is made of each, and what is done already."""

from __future__ import annotations

import glob
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from ...cluster.remote_path import RemotePath, list_existing, parse_path
from ...errors import ImageError, OptionError, OutputExistsError
from ...options import OutputOptions, ShardOptions, StylizeOptions
from ..job_planning import StylizeJob, pair_inputs
from ..map_files import MapFiles
from ..paths import STDIN, STDOUT, InputFile, check_outputs, expand_styles, suggest_folder

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MOST_SHARDS = 10_000_000


@dataclass(frozen=True)
class ShardJob(StylizeJob):
    """One archive of results to make from an archive of contents, in all styles.

    Attributes:
        member: Template of the names of the results, see `StylizeJob.name_output`; their folders are those of
            the contents.
    """

    member: str = "{content}.png"


class ShardJobs(Sequence[ShardJob]):
    """The jobs of a run; only the names of the archives are kept, so that there may be very many.

    Args:
        shards: Names of the archives.
        build: Makes the job of one.
    """

    def __init__(self, shards: Sequence[str], build: Callable[[str], ShardJob]) -> None:
        self._shards, self._build = shards, build

    def __len__(self) -> int:
        return len(self._shards)

    @overload
    def __getitem__(self, index: int) -> ShardJob: ...
    @overload
    def __getitem__(self, index: slice) -> ShardJobs: ...
    def __getitem__(self, index: int | slice) -> ShardJob | ShardJobs:
        if isinstance(index, slice):
            return ShardJobs(self._shards[index], self._build)
        return self._build(self._shards[index])


@dataclass(frozen=True)
class ShardPlan:
    """The shards of a run.

    Attributes:
        jobs: The archives to make.
        skipped: The archives that exist already.
        notes: Lines for the user about what was left out and why.
    """

    jobs: ShardJobs
    skipped: ShardJobs
    notes: tuple[str, ...] = ()


def plan_shards(
    content: str,
    styles: Sequence[str],
    options: StylizeOptions,
    output: OutputOptions,
    files: MapFiles,
    shard: ShardOptions,
) -> ShardPlan:
    """Plan a run over archives and find everything that can be wrong with the arguments, before any work.

    Args:
        content: The argument CONTENT, see `expand_shards`.
        styles: The arguments STYLE.
        options: The options; alpha and style_weights are used.
        output: Where results are written: a folder, or a folder and a template of the members' names.
        files: The files that say where each style is painted.
        shard: The part of the archives that this process makes.

    Raises:
        OptionError: A file is missing, or the options do not fit archives.
        OutputExistsError: An output exists and may not be overwritten.
    """
    folder, member = split_output(output)
    if archive := next((style for style in styles if style.endswith(ARCHIVE_SUFFIXES)), None):
        raise OptionError(f"the STYLE {archive} is an archive", hint="quote CONTENT: 'photos-{000..099}.tar'")
    opened_styles, member = _choose_names(styles, member, options, output, files)

    def build(name: str) -> ShardJob:
        path = parse_path(name)
        return ShardJob(InputFile(path), opened_styles, folder / f"{_strip(path.name)}.tar", member=member)

    def name_output(name: str) -> Path:
        return folder / f"{_strip(parse_path(name).name)}.tar"

    found = expand_shards(content)
    twice, count = Counter(_strip(parse_path(name).name) for name in found).most_common(1)[0]
    if count > 1:
        hint = "run them apart, with a folder of results each"
        raise OptionError(f"{count} archives would all be written to {folder / twice}.tar", hint=hint)
    # As all results have different names, a result can only have the name of its own content.
    sources = (parse_path(name).resolve() for name in found)
    clash = next((path for path in sources if path == name_output(str(path)).resolve()), None)
    if clash is not None:
        raise OptionError(f"{clash} is an input and would be overwritten", hint="choose another output")
    # The next run would take the results for contents.
    if any(parse_path(name).resolve().parent == folder.resolve() for name in found):
        raise OptionError(f"{folder} holds the contents", hint="choose another folder for the results")
    check_outputs([folder / "shard.tar"], files.paths)
    labels = [style.relative_name for style in opened_styles]
    own = [name for name in found if shard.holds(InputFile(parse_path(name)).relative_name, *labels)]
    exists = list_existing([folder / "shard.tar"])
    done = set() if output.if_exists == "overwrite" else {each for each in own if exists(name_output(each))}
    if done and output.if_exists == "error":
        example = name_output(min(done))
        raise OutputExistsError(f"{example} exists already", hint="overwrite with -f or see --if-exists")
    notes = [] if shard.shard is None else [f"shard {shard.shard} has {len(own)} of {len(found)} archives"]
    if done:
        notes.append(f"skipped {len(done)} of {len(own)} archives, which exist already")
    return ShardPlan(
        ShardJobs([name for name in own if name not in done], build),
        ShardJobs([name for name in own if name in done], build),
        tuple(notes),
    )


def expand_shards(argument: str) -> list[str]:
    """Expand the argument CONTENT to names of archives, in order.

    Args:
        argument: A folder, or a file or pattern in which braces stand for several names, as in a shell:
            photos-{000..099}.tar, {cats,dogs}/*.tar.

    Raises:
        OptionError: There is no such archive, or none in the folder.
    """
    hint = "name a folder of .tar files, a file, or a pattern in quotes such as 'photos-{000..099}.tar'"
    if argument == STDIN:
        raise OptionError("shards cannot be read from standard input", hint=hint)
    found: list[str] = []
    # A file that exists is itself, whatever its name.
    names = [argument] if Path(argument).is_file() else expand_braces(argument)
    for name in names:
        path = parse_path(name)
        if path.is_dir():
            found += sorted(str(each) for each in path.iterdir() if _is_archive(each))
        elif glob.has_magic(name) and not isinstance(path, RemotePath) and not path.is_file():
            found += sorted(each for each in glob.iglob(name, recursive=True) if _is_archive(Path(each)))  # noqa: PTH207
        else:
            found.append(name)
    exists = list_existing(parse_path(name) for name in found)
    if missing := next((name for name in found if not exists(parse_path(name))), None):
        raise OptionError(f"{missing}: no such file", hint=hint)
    if not found:
        raise OptionError(f"{argument} holds no .tar archives", hint=hint)
    return found


def expand_braces(text: str) -> Iterator[str]:
    """Expand braces as a shell does: a{1..3} gives a1 a2 a3, {08..10} 08 09 10, {x,y} x y; not nested.

    Raises:
        OptionError: There would be too many names.
    """
    literals = re.split(r"\{[^{}]*(?:,|\.\.)[^{}]*\}", text)
    groups: list[Sequence[str] | range] = []
    widths = []
    for group in re.findall(r"\{([^{}]*(?:,|\.\.)[^{}]*)\}", text):
        bounds = re.fullmatch(r"(\d+)\.\.(\d+)", group)
        if bounds is None:
            groups.append(group.split(","))
            widths.append(0)
            continue
        first, last = bounds.groups()
        step = 1 if int(first) <= int(last) else -1
        groups.append(range(int(first), int(last) + step, step))
        padded = any(len(bound) > 1 and bound.startswith("0") for bound in (first, last))
        widths.append(max(len(first), len(last)) if padded else 0)
    if math.prod(map(len, groups)) > MOST_SHARDS:
        raise OptionError(f"{text} stands for more than {MOST_SHARDS} names", hint="divide the work")
    for values in itertools.product(*groups):
        words = (str(value).zfill(width) for value, width in zip(values, widths, strict=True))
        yield "".join(itertools.chain(*itertools.zip_longest(literals, words, fillvalue="")))


def split_output(output: OutputOptions) -> tuple[Path, str]:
    """Split the option --output into the folder of the archives and the template of their members' names.

    Returns:
        The folder, and the template, which is empty if none is given.

    Raises:
        OptionError: The options do not fit archives.
    """
    text = output.output
    if text is None or text == STDOUT:
        raise OptionError("--shards writes archives into a folder", hint="name it: -o painted/")
    if output.lut is not None or output.if_exists == "rename":
        name = "--lut" if output.lut is not None else "--if-exists rename"
        raise OptionError(f"{name} is for single files, not for archives", hint="leave out one of them")
    if text.endswith("/") or parse_path(text).is_dir():
        return parse_path(text), ""
    start, _, name = text.rpartition("/")
    if "{" not in name:
        raise OptionError(f"{text} is no folder", hint=suggest_folder(Path(text)))
    if "{" in start:
        raise OptionError(f"{start} has fields", hint="only the names of the pictures have some")
    return parse_path(start or "."), name


def _choose_names(
    styles: Sequence[str], member: str, options: StylizeOptions, output: OutputOptions, files: MapFiles
) -> tuple[tuple[InputFile, ...], str]:
    """Return the styles, and the template of the results' names, which has been tried on a picture."""
    from ...media import check_writable_format, readable_extensions, writable_extensions

    opened = tuple(expand_styles(styles, readable_extensions()))
    contents = [InputFile(Path(name)) for name in ("picture.png", "other.png")]
    results = pair_inputs(contents[:1], opened, options.style_weights, files.masks)
    if not member:
        member = "{content}.png" if len(results) == 1 else "{content}_{style}.png"
    names = [job.name_output(member, options.alpha, writable_extensions()) for job in results]
    if len(set(names)) < len(names):
        raise OptionError(f"several results of a picture would be {names[0]}", hint="add the field {style}")
    other = pair_inputs(contents[1:], opened, options.style_weights, files.masks)[0]
    if other.name_output(member, options.alpha, writable_extensions()) in names:
        raise OptionError(f"the results of all pictures would be {names[0]}", hint="add the field {content}")
    try:
        check_writable_format(names[0], bit_depth=output.bit_depth)
    except ImageError as error:
        raise OptionError(error.message, hint=error.hint) from error
    return opened, member


def _is_archive(path: Path) -> bool:
    if path.name.startswith(".") or not path.name.endswith(ARCHIVE_SUFFIXES):
        return False
    return isinstance(path, RemotePath) or path.is_file()


def _strip(name: str) -> str:
    """Return the name of an archive without its extensions."""
    suffix = next((each for each in ARCHIVE_SUFFIXES if name.endswith(each)), "")
    return name.removesuffix(suffix)
