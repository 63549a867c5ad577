"""The worker's side of --engine ray: a `JobRunner` in another process, which prints nothing itself."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import StyleTransferError
from ...options import ProcessOptions
from ..console import Console
from ..job_planning import StylizeJob
from ..shards.shard_manifest import FailedMember
from ..shards.shard_planning import ShardJob
from ..shards.shard_runner import ShardRunner
from ..stylize_job import JobRunner, StylizeRun, describe_files
from ..thread_pool import set_threads
from .staging import Staging

if TYPE_CHECKING:
    from ...cluster.style_exchange import ExchangeClient
    from ...region_maps import RegionMaps


@dataclass
class NoteCollector(Console):
    """A console that keeps its notes for the process that started the worker."""

    notes: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        """Keep a note."""
        self.notes.append(line)

    def take_notes(self) -> tuple[str, ...]:
        """Return the notes since the last call."""
        notes = tuple(self.notes)
        self.notes.clear()
        return notes


class WorkerResult(NamedTuple):
    """What a worker returns for a job: its JSON object, notes for the user, and pictures that failed."""

    facts: dict[str, Any]
    notes: tuple[str, ...]
    failures: tuple[FailedMember, ...] = ()


@dataclass(frozen=True)
class WorkerSetup:
    """All that a worker needs beside its jobs; it is pickled and sent to each once.

    Attributes:
        run: The options of the run; the weights and the device are those of the worker's machine.
        maps: What the run's map files hold; None if styles are painted everywhere.
        threads: Number of processor threads.
        working_folder: The folder in which relative paths begin.
        weights_folder: A folder to search for named models first.
    """

    run: StylizeRun
    maps: RegionMaps | None
    threads: int
    working_folder: Path
    weights_folder: Path | None

    def __call__(self, stop: Event, exchange: ExchangeClient) -> JobWorker:
        """Load the model in the worker's process.

        Raises:
            StyleTransferError: The machine lacks the working folder.
            WeightsError: The weights are missing or damaged.
            OptionError: The machine lacks the device.
        """
        try:
            os.chdir(self.working_folder)
        except OSError as error:
            raise StyleTransferError(
                f"{self.working_folder}: not there on the machine of a worker",
                hint="work in a folder that all machines share",
            ) from error
        return JobWorker(self, stop, exchange)


class JobWorker:
    """Runs jobs, one after the other.

    Args:
        setup: What it needs.
        stop: Ends the work when it is set.
        exchange: Where the workers share the statistics of styles.
    """

    def __init__(self, setup: WorkerSetup, stop: Event, exchange: ExchangeClient) -> None:
        from ...api import Stylizer
        from ...cluster.style_exchange import SharedStyles
        from ...pipeline.process_memory import tune_allocator

        self._folder = TemporaryDirectory(prefix="styletransfer-")
        self._staging = Staging(Path(self._folder.name))
        set_threads(ProcessOptions(threads=setup.threads))
        tune_allocator()
        self._styles = SharedStyles(exchange, setup.run.style_folder)
        self._console = NoteCollector()
        self._stylizer = Stylizer(
            setup.run.model,
            runtime=setup.run.runtime,
            weights_folder=setup.weights_folder,
            style_folder=self._styles,
            stop=stop,
        )
        self._runner = JobRunner(self._console, self._stylizer, setup.run, (), setup.maps)
        self._shards = ShardRunner(self._runner, workers=1, stop=stop, fail_fast=setup.run.fail_fast)

    def __call__(self, job: StylizeJob) -> WorkerResult:
        """Run a job and write its result, or the archive of its results."""
        failures: tuple[FailedMember, ...] = ()
        try:
            if isinstance(job, ShardJob):
                manifest = self._shards.run(job, styles=self._staging.fetch_styles(job))
                facts, failures = dict(manifest.facts), tuple(manifest.failures)
            else:
                local = self._staging.fetch(job)
                facts = self._runner.run(local)
                self._staging.send(local, job)
        except StyleTransferError as error:
            raise self._staging.restore_names(error) from error
        finally:
            self._staging.clean()
            self._styles.release()
        named = describe_files(job)
        return WorkerResult({**facts, **named}, self._console.take_notes(), failures)

    def describe(self) -> dict[str, str]:
        """Return the model, the device and the precision."""
        stylizer = self._stylizer
        return {
            "model": stylizer.model_name,
            "device": stylizer.device.partition(":")[0],
            "precision": stylizer.precision,
        }
