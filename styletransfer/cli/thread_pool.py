"""Run many jobs on worker threads: results in order, failures listed at the end, a clean stop on Ctrl-C."""

from __future__ import annotations

import errno
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from threading import Event
from typing import Protocol, TypeVar

from ..errors import StyleTransferError
from ..options import IfExists, OutputOptions, ProcessOptions, RuntimeOptions
from .console import Console, explain_error
from .paths import STDOUT

# Each worker has a picture in memory. More threads than these help within the pictures.
MAX_WORKERS = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


class HasInputs(Protocol):
    """A job that can name the files it reads."""

    @property
    def inputs(self) -> Sequence[str]:
        """Names of the files, the most important one first."""


Job = TypeVar("Job", bound=HasInputs)
ReportProgress = Callable[[float], None]  # takes the share of a job that is done, 0..1


@contextmanager
def map_ordered(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    stop: Event,
    *,
    ahead: int | None = None,
    last: bool = True,
) -> Iterator[Iterator[Callable[[], Result]]]:
    """Apply a function to every item, on worker threads if there are several.

    With one worker the function runs in the calling thread. With more, each worker starts at most one item
    ahead of the caller, unless `ahead` says more, and items are taken as late. When the block ends, for
    whatever reason, the event is set and no thread works on.

    Args:
        function: The function. It should end soon after `stop` is set.
        items: Its arguments.
        workers: Number of threads.
        stop: Set when the block ends.
        ahead: Most items that are begun, or done, before the caller takes them; None for the workers' number.
        last: Whether the run ends with the block. Otherwise only an interrupt sets the event.

    Yields:
        An iterator over one callable per item, in order, which returns the item's result or raises its error.
    """
    if workers == 1:
        yield (partial(function, item) for item in items)
        return
    executor = ThreadPoolExecutor(workers)
    try:
        yield _submit(executor, function, items, ahead or workers)
    except KeyboardInterrupt:
        stop.set()
        raise
    finally:
        if last:
            stop.set()
        executor.shutdown(cancel_futures=True)


def _submit(
    executor: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Callable[[], Result]]:
    remaining = iter(items)
    begun: deque[Future[Result]] = deque(executor.submit(function, item) for item in islice(remaining, ahead))
    while begun:
        yield begun.popleft().result
        begun.extend(executor.submit(function, item) for item in islice(remaining, 1))


def run_jobs(
    console: Console,
    jobs: Sequence[Job],
    function: Callable[[Job, ReportProgress], str | None],
    describe_failure: Callable[[Job, StyleTransferError], str | None],
    *,
    stop: Event,
    resume: str,
    fail_fast: bool = False,
    workers: int = 1,
    ahead: int | None = None,
    noun: str = "results",
) -> int:
    """Run every job and report each of them in order. A full disk stops the run.

    Args:
        console: Output of the command.
        jobs: The jobs.
        function: Runs one job, reports its progress, and returns its line for stdout, if it has one. It
            should end soon after `stop` is set.
        describe_failure: Returns the line of a failed job for stdout, if it has one.
        stop: Set when the work ends early.
        resume: What a user can do after Ctrl-C to get the rest.
        fail_fast: Stop at the first failure.
        workers: Number of threads.
        ahead: See `map_ordered`.
        noun: What the jobs make.

    Returns:
        The exit code: 0 if all succeeded, 1 if one of several failed, or that of the only job's failure.
    """
    failures: list[StyleTransferError] = []
    finished: dict[int, str | None] = {}  # lines by index, also those that are not reported yet

    reported = 0
    disk_full = False
    try:
        with console.progress(len(jobs)) as progress:

            def finish(index: int) -> str | None:
                finished[index] = line = function(jobs[index], partial(progress.report, index))
                return line

            with map_ordered(finish, range(len(jobs)), workers, stop, ahead=ahead) as results:
                for index, take_result in enumerate(results):
                    try:
                        line = take_result()
                    except BrokenPipeError:  # the reader of our stdout has gone: no failure of the job
                        raise
                    except Exception as error:
                        console.traceback(error)
                        disk_full = is_disk_full(error)
                        # Without the traceback, because its frames hold pictures.
                        failures.append(explain_error(error, jobs[index].inputs).with_traceback(None))
                        line = describe_failure(jobs[index], failures[-1])
                    reported += 1
                    if line is not None:
                        console.result(line)
                    progress.report(index, 1)
                    if failures and (fail_fast or disk_full):
                        break
    except KeyboardInterrupt:
        for line in (finished[index] for index in sorted(finished) if index >= reported):
            if line is not None:
                console.result(line)
        console.note(f"stopped: {len(finished)} of {len(jobs)} {noun} are done; {resume}")
        raise
    for message, count in Counter(map(str, failures)).items():
        console.error(message if count == 1 else f"{message} ({count} {noun})")
    if not failures:
        return 0
    if len(jobs) == 1:
        return failures[0].exit_code
    untried = len(jobs) - reported
    rest = f", {untried} not tried" if untried else ""
    console.error(f"{len(failures)} of {len(jobs)} {noun} failed{rest}")
    if disk_full:
        console.error(f"stopped because the disk is full; {resume}")
    return 1


def is_disk_full(error: BaseException) -> bool:
    """Tell whether an error, or one of its causes, means that the disk or the quota is full."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def explain_resuming(output: OutputOptions, *, forced: bool, without_force: IfExists | None) -> str:
    """Say what a user can do after Ctrl-C to get the rest, and what the same command would do.

    Args:
        output: The options in force.
        forced: Whether -f was given.
        without_force: What happens to existing outputs without -f; None for the default.
    """
    if output.output == STDOUT or output.if_exists == "rename":
        return "the same command begins again"
    if output.if_exists in {None, "skip"}:
        return "the same command does the rest"
    if forced and without_force in {None, "skip"}:
        return "the same command without -f makes those that are missing"
    instead = "without -f and with" if forced else "with"
    return f"the same command {instead} --if-exists skip makes those that are missing"


def set_threads(options: ProcessOptions) -> None:
    """Set the number of processor threads that each picture uses."""
    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)


def divide_threads(options: ProcessOptions, runtime: RuntimeOptions, jobs: int) -> int:
    """Divide the processor's threads among pictures that are computed at once, and return their number.

    Two pictures on one thread each take less time than one after the other on two threads, and one of them is
    read or written while the other is computed. A memory limit allows one picture at a time.
    """
    import torch

    threads = options.threads or torch.get_num_threads()
    workers = 1 if runtime.max_memory is not None else min(threads, jobs, MAX_WORKERS)
    set_threads(options if workers == 1 else ProcessOptions(threads=threads // workers))
    return workers
