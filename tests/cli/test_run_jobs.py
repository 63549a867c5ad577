"""Many jobs: failures are collected, interrupts are reported."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Event

import pytest

from styletransfer.cli.console import Console
from styletransfer.cli.thread_pool import ReportProgress, explain_resuming, run_jobs
from styletransfer.errors import ImageError, MemoryLimitError, StyleTransferError
from styletransfer.options import IfExists, OutputOptions


@dataclass
class Job:
    name: str
    failure: BaseException | None = None

    @property
    def inputs(self) -> list[str]:
        return [self.name]


def do(job: Job, report: ReportProgress) -> str:
    if job.failure is not None:
        raise job.failure
    return job.name


def describe(job: Job, failure: StyleTransferError) -> str:
    return f"failed {job.name}"


def run(*jobs: Job, fail_fast: bool = False, verbose: bool = False, workers: int = 1) -> int:
    return run_jobs(
        Console(verbose=verbose),
        jobs,
        do,
        describe,
        stop=Event(),
        resume="go on",
        fail_fast=fail_fast,
        workers=workers,
    )


def test_all_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Job("a.png"), Job("b.png")) == 0
    assert capsys.readouterr() == ("a.png\nb.png\n", "")


def test_the_only_job_gives_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Job("a.png", MemoryError())) == MemoryLimitError.exit_code
    assert capsys.readouterr().err.startswith("error: a.png: out of memory; make the result smaller")


@pytest.mark.parametrize("workers", [1, 2])
def test_one_of_several_gives_1(workers: int, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = Job("a.png", MemoryError()), Job("b.png"), Job("c.png", ValueError("odd"))
    assert run(*jobs, workers=workers) == 1
    output, errors = capsys.readouterr()
    assert output == "failed a.png\nb.png\nfailed c.png\n"
    assert errors.splitlines()[1:] == [
        "error: c.png: unexpected ValueError: odd; run again with -v for the traceback",
        "error: 2 of 3 results failed",
    ]


def test_a_message_that_names_an_input_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    run(Job("a.png", ImageError("a.png: no picture")))
    assert capsys.readouterr().err == "error: a.png: no picture\n"


def test_verbose_shows_where_an_error_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    run(Job("a.png", ValueError("odd")), verbose=True)
    assert "raise job.failure\nValueError: odd\n" in capsys.readouterr().err


def test_fail_fast(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Job("a.png", ValueError()), Job("b.png"), fail_fast=True) == 1
    assert capsys.readouterr().err.endswith("error: 1 of 2 results failed, 1 not tried\n")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), BrokenPipeError()])
def test_what_ends_the_program_is_no_failure(error: BaseException, workers: int) -> None:
    with pytest.raises(type(error)):
        run(Job("a.png"), Job("b.png", error), workers=workers)


def test_an_interrupt_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Job("a.png"), Job("b.png", KeyboardInterrupt()), Job("c.png"))
    assert capsys.readouterr().err == "stopped: 1 of 3 results are done; go on\n"


def test_an_interrupt_tells_of_results_that_are_done_before_their_turn(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = Job("a.png"), Job("b.png")
    second_is_done = Event()

    def do_in_turn(job: Job, report: ReportProgress) -> str:
        if job is second:
            second_is_done.set()
            return job.name
        assert second_is_done.wait(10)
        time.sleep(0.02)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs(Console(), [first, second], do_in_turn, describe, stop=Event(), resume="go on", workers=2)
    assert capsys.readouterr() == ("b.png\n", "stopped: 1 of 2 results are done; go on\n")


@pytest.mark.parametrize(
    ("output", "if_exists", "forced", "advice"),
    [
        ("out/", None, False, "the same command does the rest"),
        ("out/", "skip", False, "the same command does the rest"),
        ("out/", "rename", False, "the same command begins again"),
        ("-", None, False, "the same command begins again"),
        ("out/", None, True, "the same command without -f makes those that are missing"),
        ("out/", "skip", True, "the same command without -f makes those that are missing"),
        ("out/", "rename", True, "the same command without -f and with --if-exists skip makes those"),
        ("out/", "overwrite", False, "the same command with --if-exists skip makes those"),
        ("out/", "error", False, "the same command with --if-exists skip makes those"),
    ],
)
def test_advice_after_an_interrupt_is_true(
    output: str, if_exists: IfExists | None, forced: bool, advice: str
) -> None:
    options = OutputOptions(output=output, if_exists="overwrite" if forced else if_exists)
    assert explain_resuming(options, forced=forced, without_force=if_exists).startswith(advice)
