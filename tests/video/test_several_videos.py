"""Folders and patterns of videos, and their division among processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from styletransfer.video import find_part_folder

from .conftest import Run, frame_times, make, moving_picture, pixels

NAMES = ("a.mkv", "b.mp4", "c.mkv", "d.mkv")


@pytest.fixture
def clips(folder: Path) -> Path:
    """Write four videos of two frames, and a file that is none."""
    Path("clips").mkdir()
    for name in NAMES:
        make(f"clips/{name}", *moving_picture(2))
    Path("clips/notes.txt").write_text("no video")
    return Path("clips")


def results(folder: str) -> list[str]:
    return sorted(each.name for each in Path(folder).iterdir())


def test_a_folder_and_a_pattern_of_videos(run: Run, clips: Path) -> None:
    result = run("clips", "-o", "out/")
    assert result.exit_code == 0, result.stderr
    expected = [f"{name}_waves.mp4" for name in "abcd"]
    assert results("out") == expected
    assert result.stdout.splitlines() == [f"out/{name}" for name in expected]
    assert all(len(frame_times(f"out/{name}")) == 2 for name in expected)
    again = run("clips", "-o", "out/")
    assert again.exit_code == 0
    assert (again.stdout, "skipped 4 of 4 results" in again.stderr) == ("", True)
    result = run("clips/*.mkv", "-o", "one/{content}.mkv", "--json")
    assert [json.loads(line)["output"] for line in result.stdout.splitlines()] == [
        f"one/{name}.mkv" for name in "acd"
    ]
    run("clips/a.mkv", "-o", "single.mkv")
    assert pixels("one/a.mkv") == pixels("single.mkv")


def test_shards_do_everything_and_nothing_twice(run: Run, clips: Path) -> None:
    made: list[str] = []
    for index in range(3):
        result = run("clips", "-o", "out/", "--shard", f"{index}/3")
        assert result.exit_code == 0, result.stderr
        done = result.stdout.splitlines()
        assert f"shard {index}/3 has {len(done)} of 4 results" in result.stderr
        assert len(done) < 4
        made += done
    assert len(made) == len(set(made)) == 4
    assert results("out") == [f"{name}_waves.mp4" for name in "abcd"]


def test_results_in_the_folder_of_the_videos_are_no_videos(run: Run, clips: Path) -> None:
    assert run("clips", "-o", "clips").exit_code == 0
    count = len(results("clips"))
    result = run("clips", "-o", "clips")
    assert result.exit_code == 0, result.stderr
    assert len(results("clips")) == count == 9


def test_videos_of_equal_names_are_told_apart(run: Run, clips: Path) -> None:
    make("clips/a.mp4", *moving_picture(2))
    assert run("clips/a.*", "-o", "out/").exit_code == 0
    assert results("out") == ["a_mkv_waves.mp4", "a_mp4_waves.mp4"]
    result = run("clips", "-o", "all.mp4")
    assert result.exit_code == 2
    assert "5 results would all be written to all.mp4" in result.stderr


def test_a_broken_video_does_not_stop_the_others(run: Run, clips: Path) -> None:
    Path("clips/b.mp4").write_bytes(b"broken")
    result = run("clips", "-o", "out/", "--json")
    assert result.exit_code == 1
    facts = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["content"] for each in facts if "error" in each] == ["clips/b.mp4"]
    assert "1 of 4 videos failed" in result.stderr
    assert results("out") == [f"{name}_waves.mp4" for name in "acd"]


def test_what_does_not_fit_several_videos(run: Run, clips: Path) -> None:
    for words, message in (
        (("-o", "-"), "-o - takes a single result"),
        (("-o", "out/", "--shard", "4/4"), "the last 3/4"),
        (("-o", "out/", "-m", "absent"), "absent"),
    ):
        result = run("clips", *words)
        assert result.exit_code > 0
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert not Path("out").exists()


def test_a_stopped_run_goes_on_with_the_video_it_was_at(run: Run, model: str, style: str) -> None:
    Path("clips").mkdir()
    for name in "ab":
        make(f"clips/{name}.mkv", *moving_picture(30, rate=1), "-c:v", "ffv1", "-pix_fmt", "bgr0")
    program = [sys.executable, "-m", "styletransfer", "video", "clips", style, "-m", model, "--threads", "1"]
    words = ("-o", "out/{content}.mkv")
    with subprocess.Popen([*program, *words, "-q"]) as process:
        while not (find_part_folder(Path("out/b.mkv")) / "000000.json").exists():
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    result = run("clips", *words)
    assert "skipped 1 of 2 results" in result.stderr
    assert "frames are there from a run that was stopped" in result.stderr
    assert run("clips", "-o", "whole/{content}.mkv").exit_code == 0
    assert pixels("out/b.mkv") == pixels("whole/b.mkv")
