"""A contact sheet as one HTML file: pictures to open large, to compare and to choose from.

The file is complete in itself. Its pictures are embedded, and it loads nothing.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from styletransfer import __version__

from ..errors import OptionError
from ..files import write_atomically
from .paths import InputFile
from .sheet_picture import read_shown, reduce_picture
from .sheet_planning import Heading, SheetCell, SheetPlan

if TYPE_CHECKING:
    from ..media import Picture

MAX_PAGE_BYTES = 2**27  # browsers open larger files, but slowly, and nobody can send them
# At this quality, stylized pictures take half a byte per pixel. 90 and its full-resolution color take one.
JPEG_QUALITY = 85


class EmbeddedPicture(NamedTuple):
    """A picture as data URIs, at the size of a cell and in full, with its width and height in pixels."""

    shown: str
    shown_size: tuple[int, int]
    full: str
    full_size: tuple[int, int]

    @property
    def bytes(self) -> int:
        """Number of bytes that the picture takes in the file."""
        return len(self.full) + (0 if self.full == self.shown else len(self.shown))


class SheetPage:
    """Collects encoded results and writes them as one page.

    Args:
        plan: The layout.
        cell: Long edge in pixels at which pictures are shown in the table.
        path: File of the page.
        compose_command: Returns the command line of a cell, given its content as it was stylized.
    """

    def __init__(
        self, plan: SheetPlan, cell: int, path: Path, compose_command: Callable[[SheetCell, Picture], str]
    ) -> None:
        self.plan = plan
        self.cell = cell
        self.path = path
        self._compose_command = compose_command
        self._made: dict[tuple[int, int], tuple[EmbeddedPicture, str]] = {}
        self._contents: dict[InputFile, EmbeddedPicture] = {}
        self._bytes = 0
        self._lock = Lock()

    def add(self, cell: SheetCell, content: Picture, result: Picture) -> None:
        """Encode a result and, with its first one, the content; several threads may add at once.

        Raises:
            OptionError: The page would be larger than `MAX_PAGE_BYTES`. It keeps what it has.
        """
        embedded = embed_picture(result, self.cell)
        before = self._contents.get(cell.content) or embed_picture(content, self.cell)
        with self._lock:
            more = embedded.bytes + (0 if cell.content in self._contents else before.bytes)
            self._bytes += more
            self.check_space()
            self._contents.setdefault(cell.content, before)
            self._made[cell.row, cell.column] = embedded, self._compose_command(cell, content)

    def check_space(self) -> None:
        """Check that the page is not full, so that nothing is computed that it cannot hold.

        Raises:
            OptionError: It is full.
        """
        if self._bytes > MAX_PAGE_BYTES:
            raise OptionError(
                f"{self.path} would be larger than {MAX_PAGE_BYTES // 2**20} MB",
                hint="choose a smaller --size, or fewer pictures",
            )

    @property
    def is_empty(self) -> bool:
        """Whether no result was made."""
        return not self._made

    def write(self, settings: Mapping[str, str]) -> dict[str, int | None]:
        """Write the page; it has neither width nor height. Results that failed leave their cells empty."""
        template = Template(files(__package__).joinpath("sheet_page.html").read_text(encoding="utf-8"))
        page = template.substitute(
            title=escape_text(self.plan.title),
            version=__version__,
            settings=escape_text(
                "; ".join(f"{name.replace('_', ' ')} {text}" for name, text in settings.items())
            ),
            inputs="".join(f"<li>{self._render_heading(each)}</li>\n" for each in self.plan.inputs),
            columns="".join(
                f'<th scope="col">{self._render_heading(each)}</th>\n' for each in self.plan.columns
            ),
            rows="".join(self._render_row(index, each) for index, each in enumerate(self.plan.rows)),
        )
        write_atomically(self.path, page.encode("utf-8"))
        return {"width": None, "height": None}

    def _render_row(self, row: int, heading: Heading) -> str:
        cells = [each for each in self.plan.cells if each.row == row]
        head = f'<th scope="row">{self._render_heading(heading)}</th>\n'
        return f"<tr>\n{head}{''.join(map(self._render_cell, cells))}</tr>\n"

    def _render_heading(self, heading: Heading) -> str:
        """Show the picture of a heading, which needs no alternative text beside its name.

        A content gets an identity, by which its results find it to be compared with.
        """
        text = f"<span>{escape_text(heading.text)}</span>"
        if heading.content in self._contents:
            content = self._contents[heading.content]
            return f'<img id="{self._identify(heading.content)}" {_describe_image(content)} alt="">{text}'
        picture = None if heading.file is None else read_shown(heading.file, self.cell)
        if picture is None:
            return text
        return f'<img {_describe_image(embed_picture(picture, self.cell))} alt="">{text}'

    def _identify(self, content: InputFile) -> str:
        return f"content-{list(self._contents).index(content)}"

    def _render_cell(self, cell: SheetCell) -> str:
        label = escape_text(cell.label)
        if (cell.row, cell.column) not in self._made:
            return '<td class="missing">No result</td>\n'
        picture, command = self._made[cell.row, cell.column]
        name = f"{cell.row}-{cell.column}"
        width, height = picture.full_size
        return (
            f'<td><button type="button" class="picture" id="result-{name}" aria-haspopup="dialog" '
            f'data-row="{cell.row}" data-column="{cell.column}" data-size="{width} × {height}" '
            f'data-content="{self._identify(cell.content)}">'
            f'<img {_describe_image(picture)} alt="{label}"></button>\n'
            f'<details><summary>Command<span class="unseen"> for {label}</span></summary>'
            f'<code id="command-{name}">{escape_text(command)}</code>'
            f'<button type="button" class="copy" data-command="command-{name}">Copy</button>'
            "</details></td>\n"
        )


def embed_picture(picture: Picture, cell: int) -> EmbeddedPicture:
    """Encode a picture in full and at the size of a cell."""
    reduced = reduce_picture(picture, cell)
    full = encode_picture(picture)
    return EmbeddedPicture(
        full if reduced is picture else encode_picture(reduced),
        (reduced.width, reduced.height),
        full,
        (picture.width, picture.height),
    )


def encode_picture(picture: Picture) -> str:
    """Encode a picture as a data URI; what is transparent becomes white paper, as on other sheets."""
    from ..media import write_picture

    buffer = io.BytesIO()
    write_picture(picture, buffer, format="jpeg", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getbuffer()).decode('ascii')}"


def escape_text(text: str) -> str:
    """Escape a text, which may be a file name of any bytes, for HTML and its attributes."""
    return escape(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def _describe_image(picture: EmbeddedPicture) -> str:
    """Return the attributes of a picture in the table; one that is no larger in full is embedded once."""
    width, height = picture.shown_size
    full = "" if picture.full == picture.shown else f' data-full="{picture.full}"'
    return f'src="{picture.shown}" width="{width}" height="{height}" decoding="async"{full}'
