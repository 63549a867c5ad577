"""Runs that are killed, interrupted or out of disk, and the same command afterwards."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from .conftest import Run, frame_times, make, moving_picture, packets, pixels, tone

FRAMES = 36
IN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


@pytest.fixture
def clip(folder: Path) -> Path:
    """Write 36 frames, one a second, which is four parts, with sound that starts late."""
    picture = moving_picture(FRAMES, rate=1)
    sound = ["-itsoffset", "0.5", *tone(34)]
    return make("in.mp4", *picture, *sound, "-c:v", "libx264", "-c:a", "aac", "-ar", "8000")


def command(model: str, style: str, *words: str) -> list[str]:
    program = [sys.executable, "-m", "styletransfer", "video", "in.mp4", style, "-m", model, "--threads", "1"]
    return [*program, *words]


def finished_parts() -> int:
    """Count the parts that a run has finished."""
    return len(list(Path().glob(".styletransfer-*.parts/0*.json")))


def wait_for_parts(process: subprocess.Popen[bytes], count: int) -> None:
    """Wait until a run has finished some parts."""
    while finished_parts() < count and process.poll() is None:
        time.sleep(0.005)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "webm"])
def test_a_killed_run_goes_on(run: Run, clip: Path, model: str, style: str, suffix: str) -> None:
    """Killed at random moments, it gives the frames of a run that was not."""
    assert run("in.mp4", "-o", f"whole.{suffix}").exit_code == 0
    number = random.Random(suffix)
    output = f"out.{suffix}"
    for parts in (0, 1, 2):
        with subprocess.Popen(command(model, style, "-o", output, "-q")) as process:
            wait_for_parts(process, parts)
            time.sleep(number.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
        if process.returncode == 0:  # it was faster
            break
        assert not Path(output).exists()
    before = finished_parts()
    result = run("in.mp4", "-o", output)
    assert result.exit_code == 0
    assert ("frames are there from a run that was stopped" in result.stderr) == (before > 0)
    found, expected = (np.frombuffer(pixels(name), np.uint8) for name in (output, f"whole.{suffix}"))
    if suffix == "mp4":  # for small pictures, a few values of x264 differ by a level from run to run
        differences = np.abs(found.astype(int) - expected)
        assert differences.max() <= 1
        assert differences.mean() < 1e-4
    else:
        assert (found == expected).all()
    assert frame_times(output) == frame_times(f"whole.{suffix}")
    if suffix == "mp4":
        assert packets(output, "a:0") == packets("whole.mp4", "a:0") == packets("in.mp4", "a:0")
    assert not list(Path().glob(".styletransfer-*"))


def test_a_killed_run_goes_on_with_a_folder_of_frames(run: Run, clip: Path, model: str, style: str) -> None:
    with subprocess.Popen(command(model, style, "-o", "out/", "-q")) as process:
        wait_for_parts(process, 1)
        process.send_signal(signal.SIGKILL)
    written = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("*.png")}
    assert 11 <= len(written) < FRAMES
    assert run("in.mp4", "-o", "out/").exit_code == 0
    kept = [name for name, changed in written.items() if (Path("out") / name).stat().st_mtime_ns == changed]
    assert len(kept) >= 11
    assert run("in.mp4", "-o", "whole/").exit_code == 0
    for path in Path("whole").iterdir():
        assert path.read_bytes() == (Path("out") / path.name).read_bytes()


def test_ctrl_c_leaves_what_is_done_and_says_what_to_do(clip: Path, model: str, style: str) -> None:
    words = command(model, style, "-o", "out.mp4")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_for_parts(process, 1)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert (process.returncode, output) == (130, b"")
    line = errors.decode().strip().splitlines()[-1]
    assert line.startswith("stopped with ")
    assert line.endswith("the same command goes on; out.partial.mp4 plays what is done")
    assert not Path("out.mp4").exists()
    times = frame_times("out.partial.mp4")
    assert times == [float(index) for index in range(len(times))]
    assert 11 <= len(times) < FRAMES
    assert abs(packets("out.partial.mp4", "a:0")[-1][0] - times[-1]) < 1.1
    done = subprocess.run(words, capture_output=True, check=True)
    assert b"frames are there from a run that was stopped" in done.stderr
    assert not list(Path().glob("*partial*"))


def test_parts_of_another_run_are_not_used(run: Run, clip: Path, model: str, style: str) -> None:
    with subprocess.Popen(command(model, style, "-o", "out.mkv", "-q")) as process:
        wait_for_parts(process, 1)
        process.send_signal(signal.SIGKILL)
    result = run("in.mp4", "-o", "out.mkv", "--alpha", "0.5")
    assert result.exit_code == 0
    assert "was made with other settings (alpha) and is not used" in result.stderr
    assert run("in.mp4", "-o", "whole.mkv", "--alpha", "0.5").exit_code == 0
    assert pixels("out.mkv") == pixels("whole.mkv")


def test_another_input_of_the_same_name_begins_again(run: Run, clip: Path, model: str, style: str) -> None:
    with subprocess.Popen(command(model, style, "-o", "out.mp4", "-q")) as process:
        wait_for_parts(process, 1)
        process.send_signal(signal.SIGKILL)
    make("in.mp4", *moving_picture(3))
    result = run("in.mp4", "-o", "out.mp4")
    assert "(input) and is not used" in result.stderr
    assert len(frame_times("out.mp4")) == 3


def can_mount() -> bool:
    """Tell whether this user may mount a file system in a namespace of their own."""
    try:
        command = [*IN_NAMESPACE, "mount -t tmpfs -o size=64k tmpfs /mnt"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not can_mount(), reason="needs user namespaces of Linux")
def test_a_full_disk_keeps_what_is_done(clip: Path, model: str, style: str) -> None:
    Path("out").mkdir()
    words = " ".join(f"'{word}'" for word in command(model, style, "-o", "out/out.mkv"))
    script = f"""
        mount -t tmpfs -o size=300k tmpfs out || exit 99
        {words}
        code=$?
        mkdir kept && cp -a out/. kept
        exit $code
    """
    result = subprocess.run([*IN_NAMESPACE, script], env=os.environ, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    *_, note, failure = result.stderr.splitlines()
    assert note == "stopped because the disk is full; the same command goes on"
    assert "no space left on device" in failure
    assert not Path("kept/out.mkv").exists()
    assert list(Path("kept").glob(".styletransfer-*/000000.json"))


def test_a_pipe_begins_again(run: Run) -> None:
    make("in.mkv", *moving_picture(3))
    for _ in range(2):
        result = run("-", "-o", "out.mp4", "-f", input=Path("in.mkv").read_bytes())
        assert result.exit_code == 0
        assert "a run that was stopped" not in result.stderr
