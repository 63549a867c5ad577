"""Do many jobs: go on after a failure, list the failures at the end, say how to go on after Ctrl-C."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from ..errors import StyleTransferError
from ..options import IfExists, OutputOptions
from .crew import employ_crew
from .failures import explain
from .outputs import STDOUT
from .report import Report


class HasInputs(Protocol):
    """A job that can name the files it reads."""

    @property
    def inputs(self) -> Sequence[str]:
        """Names of the files, the one that matters most first."""


Item = TypeVar("Item", bound=HasInputs)


def explain_resuming(output: OutputOptions, *, forced: bool, otherwise: IfExists | None) -> str:
    """Say what a user does to have the rest done after Ctrl-C, and what the same command would do.

    Args:
        output: As in force.
        forced: Whether -f was given.
        otherwise: What happens to existing outputs without -f; None for the default.
    """
    if output.output == STDOUT or output.if_exists == "rename":
        return "the same command begins again"
    if output.if_exists in {None, "skip"}:
        return "the same command does the rest"
    if forced and otherwise in {None, "skip"}:
        return "the same command without -f makes those that are missing"
    instead = "without -f and with" if forced else "with"
    return f"the same command {instead} --if-exists skip makes those that are missing"


def run_batch(
    report: Report,
    jobs: Sequence[Item],
    do: Callable[[Item], str | None],
    describe_failure: Callable[[Item, StyleTransferError], str | None],
    *,
    fail_fast: bool = False,
    resume: str,
    workers: int = 1,
) -> int:
    """Do every job and tell of each, in their order.

    Args:
        report: Where to tell it.
        jobs: What is to be done.
        do: Does one job and returns its line for stdout, if it has one.
        describe_failure: Returns the line for stdout of a failed job, if it has one.
        fail_fast: Stop at the first failure.
        resume: What a user does to have the rest done after Ctrl-C.
        workers: Threads that call `do`; with `fail_fast`, what others have begun is dropped.

    Returns:
        The exit code: 0, or 1 if one of several jobs failed, or the code of the only job's failure.
    """
    failures: list[StyleTransferError] = []
    finished: dict[int, str | None] = {}  # lines by number, those of results that are not told yet, too

    def finish(number: int) -> str | None:
        finished[number] = line = do(jobs[number])
        return line

    told = 0
    try:
        with report.progress(len(jobs)) as bar, employ_crew(finish, range(len(jobs)), workers) as outcomes:
            for job, take_outcome in zip(jobs, outcomes, strict=True):
                try:
                    line = take_outcome()
                except BrokenPipeError:  # whoever read our stdout is gone: no failure of the job
                    raise
                except Exception as error:
                    report.traceback(error)
                    failures.append(explain(error, job.inputs).with_traceback(None))  # frames hold pictures
                    line = describe_failure(job, failures[-1])
                told += 1
                if line is not None:
                    report.product(line)
                bar.update()
                if failures and fail_fast:
                    break
    except KeyboardInterrupt:
        for line in (finished[number] for number in sorted(finished) if number >= told):
            if line is not None:
                report.product(line)
        report.note(f"stopped: {len(finished)} of {len(jobs)} results are done; {resume}")
        raise
    for message, count in Counter(map(str, failures)).items():
        report.error(message if count == 1 else f"{message} ({count} results)")
    if not failures:
        return 0
    if len(jobs) == 1:
        return failures[0].exit_code
    untried = len(jobs) - told
    rest = f", {untried} not tried" if untried else ""
    report.error(f"{len(failures)} of {len(jobs)} results failed{rest}")
    return 1
