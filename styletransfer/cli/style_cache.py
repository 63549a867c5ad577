"""Statistics of styles kept on disk, found again by what they were made of."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StyleTransferError

if TYPE_CHECKING:
    from ..api import Stylizer
    from ..model import StyleStatistics


def find_style_cache() -> Path:
    """Return the folder of kept statistics, whether it is there or not; whoever wants may delete it."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("styletransfer", appauthor=False)) / "styles"


class StyleCache:
    """Measures styles, each once for all runs.

    An entry is a file as `style-stats` makes them. Its name is a hash of all that decides its numbers: the
    bytes of the style, the weights, the sizes it is brought to, the precision and the program's version. An
    entry that is damaged is made again; where nothing can be written, nothing is kept.

    Args:
        stylizer: Measures.
        folder: Of the entries; made when the first is written.
    """

    def __init__(self, stylizer: Stylizer, folder: Path) -> None:
        self._stylizer = stylizer
        self._folder = folder

    def measure(self, style: Path, style_size: int | None, stroke_scale: int | None) -> StyleStatistics:
        """Return the statistics of a picture file; for the arguments see `Stylizer.measure_style`.

        Raises:
            ImageError: The picture cannot be read.
        """
        from ..model import StyleStatistics

        try:
            entry = self._folder / f"{self._name(style, style_size, stroke_scale)}.safetensors"
        except OSError:  # which the reader of pictures explains better
            return self._stylizer.measure_style(style, style_size=style_size, stroke_scale=stroke_scale)
        with contextlib.suppress(StyleTransferError):
            kept = StyleStatistics.load(entry)
            if kept.model == self._stylizer.fingerprint:
                return kept
        statistics = self._stylizer.measure_style(style, style_size=style_size, stroke_scale=stroke_scale)
        with contextlib.suppress(OSError, StyleTransferError):
            self._folder.mkdir(parents=True, exist_ok=True)
            statistics.save(entry)
        return statistics

    def _name(self, style: Path, *sizes: int | None) -> str:
        from styletransfer import __version__

        with style.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        parts = [__version__, content, self._stylizer.fingerprint, self._stylizer.precision, *sizes]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
