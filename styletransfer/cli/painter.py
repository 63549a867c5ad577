"""Make the results of `stylize` with one model; every style is measured once for strokes of one scale."""

from __future__ import annotations

import io
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from styletransfer import __version__

from ..errors import MemoryLimitError, OptionError, is_out_of_memory
from ..options import OutputOptions, StylizeOptions, settle_strokes
from .inputs import Source
from .jobs import Job
from .once import Once
from .style_cache import StyleCache

if TYPE_CHECKING:
    from ..api import Stylizer
    from ..media import Picture
    from ..model import StyleStatistics


class WantedStyle(NamedTuple):
    """A style, and what it is measured for: nothing where it comes as statistics."""

    style: Source
    size: int | None = None
    stroke_scale: int | None = None


class Painter:
    """Does one job after another, or several at once on as many threads.

    Args:
        stylizer: The model.
        look: How results look.
        output: How they are written.
        jobs: All that there is to be done.
        cache: Where statistics of styles are kept from run to run, if they are.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        look: StylizeOptions,
        output: OutputOptions,
        jobs: Sequence[Job],
        cache: StyleCache | None = None,
    ) -> None:
        self.stylizer = stylizer
        self.look = look
        self.output = output
        self._cache = cache
        self._styles = Once(self._measure)
        # Jobs of one content follow each other. Standard input can be read only once.
        self._contents = Once(self._read, keep=1)
        self._uses = Counter(job.content for job in jobs)
        self._lock = Lock()

    def paint(self, job: Job) -> dict[str, Any]:
        """Make one result, write it and describe it."""
        from ..media import write_picture

        start = time.perf_counter()
        content = self._take(job)
        look, styles = self._measure_styles(job, content)
        result = self.stylizer.stylize_picture(content, styles, look, self.output.bit_depth)
        del content  # before the result is encoded
        settings = self._list_settings(job, look) if self.output.metadata else None
        if job.output is None:
            buffer = io.BytesIO()  # so that a reader who hangs up is no failure of write_picture
            write_picture(result, buffer, format="png", metadata=settings)
            sys.stdout.buffer.write(buffer.getbuffer())
            sys.stdout.buffer.flush()
        else:
            job.output.parent.mkdir(parents=True, exist_ok=True)
            write_picture(result, job.output, quality=self.output.quality, metadata=settings)
        return self.describe(job, result, seconds=time.perf_counter() - start)

    def describe(
        self,
        job: Job,
        result: Picture | None = None,
        *,
        seconds: float | None = None,
        error: str | None = None,
    ) -> dict[str, Any]:
        """Describe what became of a job in the terms of --json; what a failure leaves unknown is None."""
        return {
            "content": str(job.content),
            "styles": [str(style) for style in job.styles],
            **({"output": str(job.output)} if error is None else {"error": error}),
            "width": result and result.width,
            "height": result and result.height,
            "alpha": self.look.alpha,
            "model": self.stylizer.model_name,
            "device": self.stylizer.device,
            "seconds": seconds and round(seconds, 3),
        }

    def _measure_styles(self, job: Job, content: Picture) -> tuple[StylizeOptions, list[StyleStatistics]]:
        """Settle the strokes of a result, and measure its styles for them."""
        ready = {style: self._styles.get(WantedStyle(style)) for style in job.styles if style.is_statistics}
        scales = [each.stroke_scale for each in ready.values()]
        look = settle_strokes(self.look, content.width, content.height, scales)
        for style, statistics in ready.items():
            if statistics.stroke_scale != look.stroke_scale:
                raise OptionError(
                    f"{style} was measured for --stroke-scale {statistics.stroke_scale}, not "
                    f"{look.stroke_scale}",
                    hint="measure the picture again by style-stats with that option",
                )
        return look, [
            ready.get(style) or self._styles.get(WantedStyle(style, look.style_size, look.stroke_scale))
            for style in job.styles
        ]

    def _measure(self, wanted: WantedStyle) -> StyleStatistics:
        """Measure a style; explain what a lack of memory calls for."""
        try:
            return self._check_model(wanted)
        except Exception as error:
            if not isinstance(error, MemoryLimitError) and not is_out_of_memory(error):
                raise
        # Out of the block and without a cause: the caught error holds the memory that is lacking.
        enlarged = wanted.stroke_scale is not None and wanted.stroke_scale > 1
        raise MemoryLimitError(
            f"{wanted.style}: out of memory while this style is measured"
            + (f" for --stroke-scale {wanted.stroke_scale}" if enlarged else ""),
            hint="measure it smaller, for example --style-size 256",
        )

    def _check_model(self, wanted: WantedStyle) -> StyleStatistics:
        """Measure a style, and refuse statistics that another model measured."""
        style, size, scale = wanted
        assert style.path is not None  # STYLE is never standard input, see expand_styles
        if self._cache is not None and not style.is_statistics:
            return self._cache.measure(style.path, size, scale)
        statistics = self.stylizer.measure_style(style.path, style_size=size, stroke_scale=scale)
        if statistics.model != self.stylizer.fingerprint:
            raise OptionError(
                f"{style} was measured by another model ({statistics.model[:12]})",
                hint="choose that one by --model or measure the picture again",
            )
        return statistics

    def _take(self, job: Job) -> Picture:
        """Return the content of a job, in the size of its result; after the last, nothing here keeps it."""
        from ..media import resize_picture

        content = self._contents.get(job.content)
        with self._lock:
            self._uses[job.content] -= 1
            if not self._uses[job.content]:
                self._contents.forget(job.content)
        return content if self.look.size is None else resize_picture(content, self.look.size)

    @staticmethod
    def _read(source: Source) -> Picture:
        from ..media import read_picture

        return read_picture(source.path or sys.stdin.buffer)

    def _list_settings(self, job: Job, look: StylizeOptions) -> dict[str, str]:
        """List what it takes to make the same pixels again; names without folders, which are private."""
        settings = {
            "styletransfer": __version__,
            "model": readable_name(Path(self.stylizer.model_name)),
            "model_sha256": self.stylizer.fingerprint,
            "content": readable_name(job.content.path or Path(job.content.label)),
            "styles": ", ".join(readable_name(style.path) for style in job.styles if style.path),
            "device": self.stylizer.device,
            "precision": self.stylizer.precision,
        }
        chosen = {name: str(value) for name, value in asdict(look).items() if value is not None}
        return settings | chosen


def readable_name(path: Path) -> str:
    """Return a file's name as text that every format can hold, whatever bytes it is made of."""
    return os.fsencode(path.name).decode("utf-8", "replace")
