"""`stylize --shards`: the archives of a run, one after the other on this machine or many at once on Ray."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

from ...cluster.remote_path import RemotePath
from ...errors import OptionError, StyleTransferError
from ...options import ClusterOptions, OutputOptions, ProcessOptions, RuntimeOptions, StylizeOptions
from ..console import Console
from ..job_planning import StylizeJob
from ..map_files import MapFiles
from ..stylize_job import JobRunner, describe_job_settings, describe_result, load_stylizer
from ..thread_pool import MAX_WORKERS, ReportProgress, divide_threads, run_jobs, set_threads
from .shard_manifest import FailureList, read_manifest
from .shard_planning import ShardJob, ShardPlan
from .shard_runner import ShardRunner


def stylize_shards(
    console: Console,
    plan: ShardPlan,
    options: StylizeOptions,
    output: OutputOptions,
    files: MapFiles,
    *,
    model: str,
    runtime: RuntimeOptions,
    process: ProcessOptions,
    cluster: ClusterOptions,
    style_folder: Path | None,
    resume: str,
    as_json: bool,
    fail_fast: bool,
    dry_run: bool,
) -> int:
    """Run a plan and return the exit code: 1 if a picture failed, also in an archive of an earlier run.

    The arguments are the options of the command.

    Raises:
        OptionError: The options do not fit archives or the cluster.
        WeightsError: The weights are missing or damaged.
    """
    failures = FailureList()
    for note in (*plan.notes, *check_skipped(plan, options, model, files, failures)):
        console.note(note)
    if dry_run:
        for job in plan.jobs:
            files_of_job = {"content": str(job.content), "output": str(job.output)}
            console.result(json.dumps(files_of_job) if as_json else f"{job.content} -> {job.output}")
        return 0
    code = 0
    try:
        if plan.jobs and cluster.engine == "ray":
            from ..cluster.ray_engine import run_on_ray

            code = run_on_ray(
                console,
                plan.jobs,
                options,
                output,
                files,
                files.read(console),
                model=model,
                runtime=runtime,
                process=process,
                cluster=cluster,
                style_folder=style_folder,
                resume=resume,
                as_json=as_json,
                fail_fast=fail_fast,
                failures=failures,
            )
        elif plan.jobs:
            for style in plan.jobs[0].styles:
                if isinstance(style.path, RemotePath):
                    raise OptionError(f"{style} is not on this machine", hint="add --engine ray")
            stop = Event()
            if fail_fast:
                set_threads(process)
            workers = 1 if fail_fast else divide_threads(process, runtime, MAX_WORKERS)
            stylizer = load_stylizer(console, model, runtime, stop=stop, style_folder=style_folder)
            runner = JobRunner(console, stylizer, options, output, (), files, files.read(console))
            shards = ShardRunner(runner, workers=workers, stop=stop, fail_fast=fail_fast)
            about = {"alpha": options.alpha, "model": stylizer.model_name, "device": stylizer.device}

            def run_job(job: ShardJob, report: ReportProgress) -> str:
                manifest = shards.run(job, report)
                failures.add(job, manifest.failures)
                return json.dumps({**manifest.facts, **about}) if as_json else str(job.output)

            def describe_failure(job: StylizeJob, failure: StyleTransferError) -> str | None:
                facts = describe_result(
                    job, options.alpha, stylizer.model_name, stylizer.device, error=str(failure)
                )
                return json.dumps(facts) if as_json else None

            code = run_jobs(
                console,
                plan.jobs,
                run_job,
                describe_failure,
                stop=stop,
                resume=resume,
                fail_fast=fail_fast,
                noun="archives",
            )
    finally:
        failures.print(console)
    return code or int(failures.count > 0)


def check_skipped(
    plan: ShardPlan, options: StylizeOptions, model: str, files: MapFiles, failures: FailureList
) -> list[str]:
    """Read the manifests of the archives that exist already.

    Args:
        plan: The plan.
        options: The options of this run.
        model: Name of the model of this run or path of its weights.
        files: The files that say where each style is painted.
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
            other += manifest.settings != describe_job_settings(job, options, model, files)
    if not other:
        return []
    return [f"{other} of them were made with other settings; -f makes all archives again"]
