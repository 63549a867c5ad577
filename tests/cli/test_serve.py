"""The command `serve` where it does not start; tests/page has the server itself."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from .conftest import Run

WITHOUT_EXTRA = """
import sys
sys.modules["starlette"] = sys.modules["uvicorn"] = None
from styletransfer.cli import main
main()
"""


def test_without_the_extra_one_line_says_how_to_get_it() -> None:
    words = [sys.executable, "-c", WITHOUT_EXTRA, "serve"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    hint = "run `pip install 'styletransfer[ui]'`"
    assert done.stderr == f"error: serve needs Starlette and uvicorn; {hint}\n"


@pytest.fixture
def extra() -> None:
    for each in ("starlette", "uvicorn"):
        pytest.importorskip(each, reason="needs the extra `ui`")


def test_a_port_in_use_is_refused(run: Run, model: str, extra: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run("serve", "--port", str(port), "-m", model)
    assert done.exit_code == 2
    assert f"cannot listen at 127.0.0.1, port {port}" in done.stderr
    assert "choose another --port" in done.stderr


def test_an_address_of_another_machine_is_refused(run: Run, model: str, extra: None) -> None:
    done = run("serve", "--host", "203.0.113.1", "--port", "0", "-m", model)
    assert done.exit_code == 2
    assert "cannot listen at 203.0.113.1" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--token", "short"), "at least 16"),
        (("--token", "with spaces in it, and long enough"), "letters, digits"),
        (("--port", "70000"), "at most 65535"),
        (("--max-upload", "much"), "not an amount of memory"),
        (("--max-memory", "100M"), "at least --max-memory 512M"),
    ],
)
def test_wrong_values_are_explained(run: Run, words: tuple[str, str], message: str, extra: None) -> None:
    done = run("serve", *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
