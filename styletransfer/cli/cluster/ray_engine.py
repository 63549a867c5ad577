"""The driver's side of --engine ray: start the workers, give them the jobs, report as a local run does."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from ...errors import OptionError, StyleTransferError
from ...options import ClusterOptions, RuntimeOptions
from ..console import Console
from ..job_planning import StylizeJob
from ..paths import STDOUT, find_weights_folder
from ..shards.shard_manifest import FailureList
from ..stylize_job import StylizeRun
from ..thread_pool import ReportProgress, run_jobs
from .job_worker import WorkerResult, WorkerSetup

if TYPE_CHECKING:
    from ...region_maps import RegionMaps

# Results may be done this many jobs per worker before their turn to be reported comes.
JOBS_AHEAD = 16
# Threads of the driver, which only wait for workers; a larger cluster gets its jobs from as many.
MOST_DRIVER_THREADS = 1024


def check_jobs(jobs: Sequence[StylizeJob]) -> None:
    """Refuse what workers in other processes cannot read or write.

    Raises:
        OptionError: A job reads standard input or writes standard output.
    """
    if any(job.content.path is None for job in jobs):
        raise OptionError("workers cannot read standard input", hint="name a file, or leave out --engine ray")
    if any(job.output is None for job in jobs):
        raise OptionError(f"workers cannot write to -o {STDOUT}", hint="name a file or a folder")


def run_on_ray(
    console: Console,
    jobs: Sequence[StylizeJob],
    run: StylizeRun,
    maps: RegionMaps | None,
    failures: FailureList | None = None,
) -> int:
    """Run jobs on Ray workers and return the exit code.

    Args:
        console: Output of the command.
        jobs: The jobs.
        run: The options of the run.
        maps: What the run's map files hold; None if styles are painted everywhere.
        failures: Receives the pictures of archives that failed, where the jobs are archives.

    Raises:
        OptionError: Ray is not installed, there is no such cluster, or the options do not fit it.
        WeightsError: The weights are missing or damaged.
    """
    runtime, cluster = run.runtime, run.cluster
    # Read by Ray when it is imported, and not for a program like this to decide on.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        from ...cluster.actor_pool import JOBS_PER_ACTOR, ActorPool, choose_workers, connect
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise OptionError(
            "--engine ray needs Ray", hint="run `pip install 'styletransfer[ray]'` on all machines"
        ) from error

    threads = run.process.threads or 1
    local = max(threads * (cluster.workers or 1), count_processors())
    stop = Event()
    with console.stdout_for_results_alone(), connect(cluster.address, local) as resources:
        gpus = choose_gpus(cluster, runtime, resources)
        workers = choose_workers(resources, len(jobs), workers=cluster.workers, processors=threads, gpus=gpus)
        device = "cpu" if not gpus and runtime.device == "auto" else runtime.device
        setup = WorkerSetup(
            replace(run, runtime=replace(runtime, device=device)),
            maps,
            threads,
            Path.cwd(),
            find_weights_folder(),
        )
        noted: set[str] = set()

        def note(line: str) -> None:
            if line not in noted:  # every worker tells the same
                noted.add(line)
                console.note(line)

        with ActorPool[StylizeJob, WorkerResult](
            setup, workers, processors=threads, gpus=gpus, stop=stop, note=console.note
        ) as pool:
            about = pool.wait_until_ready()
            count = "1 worker" if workers == 1 else f"{workers} workers"
            console.note(f"model {about['model']} on {about['device']}, {about['precision']}, {count}")

            def run_job(job: StylizeJob, report: ReportProgress) -> str | None:
                facts, notes, failed = pool.run(job)
                for line in notes:
                    note(line)
                if failures is None:
                    console.detail(f"{facts['width']}x{facts['height']} pixels in {facts['seconds']} s")
                else:
                    failures.add(job, failed)
                    facts |= {"alpha": run.options.alpha, "model": about["model"], "device": about["device"]}
                return json.dumps(facts) if run.as_json else str(job.output)

            def describe_failure(job: StylizeJob, failure: StyleTransferError) -> str | None:
                return run.describe_failure(job, failure, about["model"], about["device"])

            return run_jobs(
                console,
                jobs,
                run_job,
                describe_failure,
                stop=stop,
                resume=run.resume,
                fail_fast=run.fail_fast,
                workers=max(2, min(JOBS_PER_ACTOR * workers, MOST_DRIVER_THREADS)),
                ahead=JOBS_AHEAD * workers,
                noun="results" if failures is None else "archives",
            )


def choose_gpus(cluster: ClusterOptions, runtime: RuntimeOptions, resources: dict[str, float]) -> float:
    """Return the GPUs that each worker reserves.

    Raises:
        OptionError: The device and the number of GPUs contradict each other.
    """
    gpus = cluster.gpus_per_worker
    if gpus is None:
        gpus = 1.0 if resources.get("GPU") and runtime.device in {"auto", "cuda"} else 0.0
    if bool(gpus) != (runtime.device == "cuda") and runtime.device != "auto":
        hint = "give --gpus-per-worker with --device cuda, and neither for the processor"
        raise OptionError(f"workers with {gpus:g} GPUs cannot use the device {runtime.device}", hint=hint)
    if gpus > resources.get("GPU", 0):
        raise OptionError(
            f"the cluster has {resources.get('GPU', 0):g} GPUs", hint="give --gpus-per-worker 0"
        )
    return gpus


def count_processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
