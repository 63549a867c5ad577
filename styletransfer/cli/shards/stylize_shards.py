"""`stylize --shards`: the archives of a run, one after the other on this machine or many at once on Ray."""

from __future__ import annotations

import json
from threading import Event

from ...cluster.remote_path import RemotePath
from ...errors import OptionError, StyleTransferError
from ..console import Console
from ..job_planning import StylizeJob
from ..stylize_job import JobRunner, StylizeRun, describe_job_settings
from ..thread_pool import MAX_WORKERS, ReportProgress, divide_threads, run_jobs, set_threads
from .shard_manifest import FailureList, read_manifest
from .shard_planning import ShardJob, ShardPlan
from .shard_runner import ShardRunner


def stylize_shards(console: Console, plan: ShardPlan, run: StylizeRun, *, dry_run: bool) -> int:
    """Run a plan and return the exit code: 1 if a picture failed, also in an archive of an earlier run.

    Raises:
        OptionError: The options do not fit archives or the cluster.
        WeightsError: The weights are missing or damaged.
    """
    failures = FailureList()
    for note in (*plan.notes, *check_skipped(plan, run, failures)):
        console.note(note)
    if dry_run:
        for job in plan.jobs:
            files_of_job = {"content": str(job.content), "output": str(job.output)}
            console.result(json.dumps(files_of_job) if run.as_json else f"{job.content} -> {job.output}")
        return 0
    code = 0
    try:
        if plan.jobs and run.cluster.engine == "ray":
            from ..cluster.ray_engine import run_on_ray

            code = run_on_ray(console, plan.jobs, run, run.files.read(console), failures)
        elif plan.jobs:
            code = run_locally(console, plan, run, failures)
    finally:
        failures.print(console)
    return code or int(failures.count > 0)


def run_locally(console: Console, plan: ShardPlan, run: StylizeRun, failures: FailureList) -> int:
    """Make archives on this machine, one after the other, and return the exit code.

    Args:
        console: Output of the command.
        plan: The plan, with at least one job.
        run: The options of the run.
        failures: Receives the pictures that failed.

    Raises:
        OptionError: A style is not on this machine.
        WeightsError: The weights are missing or damaged.
    """
    for style in plan.jobs[0].styles:
        if isinstance(style.path, RemotePath):
            raise OptionError(f"{style} is not on this machine", hint="add --engine ray")
    stop = Event()
    if run.fail_fast:
        set_threads(run.process)
    workers = 1 if run.fail_fast else divide_threads(run.process, run.runtime, MAX_WORKERS)
    stylizer = run.load_stylizer(console, stop)
    runner = JobRunner(console, stylizer, run, (), run.files.read(console))
    shards = ShardRunner(runner, workers=workers, stop=stop, fail_fast=run.fail_fast)
    about = {"alpha": run.options.alpha, "model": stylizer.model_name, "device": stylizer.device}

    def run_job(job: ShardJob, report: ReportProgress) -> str:
        manifest = shards.run(job, report)
        failures.add(job, manifest.failures)
        return json.dumps({**manifest.facts, **about}) if run.as_json else str(job.output)

    def describe_failure(job: StylizeJob, failure: StyleTransferError) -> str | None:
        return run.describe_failure(job, failure, stylizer.model_name, stylizer.device)

    return run_jobs(
        console,
        plan.jobs,
        run_job,
        describe_failure,
        stop=stop,
        resume=run.resume,
        fail_fast=run.fail_fast,
        noun="archives",
    )


def check_skipped(plan: ShardPlan, run: StylizeRun, failures: FailureList) -> list[str]:
    """Read the manifests of the archives that exist already.

    Args:
        plan: The plan.
        run: The options of this run.
        failures: Receives the pictures that failed when they were made.

    Returns:
        A note if some were made with other settings.
    """
    other = 0
    for job in plan.skipped:
        assert job.output is not None
        manifest = read_manifest(job.output)
        if manifest is not None:
            failures.add(job, manifest.failures)
            other += manifest.settings != describe_job_settings(job, run.options, run.model, run.files)
    if not other:
        return []
    return [f"{other} of them were made with other settings; -f makes all archives again"]
