"""Standard streams that are closed or full: one line and an exit code, no traceback, no half results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .pictures import read_size

pytestmark = [
    pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full and a POSIX shell"),
    pytest.mark.usefixtures("content", "style"),
]
CLOSED = "error: standard output is closed; redirect it to a file or to /dev/null\n"
FULL = "error: standard output: No space left on device\n"
STYLIZE = "stylize cat.png waves.png -q"


def run_in_shell(words: str, redirection: str, model: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of the program; $MODEL is the path of the small model."""
    result = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m styletransfer {words} {redirection}'],
        env=os.environ | {"MODEL": model},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in result.stderr
    assert "Exception ignored" not in result.stderr
    return result.returncode, result.stdout, result.stderr


@pytest.mark.parametrize("words", ["--version", "--help", "models list", f'{STYLIZE} -m "$MODEL"'])
def test_closed_stdout_is_said_before_any_work(words: str, model: str) -> None:
    assert run_in_shell(words, ">&-", model) == (2, "", CLOSED)
    assert not Path("cat_waves.png").exists()


@pytest.mark.parametrize(
    "words", ["--version", "--help", "models list", "completion bash", f'{STYLIZE} -m "$MODEL"']
)
def test_full_stdout_is_one_line(words: str, model: str) -> None:
    assert run_in_shell(words, ">/dev/full", model) == (1, "", FULL)


def test_a_picture_for_a_full_stdout(model: str) -> None:
    code, _, errors = run_in_shell(f'{STYLIZE} -o - -m "$MODEL"', ">/dev/full", model)
    assert (code, errors) == (1, "error: cat.png: standard output: No space left on device\n")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&-", "<&- 2>&-"])
@pytest.mark.parametrize("more", ["", "-v"])
def test_results_do_not_depend_on_the_other_streams(redirection: str, more: str, model: str) -> None:
    words = f'stylize cat.png waves.png {more} -m "$MODEL"'
    code, results, _ = run_in_shell(words, redirection, model)
    assert (code, results) == (0, "cat_waves.png\n")
    assert read_size("cat_waves.png") == (24, 16)


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", ">&- 2>&-", ">&- 2>&- <&-"])
def test_exit_codes_do_not_depend_on_stderr(redirection: str, model: str) -> None:
    assert run_in_shell("stylize absent.png waves.png", redirection, model) == (2, "", "")


def test_closed_stdin(model: str) -> None:
    code, _, errors = run_in_shell('stylize - waves.png -o out.png -m "$MODEL"', "<&-", model)
    assert (code, errors) == (2, "error: standard input is closed; pipe a picture into it\n")
