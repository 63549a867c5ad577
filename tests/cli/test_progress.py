"""Progress that a user sees: bars on a terminal, nothing or lines of a log elsewhere."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from .conftest import Run
from .pictures import read_size, write_content
from .terminal import run_on_terminal

posix = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
TRAIN = (
    *("train", "--content", "in", "--style", "in", "-o", "run", "--batch", "1", "--crop", "32"),
    *("--widths", "4,6", "--convolutions", "1,1", "--octaves", "1", "--steps", "3", "--device", "cpu"),
)


@posix
@pytest.mark.usefixtures("style")
def test_a_large_picture_shows_its_progress_and_the_time_left() -> None:
    write_content(Path("large.png"), (2200, 2200))
    words = ("stylize", "large.png", "waves.png", "--threads", "1", "--tile", "64")
    code, output, shown = run_on_terminal(*words)
    assert (code, output) == (0, "large_waves.png\n")
    shares = [int(share) for share in re.findall(r"(\d+)%\|", shown)]
    assert len(set(shares)) >= 5, shown
    assert shares == sorted(shares)
    assert re.search(r"\[00:\d\d<00:\d\d\]", shown), shown
    assert shown.rstrip(" ").endswith("\r"), "the bar stays"
    assert read_size("large_waves.png") == (2200, 2200)


@posix
@pytest.mark.usefixtures("content", "style")
def test_small_pictures_are_not_disturbed(model: str) -> None:
    _, _, shown = run_on_terminal("stylize", "cat.png", "waves.png", "-m", model)
    assert "%" not in shown


@posix
def test_spectrum_shows_its_progress(model: str) -> None:
    code, output, shown = run_on_terminal("spectrum", model, "--size", "8", "--json", "--threads", "1")
    assert code == 0
    layers = [json.loads(line)["layer"] for line in output.splitlines()]
    assert f"0.0/{len(layers)}" in shown
    assert re.search(rf"[1-9]\.0/{len(layers)}", shown), shown


def test_threads_of_spectrum_have_a_range(run: Run, model: str) -> None:
    result = run("spectrum", model, "--threads", "0")
    assert result.exit_code == 2
    assert "threads is 0" in result.stderr


@pytest.fixture
def pictures() -> None:
    for seed in range(3):
        write_content(Path(f"in/{seed}.png"), (48, 40), seed=seed)


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(("seconds", "steps"), [(60, [1]), (0, [1, 2, 3])])
def test_training_logs_lines_where_there_is_no_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, seconds: float, steps: list[int]
) -> None:
    monkeypatch.setattr("styletransfer.cli.commands.train.SECONDS_PER_LINE", seconds)
    result = run(*TRAIN)
    assert result.exit_code == 0
    line = r"^step (\d) of 3, loss=\S+, style=\S+, pairs_per_s=\S+$"
    assert [int(step) for step in re.findall(line, result.stderr, re.MULTILINE)] == steps
    assert "step" not in run(*TRAIN, "-o", "quiet", "-q").stderr


@posix
@pytest.mark.usefixtures("pictures")
def test_training_on_a_terminal_draws_a_bar_instead(run: Run) -> None:
    code, output, shown = run_on_terminal(*TRAIN)
    assert (code, output) == (0, "run/model.safetensors\n")
    assert "3/3" in shown
    assert "step 1 of 3" not in shown
