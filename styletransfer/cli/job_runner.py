"""Run the jobs of `stylize`: read the content, stylize it, write the result, describe it."""

from __future__ import annotations

import io
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from styletransfer import __version__

from ..options import OutputOptions, StylizeOptions
from .inputs import InputFile
from .jobs import StylizeJob

if TYPE_CHECKING:
    from ..api import Stylizer
    from ..media import Picture


class JobRunner:
    """Runs jobs one after the other, or several at once on as many threads.

    Args:
        stylizer: The model.
        options: How results look.
        output: How results are written.
        jobs: All jobs of the run.
    """

    def __init__(
        self, stylizer: Stylizer, options: StylizeOptions, output: OutputOptions, jobs: Sequence[StylizeJob]
    ) -> None:
        from ..style_cache import KeyedCache

        self.stylizer = stylizer
        self.options = options
        self.output = output
        # The jobs of one content follow each other, and standard input can be read only once.
        self._contents = KeyedCache(_read_content, size=1)
        self._remaining_uses = Counter(job.content for job in jobs)
        self._lock = Lock()

    def run(self, job: StylizeJob, progress: Callable[[float], None] | None = None) -> dict[str, Any]:
        """Make one result, write it and describe it; `progress` receives the share that is done."""
        start = time.perf_counter()
        content = self._take_content(job)
        styles = [each.path for each in job.styles if each.path is not None]  # never standard input
        picture, options = self.stylizer.stylize_picture(
            content, styles, self.options, bit_depth=self.output.bit_depth, progress=progress
        )
        del content  # freed before the result is encoded
        self._write(job, picture, self._list_settings(job, options) if self.output.metadata else None)
        return self.describe(job, picture, seconds=time.perf_counter() - start)

    def describe(
        self,
        job: StylizeJob,
        picture: Picture | None = None,
        *,
        seconds: float | None = None,
        error: str | None = None,
    ) -> dict[str, Any]:
        """Return the JSON object of a job; values that a failed job does not have are None."""
        return {
            "content": str(job.content),
            "styles": [str(style) for style in job.styles],
            **({"output": str(job.output)} if error is None else {"error": error}),
            "width": picture and picture.width,
            "height": picture and picture.height,
            "alpha": self.options.alpha,
            "model": self.stylizer.model_name,
            "device": self.stylizer.device,
            "seconds": seconds and round(seconds, 3),
        }

    def _take_content(self, job: StylizeJob) -> Picture:
        """Return the content of a job; after its last job it is no longer kept here."""
        content = self._contents.get(job.content)
        with self._lock:
            self._remaining_uses[job.content] -= 1
            if not self._remaining_uses[job.content]:
                self._contents.discard(job.content)
        return content

    def _write(self, job: StylizeJob, picture: Picture, settings: dict[str, str] | None) -> None:
        from ..media import write_picture

        if job.output is None:
            buffer = io.BytesIO()  # so that a reader that hangs up is not reported as an error of writing
            write_picture(picture, buffer, format="png", metadata=settings)
            sys.stdout.buffer.write(buffer.getbuffer())
            sys.stdout.buffer.flush()
        else:
            job.output.parent.mkdir(parents=True, exist_ok=True)
            write_picture(picture, job.output, quality=self.output.quality, metadata=settings)

    def _list_settings(self, job: StylizeJob, options: StylizeOptions) -> dict[str, str]:
        """Return what it takes to make the same pixels again, with file names but without their folders."""
        settings = {
            "styletransfer": __version__,
            "model": decode_name(Path(self.stylizer.model_name)),
            "model_sha256": self.stylizer.fingerprint,
            "content": decode_name(job.content.path or Path(job.content.label)),
            "styles": ", ".join(decode_name(style.path) for style in job.styles if style.path),
            "device": self.stylizer.device,
            "precision": self.stylizer.precision,
        }
        chosen = {name: str(value) for name, value in asdict(options).items() if value is not None}
        return settings | chosen


def decode_name(path: Path) -> str:
    """Return the name of a file as valid Unicode, whatever bytes it consists of."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def _read_content(content: InputFile) -> Picture:
    from ..media import read_picture

    return read_picture(content.path or sys.stdin.buffer)
