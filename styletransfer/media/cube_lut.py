"""Color grades as .cube files, the 3D lookup tables that photo and video editors read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import ImageError
from ..files import write_atomically

SUFFIX = ".cube"
SMALLEST_SIZE, LARGEST_SIZE = 2, 256  # of LUT_3D_SIZE, by the specification
DIGITS = 6  # after the point, finer than 16 bits


@dataclass(frozen=True, eq=False)
class CubeLut:
    """A map of colors as a 3D lookup table over 0..1.

    Attributes:
        table: New RGB of every node, [N, N, N, 3], float32, indexed by red, green, blue.
        title: One line that editors show.
    """

    table: Tensor
    title: str = ""

    def save(self, path: str | Path) -> None:
        """Write the table as a .cube file that appears whole or not at all.

        Raises:
            StyleTransferError: The file cannot be written.
        """
        size = self.table.shape[0]
        # The title stands in quotation marks, without any way to escape them.
        title = "".join(letter if letter.isprintable() else " " for letter in self.title).replace('"', "'")
        head = [f'TITLE "{title}"', f"LUT_3D_SIZE {size}", "DOMAIN_MIN 0.0 0.0 0.0", "DOMAIN_MAX 1.0 1.0 1.0"]
        # Red changes fastest in the file, so it is the last index before the channels.
        rows = self.table.permute(2, 1, 0, 3).reshape(-1, 3).tolist()
        lines = (" ".join(f"{value:.{DIGITS}f}" for value in row) for row in rows)
        write_atomically(Path(path), "\n".join([*head, "", *lines, ""]).encode())

    @classmethod
    def load(cls, path: str | Path) -> CubeLut:
        """Read a .cube file with a 3D table over 0..1.

        Raises:
            ImageError: The file cannot be read or holds no such table.

        Source: Adobe, Cube LUT Specification 1.0 (2013). Differs: keywords of other programs are passed over.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ImageError(f"{path}: not a readable .cube file ({error})") from error
        title, size, rows = "", 0, []
        try:
            for words in (line.split() for line in lines):
                if not words or words[0].startswith("#"):
                    continue
                if words[0] == "TITLE":
                    title = " ".join(words[1:]).strip('"')
                elif words[0] == "LUT_3D_SIZE":
                    size = int(words[1])
                elif words[0] in {"DOMAIN_MIN", "DOMAIN_MAX"}:
                    if {float(word) for word in words[1:]} != {float(words[0] == "DOMAIN_MAX")}:
                        raise ImageError(f"{path}: its domain is not 0..1", hint="export it for 0..1")
                elif not words[0][0].isalpha():
                    red, green, blue = map(float, words)
                    rows.append((red, green, blue))
        except (ValueError, IndexError) as error:
            raise ImageError(f"{path}: not a readable .cube file ({error})") from error
        if not SMALLEST_SIZE <= size <= LARGEST_SIZE or len(rows) != size**3:
            raise ImageError(
                f"{path}: {len(rows)} colors are no 3D table of size {size}", hint="export it again"
            )
        if not all(math.isfinite(value) for row in rows for value in row):
            raise ImageError(f"{path}: holds values that are not finite", hint="export it again")
        table = torch.tensor(rows, dtype=torch.float32).view(size, size, size, 3)
        return cls(table.permute(2, 1, 0, 3).contiguous(), title)
