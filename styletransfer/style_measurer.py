"""Styles are measured once: their statistics are kept in memory and, where that is wanted, on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from torch import Tensor

from .errors import OptionError, StyleTransferError, call_within_memory
from .media import Picture, resize_picture
from .model import StyleStatistics
from .options import default_style_size
from .picture_conversion import PictureSource, as_batch, measure_edges, name_style, to_picture
from .pipeline import Pipeline
from .pipeline.regions import complete_statistics, find_missing_share
from .region_maps import read_levels, resize_masks
from .transfer.color_curves import blend_quantiles
from .transfer.patch_matching import PatchBank

StyleSource: TypeAlias = PictureSource | StyleStatistics

# Most pixels of a style that is enlarged for larger strokes, because it exists in full.
MAX_ENLARGED_STYLE_PIXELS = 2**26
# Number of styles whose statistics and patches are remembered, some 6 MB each.
REMEMBERED_STYLES = 32
# A region of a style with fewer patches than this borrows those of the whole style.
LEAST_REGION_PATCHES = 32
STATISTICS_SUFFIX = ".safetensors"

Key = TypeVar("Key")
Value = TypeVar("Value")


class KeyedCache(Generic[Key, Value]):
    """A function whose result is computed once per key, by one thread, and remembered.

    Args:
        compute: The function. A `StyleTransferError` that it raises is remembered as its result; other
            errors are not.
        size: Number of results that are remembered, the latest ones; None remembers all.
    """

    def __init__(self, compute: Callable[[Key], Value], size: int | None = None) -> None:
        self._compute = compute
        self._size = size
        self._entries: dict[Key, _Entry[Value]] = {}
        self._lock = Lock()

    def get(self, key: Key) -> Value:
        """Return the value of a key or raise its error; wait while another thread computes it."""
        with self._lock:
            if key not in self._entries:
                while self._size is not None and len(self._entries) >= self._size:
                    del self._entries[next(iter(self._entries))]  # before the next value takes memory
                self._entries[key] = _Entry()
            entry = self._entries[key]
        with entry.lock:
            if entry.value is None and entry.error is None:
                try:
                    entry.value = self._compute(key)
                except StyleTransferError as error:
                    entry.error = error
        if entry.error is not None:
            raise entry.error
        assert entry.value is not None
        return entry.value

    def discard(self, key: Key) -> None:
        """Forget the value of a key, if it is there."""
        with self._lock:
            self._entries.pop(key, None)


class _Entry(Generic[Value]):
    def __init__(self) -> None:
        self.lock = Lock()
        self.value: Value | None = None
        self.error: StyleTransferError | None = None


class StyleStore(Protocol):
    """A place that keeps the statistics of styles, such as a `StyleFolder`."""

    def load(self, style: Path, fingerprint: str, *settings: object) -> StyleStatistics | None:
        """Return the statistics of a style, or None if they have to be measured."""

    def save(self, statistics: StyleStatistics, style: Path, *settings: object) -> None:
        """Keep the statistics of a style."""


class StyleFolder:
    """A folder of style statistics that are found again by everything that decides their values.

    Each entry is a file as `style-stats` writes them. Its name is a hash of the bytes of the style, the
    weights, the sizes, the precision and the version of this program. A damaged entry is ignored, and where
    nothing can be written, nothing is kept.

    Args:
        folder: The folder; it is created when the first entry is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, style: Path, fingerprint: str, *settings: object) -> StyleStatistics | None:
        """Return the statistics of a style, or None if there is no intact entry.

        Args:
            style: The picture's file.
            fingerprint: SHA-256 of the model's weights.
            settings: Whatever else decides the values; must be JSON.
        """
        with contextlib.suppress(OSError, StyleTransferError):
            statistics = StyleStatistics.load(self._entry(style, fingerprint, *settings))
            if statistics.model == fingerprint:
                return statistics
        return None

    def save(self, statistics: StyleStatistics, style: Path, *settings: object) -> None:
        """Keep the statistics of a style; errors are ignored. Arguments as for `load`."""
        with contextlib.suppress(OSError, StyleTransferError):
            self.folder.mkdir(parents=True, exist_ok=True)
            statistics.save(self._entry(style, statistics.model, *settings))

    def _entry(self, style: Path, *settings: object) -> Path:
        return self.folder / f"{name_measurement(style, *settings)}.safetensors"


def name_measurement(style: Path, *settings: object) -> str:
    """Return a name that tells the measurement of a style from all others, whatever the style is called.

    Args:
        style: The picture's file, whose bytes count.
        settings: What else decides the values, the hash of the weights among it; must be JSON.

    Raises:
        OSError: The file cannot be read.
    """
    from styletransfer import __version__

    with style.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(json.dumps([__version__, content, *settings]).encode()).hexdigest()


class StyleKey(NamedTuple):
    """A style file with its state on disk and what it is measured for, which a file of statistics lacks.

    `exact` is true for measurements in float32 by a pipeline of mixed precision, `mask` is the part that is
    measured, or None for all.
    """

    path: Path
    modified: int
    bytes: int
    style_size: int | None
    stroke_scales: tuple[int, ...]
    exact: bool = False
    mask: Picture | None = None

    @classmethod
    def of(cls, path: Path, style_size: int | None = None, stroke_scales: tuple[int, ...] = ()) -> StyleKey:
        """Return the key of a style file in its present state."""
        try:
            status = path.stat()
        except OSError:  # reading the file explains it better
            return cls(path, 0, 0, style_size, stroke_scales)
        return cls(path, status.st_mtime_ns, status.st_size, style_size, stroke_scales)


class StyleMeasurer:
    """Measures styles of all kinds; the statistics of files are remembered.

    Args:
        pipeline: The pipeline that measures.
        folder: A folder in which statistics are kept from run to run, or another place that keeps them; None
            keeps them in memory only.
    """

    def __init__(self, pipeline: Pipeline, folder: Path | StyleStore | None = None) -> None:
        self._pipeline = pipeline
        self._folder = StyleFolder(folder) if isinstance(folder, Path) else folder
        self._files = KeyedCache(self._measure_file, REMEMBERED_STYLES)

    def open(self, style: StyleSource) -> StyleSource:
        """Load a file of statistics; anything else is returned as it is.

        Raises:
            OptionError: The statistics were measured by another model.
        """
        if not isinstance(style, str | Path) or Path(style).suffix != STATISTICS_SUFFIX:
            return style
        statistics = self._files.get(StyleKey.of(Path(style)))
        if statistics.model != self._pipeline.fingerprint:
            raise OptionError(
                f"{style} was measured by another model ({statistics.model[:12]})",
                hint="choose that model with --model, or measure the picture again",
            )
        return statistics

    def measure(
        self,
        style: StyleSource,
        style_size: int | None,
        stroke_scales: tuple[int, ...],
        *,
        exact: bool,
        mask: Picture | None = None,
    ) -> StyleStatistics:
        """Return the statistics of a style for some stroke scales, ascending.

        Statistics are returned for the scale that is wanted, or as they are if several are. The other
        arguments and the errors are those of `Stylizer.measure_style`.
        """
        opened = self.open(style)
        if isinstance(opened, StyleStatistics):
            if mask is not None:
                raise OptionError(
                    f"{name_style(style)}: a part of a style is measured on its picture, not on statistics",
                    hint="give the picture",
                )
            if len(stroke_scales) > 1:
                return opened
            try:
                return opened.at_stroke_scale(*stroke_scales)
            except OptionError as error:
                raise OptionError(f"{name_style(style)}: {error.message}", hint=error.hint) from error
        if isinstance(opened, str | Path):
            # Only mixed precision has two ways to measure.
            exact = exact and self._pipeline.precision.name == "mixed"
            key = StyleKey.of(Path(opened), style_size, stroke_scales)
            return self._files.get(key._replace(exact=exact, mask=mask))
        return self._measure(opened, style_size, stroke_scales, exact, mask)

    def _measure_file(self, key: StyleKey) -> StyleStatistics:
        """Measure or load the style of a key."""
        if not key.stroke_scales:
            return StyleStatistics.load(key.path)
        precision = "fp32" if key.exact else self._pipeline.precision.name
        settings = (precision, key.style_size, key.stroke_scales)
        folder = self._folder if key.mask is None else None
        if folder is not None:
            kept = folder.load(key.path, self._pipeline.fingerprint, *settings)
            if kept is not None:
                return kept
        statistics = self._measure(key.path, key.style_size, key.stroke_scales, key.exact, key.mask)
        if folder is not None:
            folder.save(statistics, key.path, *settings)
        return statistics

    def _measure(
        self,
        style: PictureSource,
        size: int | None,
        scales: tuple[int, ...],
        exact: bool,
        mask: Picture | None,
    ) -> StyleStatistics:
        """Measure a style at all sizes that its stroke scales need, and explain a lack of memory."""
        return call_within_memory(
            lambda: self._measure_scales(style, size, scales, exact, mask),
            f"{name_style(style)}: out of memory while this style is measured"
            + (f" for stroke scale {scales[-1]}" if scales[-1] > 1 else ""),
            hint="measure it smaller, for example --style-size 256",
        )

    def _measure_scales(
        self,
        style: PictureSource,
        size: int | None,
        scales: tuple[int, ...],
        exact: bool,
        mask: Picture | None,
    ) -> StyleStatistics:
        picture = as_batch(style) if isinstance(style, Tensor) else to_picture(style)
        long_edge = max(measure_edges(picture))
        sizes = [min(long_edge, size or default_style_size(scale)) for scale in scales]
        if isinstance(picture, Tensor):  # floats stay floats unless they are resized
            if scales == (1,) and sizes == [long_edge] and mask is None:
                return self._pipeline.measure(picture, exact=exact)
            picture = to_picture(picture)
        picture = picture.as_style()

        @cache
        def measure(edge: int, patches: bool) -> StyleStatistics:
            return self._measure_picture(resize_picture(picture, edge), exact, mask, patches=patches)

        measured = []
        for scale, edge in zip(scales, sizes, strict=True):
            if scale == 1:
                measured.append(measure(edge, True))
                continue
            width, height = (round(side * edge / long_edge) for side in (picture.width, picture.height))
            if width * height * scale**2 > MAX_ENLARGED_STYLE_PIXELS:
                if measured:
                    break  # enough for all but the largest strokes
                largest = math.isqrt(MAX_ENLARGED_STYLE_PIXELS) // scale
                raise OptionError(
                    f"a style of {width}x{height} cannot be enlarged {scale} times",
                    hint=f"measure it smaller, for example --style-size {largest}",
                )
            enlarged, sharp = (measure(round(factor * edge), False) for factor in (scale, math.sqrt(scale)))
            measured.append(measure(edge, True).enlarge(scale, enlarged, sharp))
        return replace(measured[0], larger=tuple(measured[1:])) if len(measured) > 1 else measured[0]

    def _measure_picture(
        self, style: Picture, exact: bool, mask: Picture | None, *, patches: bool = True
    ) -> StyleStatistics:
        style = style.with_hidden_colors_filled()  # resizing leaves black where nothing is visible
        measured = self._pipeline.measure(style.pixels, style.alpha, exact=exact, patches=patches)
        if mask is None:
            return measured
        part = resize_masks(read_levels(mask), style.height, style.width)
        if (coverage := style.coverage()) is not None:
            part = (part.float() * coverage[0]).round().to(part.dtype)
        region = self._pipeline.measure(style.pixels, part, exact=exact, patches=patches)
        return complete_style(region, measured)


def complete_style(region: StyleStatistics, whole: StyleStatistics) -> StyleStatistics:
    """Complete statistics, colors and patches of a small region of a style by those of the whole style."""
    levels = tuple(map(complete_statistics, region.levels, whole.levels))
    bank = region.bank
    if bank is not None and whole.bank is not None:
        coarsest = max(bank.shares)
        present = len(bank.shares[coarsest]) / LEAST_REGION_PATCHES
        if present < 1:
            bank = PatchBank.blend([bank, whole.bank], [present, 1 - present])
    missing = find_missing_share(region.levels[0])
    colors = blend_quantiles([region.colors, whole.colors], [1 - missing, missing])
    return replace(region, levels=levels, bank=bank, colors=colors)


def as_sequence(style: StyleSource | Sequence[StyleSource]) -> Sequence[StyleSource]:
    """Return one style as a sequence of one."""
    if isinstance(style, Sequence) and not isinstance(style, str | bytes | bytearray | memoryview):
        return style
    return [style]  # type: ignore[list-item]  # mypy takes a memoryview for bytes
