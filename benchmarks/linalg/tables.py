"""Tables of results, printed as Markdown or JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

Cell = str | int | float


@dataclass
class Table:
    """A title, column names and rows. Floats are shown with two or three significant digits."""

    title: str
    columns: list[str]
    rows: list[list[Cell]] = field(default_factory=list)

    def add(self, *cells: Cell) -> None:
        """Append a row."""
        self.rows.append(list(cells))

    def to_json(self) -> str:
        """Return one JSON object per row, each on its own line."""
        return "\n".join(json.dumps(dict(zip(self.columns, row, strict=True))) for row in self.rows)

    def to_markdown(self) -> str:
        """Return the title and a table in Markdown."""
        shown = [self.columns, *([_show(cell) for cell in row] for row in self.rows)]
        widths = [max(len(row[i]) for row in shown) for i in range(len(self.columns))]
        lines = [
            "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
            for row in shown
        ]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join([self.title, "", *lines])


def _show(cell: Cell) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.2g}" if abs(cell) < 0.01 or abs(cell) >= 1e4 else f"{cell:.3g}"
