"""A contact sheet as one picture: headings, and below and beside them the results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StyleTransferError
from .paths import InputFile
from .sheet_planning import Heading, SheetCell, SheetPlan

if TYPE_CHECKING:
    from ..media import Picture
    from ..media.contact_sheet import Tile


class SheetPicture:
    """Collects results at the size of their cells and writes them as one picture.

    Args:
        plan: The layout.
        cell: Long edge of every picture in pixels.
        path: File of the sheet.
    """

    def __init__(self, plan: SheetPlan, cell: int, path: Path) -> None:
        self.plan = plan
        self.cell = cell
        self.path = path
        self._made: dict[tuple[int, int], Picture] = {}

    def add(self, cell: SheetCell, content: Picture, result: Picture) -> None:
        """Keep a result, reduced to its cell; several threads may add at once."""
        self._made[cell.row, cell.column] = reduce_picture(result, self.cell).on_white()

    def check_space(self) -> None:
        """Do nothing: the plan has limited the sheet already."""

    def write(self, settings: Mapping[str, str]) -> dict[str, int | None]:
        """Write the sheet and return its width and height; results that failed leave their cells empty."""
        from ..media import Picture, write_picture
        from ..media.contact_sheet import draw_contact_sheet, draw_label

        grid: list[list[Tile | None]] = []
        if self.plan.inputs:
            grid.append([None, *map(self._draw_heading, self.plan.inputs)])
        grid.append([None, *map(self._draw_heading, self.plan.columns)])
        for row, heading in enumerate(self.plan.rows):
            results = [self._made.get((row, column)) for column in range(len(self.plan.columns))]
            head: Tile | None = None
            if heading.file is None:
                head = draw_label(heading.text)  # a value takes only the width of its text
            elif any(results):  # a content that cannot be read has been reported, and its row stays empty
                head = self._draw_heading(heading)
            grid.append([head, *(None if each is None else make_tile(each, "") for each in results)])
        drawn = Picture.from_float(draw_contact_sheet(grid, self.cell))
        write_picture(drawn, self.path, metadata=settings)
        return {"width": drawn.width, "height": drawn.height}

    @property
    def is_empty(self) -> bool:
        """Whether no result was made."""
        return not self._made

    def _draw_heading(self, heading: Heading) -> Tile:
        """Show the picture and the text of a heading; without a legible picture, the text alone."""
        from ..media.contact_sheet import draw_label

        picture = None if heading.file is None else read_shown(heading.file, self.cell)
        return draw_label(heading.text, self.cell) if picture is None else make_tile(picture, heading.text)


def make_tile(picture: Picture, caption: str) -> Tile:
    """Convert a picture to a tile of the sheet."""
    from ..media.contact_sheet import Tile

    return Tile(picture.to_float(), caption)


def read_shown(file: InputFile, long_edge: int) -> Picture | None:
    """Read an input as sheets show it, on white; None for a file of statistics or one that is damaged."""
    if file.is_statistics:
        return None
    try:
        return read_reduced(file, long_edge).on_white()
    except StyleTransferError:  # it has been reported with its results
        return None


def read_reduced(file: InputFile, size: int | None) -> Picture:
    """Read a picture and reduce its long edge to a size, if there is one and the picture is larger."""
    from ..media import read_picture

    assert file.path is not None  # never standard input, see plan_sheet
    picture = read_picture(file.path)
    return picture if size is None else reduce_picture(picture, size)


def reduce_picture(picture: Picture, size: int) -> Picture:
    """Reduce the long edge of a picture to a size, if it is larger."""
    from ..media import resize_picture

    return resize_picture(picture, min(size, max(picture.width, picture.height)))
