"""Plan a contact sheet: what its rows and columns are, and which picture is in every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..options import StylizeOptions, change_options
from ..options.stylize_command_line import format_value
from ..options.stylizing import NATIVE_LONG_EDGE
from .job_planning import choose_name
from .paths import (
    InputFile,
    apply_if_exists,
    check_contact_sheet,
    check_outputs,
    expand_contents,
    expand_styles,
)

LISTED = (
    "alpha",
    "match",
    "passes",
    "stroke_scale",
)  # options that may have several values, rows before columns
PAGE_SUFFIXES = {".html", ".htm"}
# A sheet of so many pixels takes 1.6 GB while it is drawn, and a page of them is a file of about 90 MB.
MAX_SHEET_PIXELS = 2**27


@dataclass(frozen=True)
class Heading:
    """The heading of a row or column, and what the pictures below or beside it have in common.

    Attributes:
        text: The heading: the name of a file or of a blend, or an option with its value.
        content: The content, if the rows are contents.
        styles: The style, or those of a blend, if the columns are styles.
        values: The value of the option that varies, by its name, such as {"alpha": 0.4}.
    """

    text: str
    content: InputFile | None = None
    styles: tuple[InputFile, ...] = ()
    values: tuple[tuple[str, Any], ...] = ()

    @property
    def file(self) -> InputFile | None:
        """The picture to show in the heading; None for values and blends."""
        return self.content or (self.styles[0] if len(self.styles) == 1 else None)


@dataclass(frozen=True)
class SheetCell:
    """One picture of a sheet.

    Attributes:
        row: Index of its row, from 0.
        column: Index of its column, from 0.
        content: The content.
        styles: One style, or several that are blended.
        options: How the picture looks; `size` is not among them, because smaller contents keep theirs.
        label: What the picture is, in words.
        values: The options that vary, with their values here.
    """

    row: int
    column: int
    content: InputFile
    styles: tuple[InputFile, ...]
    options: StylizeOptions
    label: str
    values: Mapping[str, Any]

    @property
    def inputs(self) -> list[str]:
        """Names of all files that are read, the content first."""
        return [each.label for each in (self.content, *self.styles)]


@dataclass(frozen=True)
class SheetPlan:
    """The layout of a sheet.

    Attributes:
        title: What the sheet shows.
        rows: Headings from top to bottom.
        columns: Headings from left to right.
        cells: The pictures, row by row.
        inputs: Contents and styles that are neither rows nor columns.
        notes: Lines for the user.
    """

    title: str
    rows: tuple[Heading, ...]
    columns: tuple[Heading, ...]
    cells: tuple[SheetCell, ...]
    inputs: tuple[Heading, ...]
    notes: tuple[str, ...] = ()


def plan_sheet(
    contents: Sequence[str],
    styles: Sequence[str],
    options: StylizeOptions,
    lists: Mapping[str, Sequence[Any]],
    output: Path,
    *,
    cell: int,
    size: int | None,
    force: bool,
) -> SheetPlan:
    """Plan a sheet from the arguments and find what can be wrong with them, before any work.

    Contents are rows and styles are columns. One list of values makes columns or, if there are several
    styles, rows. Two lists make rows and columns.

    Args:
        contents: The arguments CONTENT.
        styles: The arguments STYLE.
        options: The options that are the same in every cell.
        lists: Values of the options in `LISTED`; those with one value are part of `options`.
        output: File of the sheet.
        cell: Long edge in pixels at which pictures are shown.
        size: Long edge in pixels at which larger contents are stylized; None for their own.
        force: Overwrite an existing sheet.

    Raises:
        OptionError: A file is missing, more than two things vary, or the sheet would be too large or cannot
            be written there.
        OutputExistsError: The sheet exists and `force` is False.
    """
    from ..media import readable_extensions

    extensions = readable_extensions()
    found = [each for argument in contents for each in expand_contents(argument, extensions)[0]]
    files = list(dict.fromkeys(found))
    if any(each.path is None for each in files):
        raise OptionError("a sheet cannot read standard input", hint="save the picture first")
    opened = expand_styles(styles, extensions)
    names = _name_files(files) | _name_files(opened)
    content_headings = [Heading(names[each], content=each) for each in files]
    single_styles = style_headings = [Heading(names[each], styles=(each,)) for each in opened]
    if options.style_weights is not None:
        if len(options.style_weights) != len(opened):
            raise OptionError(
                f"{len(options.style_weights)} style weights for {len(opened)} styles",
                hint="give one for every STYLE",
            )
        style_headings = [Heading(" + ".join(names[each] for each in opened), styles=tuple(opened))]
    value_headings = {
        name: [
            Heading(f"{name.replace('_', ' ')} {format_value(value)}", values=((name, value),))
            for value in lists[name]
        ]
        for name in LISTED
        if len(lists[name]) > 1
    }
    rows, columns = _choose_axes(content_headings, style_headings, list(value_headings.values()))
    cells = _fill_cells(rows, columns, content_headings[0], style_headings[0], options)
    _check_limits(len(rows), len(columns), output, cell=cell, size=size)
    _check_output(output, [each.path for each in (*files, *opened) if each.path], force=force)
    inputs = [each for each in content_headings if each not in rows]
    inputs += [each for each in single_styles if each not in columns]
    return SheetPlan(
        title=f"{_count(content_headings, 'contents')} in {_count(style_headings, 'styles')}",
        rows=tuple(rows),
        columns=tuple(columns),
        cells=tuple(cells),
        inputs=tuple(inputs),
        notes=tuple(_note_small_size(lists["stroke_scale"], size)),
    )


def is_page(output: Path) -> bool:
    """Tell whether a sheet is to be a page and not a picture."""
    return output.suffix.lower() in PAGE_SUFFIXES


def _choose_axes(
    contents: list[Heading], styles: list[Heading], lists: list[list[Heading]]
) -> tuple[list[Heading], list[Heading]]:
    """Choose rows and columns.

    Raises:
        OptionError: More than two things vary.
    """
    varying = [name for name, each in (("contents", contents), ("styles", styles)) if len(each) > 1]
    varying += [name.replace("_", "-") for (name, _), *_ in (each[0].values for each in lists)]
    if len(varying) > 2:
        listed = f"{', '.join(varying[:-1])} and {varying[-1]}"
        raise OptionError(
            f"{listed} vary, but a sheet has only rows and columns",
            hint=f"give one value less, for example one {varying[-1].removesuffix('s')}",
        )
    if len(lists) == 2:
        return lists[0], lists[1]
    if lists:
        return (lists[0], styles) if len(styles) > 1 else (contents, lists[0])
    return contents, styles


def _fill_cells(
    rows: Sequence[Heading],
    columns: Sequence[Heading],
    content: Heading,
    style: Heading,
    options: StylizeOptions,
) -> list[SheetCell]:
    """Plan every cell; where neither rows nor columns are contents or styles, these are the only ones."""
    cells = []
    for row, beside in enumerate(rows):
        for column, above in enumerate(columns):
            of_content = beside if beside.content else content
            of_style = above if above.styles else style
            assert of_content.content is not None
            values = dict((*beside.values, *above.values))
            told = [heading.text for heading in (beside, above) if heading.values]
            cells.append(
                SheetCell(
                    row,
                    column,
                    of_content.content,
                    of_style.styles,
                    change_options(options, values),
                    ", ".join((f"{of_content.text} in {of_style.text}", *told)),
                    values,
                )
            )
    return cells


def _name_files(files: Sequence[InputFile]) -> dict[InputFile, str]:
    """Name files by the shortest names that tell them apart."""
    index = choose_name({(each,) for each in files})
    return {each: each.name(index) for each in files}


def _count(headings: Sequence[Heading], noun: str) -> str:
    return headings[0].text if len(headings) == 1 else f"{len(headings)} {noun}"


def _check_limits(rows: int, columns: int, output: Path, *, cell: int, size: int | None) -> None:
    edge = max(cell, size or 0) if is_page(output) else cell
    if (rows + 1) * (columns + 1) * edge**2 > MAX_SHEET_PIXELS:
        smaller = "--size" if edge > cell else "--cell"
        raise OptionError(
            f"{rows} rows of {columns} pictures are too many for one sheet",
            hint=f"choose fewer, or a smaller {smaller}",
        )


def _check_output(output: Path, inputs: Sequence[Path], *, force: bool) -> None:
    if is_page(output):
        check_outputs([output], inputs)
        apply_if_exists([output], "overwrite" if force else "error")
    else:
        check_contact_sheet(output, inputs, force=force)


def _note_small_size(scales: Sequence[int | None], size: int | None) -> list[str]:
    """Say that large strokes need a large picture, if a comparison of stroke scales has none."""
    largest = max((scale or 1 for scale in scales), default=1)
    if len(scales) < 2 or size is None or size >= largest * NATIVE_LONG_EDGE:
        return []
    return [
        f"strokes of scale {largest} suit pictures of {largest * NATIVE_LONG_EDGE} pixels; "
        f"with a larger --size, the sheet shows them as they will be"
    ]
