"""The group of commands: quick to start, documented in full, one line per error."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from styletransfer import __version__
from styletransfer.cli import COMMANDS, program
from styletransfer.cli.click_options import build_options
from styletransfer.options import OutputOptions, RuntimeOptions, StylizeOptions

from .conftest import Run

HEAVY = ("torch", "torchvision", "numpy", "PIL", "safetensors", "tqdm", "platformdirs")


def find_command(name: str) -> click.Command:
    command = program.get_command(click.Context(program), name)
    assert command is not None
    return command


@pytest.mark.parametrize(
    "words", ["['--help']", "['--version']", "['stylize', '--help']", "['style-stats', '-h']"]
)
def test_help_imports_nothing_heavy(words: str) -> None:
    code = f"""
import sys
from styletransfer.cli import program
try:
    program.main({words})
except SystemExit:
    print("loaded:", *sorted(set({HEAVY}) & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "loaded:"


def test_stylizing_imports_no_torchvision(model: str, content: Path, style: Path) -> None:
    words = ["stylize", str(content), str(style), "-m", model, "--device", "cpu"]
    code = f"""
import sys
from styletransfer.cli import program
try:
    program.main({words})
except SystemExit as ended:
    print("loaded:", ended.code, *sorted({{"torch", "torchvision"}} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["cat_waves.png", "loaded: 0 torch"]


def measure_start(*words: str) -> float:
    """Return the shortest of several wall times of a Python process, in seconds."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return min(times)


def test_help_starts_within_three_times_the_import_of_click() -> None:
    assert measure_start("-m", "styletransfer", "--help") <= 3 * measure_start("-c", "import click")


def test_version() -> None:
    result = CliRunner().invoke(program, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"styletransfer, version {__version__}\n")


def test_no_command_shows_help_and_is_a_usage_error() -> None:
    result = CliRunner().invoke(program, [])
    assert result.exit_code == 2
    assert "Commands:" in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    assert (find_command(name).help or "").partition("\n")[0] == COMMANDS[name]


def list_leaves() -> list[tuple[str, click.Command]]:
    """List all commands that run, those inside groups included."""
    leaves: list[tuple[str, click.Command]] = []
    for name in COMMANDS:
        command = find_command(name)
        if isinstance(command, click.Group):
            leaves += [(f"{name} {inner}", leaf) for inner, leaf in command.commands.items()]
        else:
            leaves.append((name, command))
    return leaves


@pytest.mark.parametrize(("name", "command"), list_leaves(), ids=lambda value: str(value))
def test_help_documents_every_option_with_its_default(name: str, command: click.Command) -> None:
    page = CliRunner().invoke(program, [*name.split(), "--help"], terminal_width=1000).stdout
    entries = [" ".join(entry.split()) for entry in page.split("\n  -")]
    assert command.help
    assert command.help.partition("\n")[0] in page
    for option in command.params:
        if not isinstance(option, click.Option):
            assert option.make_metavar(click.Context(command)) in page
            continue
        (entry,) = (entry for entry in entries if f"-{entry} ".startswith(", ".join(option.opts) + " "))
        assert option.help
        assert option.help in entry
        if not option.is_flag:
            assert "[default: " in entry or option.required
            if isinstance(option.default, int | float | str):
                assert f"[default: {option.default}]" in entry


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("stylize", StylizeOptions),
        ("stylize", RuntimeOptions),
        ("stylize", OutputOptions),
        ("style-stats", RuntimeOptions),
    ],
)
def test_defaults_are_those_of_the_dataclasses(command: str, options: type) -> None:
    words = ["a.png", "b.png"] if command == "stylize" else ["b.png"]
    values = find_command(command).make_context(command, words).params
    assert {field.name for field in dataclasses.fields(options)} <= set(values)
    assert build_options(options, values) == options()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["paint"], "No such command 'paint'"),
        (["stylize"], "Missing argument 'CONTENT'"),
        (["stylize", "a.png"], "Missing argument 'STYLE...'"),
        (["stylize", "a.png", "b.png", "--alpah", "1"], "--alpah"),
        (["stylize", "a.png", "b.png", "--alpha", "nan"], "alpha is nan"),
        (["stylize", "a.png", "b.png", "--alpha", "1.5"], "alpha is 1.5"),
        (["stylize", "a.png", "b.png", "--size", "0"], "size is 0"),
        (["stylize", "a.png", "b.png", "--size", "big"], "'big' is not a valid integer, and not 'full'"),
        (["stylize", "a.png", "b.png", "--match", "autoo"], "'autoo' is not a valid float, and not 'auto'"),
        (["stylize", "a.png", "b.png", "--style-weights", "1,x"], "'1,x' is not a list of numbers"),
        (["stylize", "a.png", "b.png", "--style-weights", "0,0"], "all style weights are zero"),
        (["stylize", "a.png", "b.png", "--device", "tpu"], "device is 'tpu'"),
        (["stylize", "a.png", "b.png", "--device", "cuda:x"], "device is 'cuda:x'"),
        (["stylize", "a.png", "b.png", "--size", "1000001"], "size is 1000001; it must be at least 1"),
        (["stylize", "a.png", "b.png", "--bit-depth", "12"], "bit_depth is 12"),
        (["stylize", "a.png", "b.png", "--config", "none.toml"], "none.toml"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(run: Run, words: list[str], problem: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert problem in line
    assert "--help`" in line
