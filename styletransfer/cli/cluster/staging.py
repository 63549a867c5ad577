"""Remote files of jobs on a worker: contents and styles are copied to it, results are copied from it."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from ...cluster.remote_path import RemotePath
from ...errors import StyleTransferError
from ..job_planning import StylizeJob
from ..paths import InputFile


class Staging:
    """Copies the remote files of one job at a time, under their own names, which are recorded in results.

    Styles stay, because all jobs need them; a content stays until the next one comes.

    Args:
        folder: An empty folder on the worker's machine.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._content: Path | None = None
        self._copies: dict[Path, Path] = {}

    def fetch(self, job: StylizeJob) -> StylizeJob:
        """Return the job with local files in the place of remote ones; its inputs are there.

        Raises:
            ImageError: An input is missing or cannot be read.
        """
        content = self._fetch_file(job.content)
        if content.path != self._content and self._content is not None:
            self._content.unlink()
            self._copies = {path: copy for path, copy in self._copies.items() if copy != self._content}
        styles = self.fetch_styles(job)
        is_style = content.path in {style.path for style in styles}
        self._content = content.path if content != job.content and not is_style else None
        return replace(
            job,
            content=content,
            styles=styles,
            output=self._localize(job.output),
            lut=self._localize(job.lut),
        )

    def fetch_styles(self, job: StylizeJob) -> tuple[InputFile, ...]:
        """Return local files in the place of the remote styles of a job.

        Raises:
            ImageError: One is missing or cannot be read.
        """
        return tuple(self._fetch_file(style) for style in job.styles)

    def send(self, local: StylizeJob, job: StylizeJob) -> None:
        """Copy the results to where they belong, the picture last, because it says that all is done.

        Raises:
            ImageError: A result cannot be written.
        """
        for source, target in ((local.lut, job.lut), (local.output, job.output)):
            if isinstance(target, RemotePath) and source is not None and source.exists():
                target.write_bytes(source.read_bytes())

    def clean(self) -> None:
        """Remove the results from this machine."""
        shutil.rmtree(self._folder / "results", ignore_errors=True)

    def restore_names(self, error: StyleTransferError) -> StyleTransferError:
        """Return an error whose message names remote files."""
        message = error.message
        for path, copy in self._copies.items():
            message = message.replace(str(copy), str(path))
        return type(error)(message.replace(str(self._folder / "results"), "a result"), hint=error.hint)

    def _fetch_file(self, source: InputFile) -> InputFile:
        if not isinstance(source.path, RemotePath):
            return source
        if source.path not in self._copies:
            name = hashlib.sha256(str(source.path.parent).encode()).hexdigest()[:16]
            copy = self._folder / name / source.path.name
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(source.path.read_bytes())
            self._copies[source.path] = copy
        return replace(source, path=self._copies[source.path])

    def _localize(self, output: Path | None) -> Path | None:
        return self._folder / "results" / output.name if isinstance(output, RemotePath) else output
