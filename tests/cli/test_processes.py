"""What only a real process shows: signals, pipes, terminals, memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from styletransfer.cli import program

from .conftest import Run
from .pictures import read_size, write_content

PROGRAM = [sys.executable, "-m", "styletransfer"]
COUNT = 24

posix = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")


def listen_to_interrupts() -> None:
    """Undo what a shell does to programs in the background, tests among them: they ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program beside this one; it is gone afterwards, whatever happens."""
    with subprocess.Popen(
        [*PROGRAM, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen_to_interrupts,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@posix
@pytest.mark.slow
@pytest.mark.usefixtures("style")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_stopped_folder_run_is_finished_by_the_same_command(run: Run, model: str, threads: str) -> None:
    for number in range(COUNT):
        write_content(Path(f"in/{number:02}.png"), (256, 192), seed=number)
    words = ("stylize", "in", "waves.png", "-o", "out/", "-m", model, "--threads", threads)
    done = 0
    for stop, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)):
        with started(*words) as process:
            assert process.stdout is not None
            process.stdout.readline()  # the first of its results
            process.send_signal(stop)
            _, errors = process.communicate()
        assert process.returncode == code
        assert "Traceback" not in errors
        if stop != signal.SIGKILL:
            assert "the same command does the rest" in errors
            assert not list(Path("out").glob(".*")), "a temporary file is left"
        results = sorted(Path("out").glob("*.png"))
        assert done < len(results) < COUNT
        assert {read_size(path) for path in results} == {(256, 192)}, "a result is half-written"
        done = len(results)
    result = run(*words)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == COUNT - done
    assert len({read_size(path) for path in Path("out").glob("*.png")}) == 1
    assert len(list(Path("out").glob("*.png"))) == COUNT


@pytest.mark.usefixtures("style")
def test_a_picture_from_pipe_to_pipe(model: str) -> None:
    data = write_content(Path("cat.png"), (24, 16)).read_bytes()
    words = [
        *PROGRAM,
        "stylize",
        "-",
        "waves.png",
        "-o",
        "-",
        "-m",
        model,
        "--device",
        "cpu",
        "--precision",
        "fp32",
    ]
    result = subprocess.run(words, input=data, capture_output=True, check=True)
    Path("result.png").write_bytes(result.stdout)
    assert read_size("result.png") == (24, 16)
    assert result.stderr.decode() == f"model {model} on cpu, fp32\n"


@pytest.mark.usefixtures("style")
def test_a_pipe_that_holds_no_picture_fails_alike_in_every_style(model: str) -> None:
    write_content(Path("ink.png"), (8, 8))
    words = [*PROGRAM, "stylize", "-", "waves.png", "ink.png", "-m", model, "-q"]
    result = subprocess.run(words, input=b"no picture", capture_output=True, check=False)
    first, second = result.stderr.decode().splitlines()
    assert first.startswith("error: <stdin>: ")
    assert first.endswith("(2 results)")
    assert second == "error: 2 of 2 results failed"


@posix
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii:strict"])
def test_stdout_takes_names_of_any_bytes(encoding: str) -> None:
    code = """
import click
from styletransfer import cli
cli.program = click.Command("echo", callback=lambda: click.echo("caf\\udce9 \\u2615"))
cli.main()
"""
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert result.stdout == b"caf\xe9 \xe2\x98\x95\n"


@posix
def test_a_reader_that_hangs_up_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run([*PROGRAM, "--help"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (result.returncode, result.stderr) == (1, b"")


@posix
@pytest.mark.usefixtures("content", "style")
def test_a_terminal_gets_a_bar_no_picture_no_colors(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    import pty
    import termios

    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))

    def run_on_terminal(*words: str) -> tuple[str | int | None, bytes]:
        with pytest.raises(SystemExit) as ended:
            program.main(list(words))
        return ended.value.code, os.read(leader, 10_000)

    with os.fdopen(follower, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", terminal)
        patch.setattr("sys.stderr", terminal)
        code, shown = run_on_terminal("stylize", "cat.png", "waves.png", "-o", "-")
        assert code == 2
        assert b"error: standard output is a terminal; " in shown
        code, shown = run_on_terminal("stylize", "*.png", "waves.png", "-m", model)
        assert code == 0
        assert b"cat_waves.png" in shown
        assert b"0/2 [" in shown
        assert b"\x1b[" not in shown
    os.close(leader)


@contextmanager
def limited_memory(spare: int) -> Iterator[None]:
    """Let this process have only so many bytes more than it has now."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + spare, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
@pytest.mark.usefixtures("content", "style")
def test_exhausted_memory_is_exit_4_and_names_the_file(run: Run) -> None:
    run("stylize", "cat.png", "waves.png", "-o", "first.png")  # so that all libraries are loaded
    with limited_memory(100_000_000):
        result = run("stylize", "cat.png", "waves.png", "--size", "20000", "-q")
    assert result.exit_code == 4
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: cat.png: ")
    assert "memory" in line
    assert not Path("cat_waves.png").exists()
    assert run("stylize", "cat.png", "waves.png").exit_code == 0


def test_an_unexpected_error_is_one_line_and_its_traceback_needs_v(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styletransfer.model.available_models", lambda: 1 / 0)
    result = run("models", "list")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert (
        line == "error: unexpected ZeroDivisionError: division by zero; run again with -v for the traceback"
    )
    assert "Traceback (most recent call last)" in run("models", "list", "-v").stderr


HEAVY = {"torch._dynamo", "sympy", "torchvision", "imagecodecs", "tifffile", "matplotlib", "scipy"}


def test_stylizing_imports_nothing_heavy(content: Path, style: Path) -> None:
    """Each of them takes a second or hundreds of megabytes, and none has a part in an ordinary run."""
    words = ["stylize", content.name, style.name]
    code = f"import sys\nfrom styletransfer.cli import program\ntry:\n    program.main({words})\n" + (
        "except SystemExit as end:\n    assert end.code == 0\nprint(*sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(process.stdout.split())
