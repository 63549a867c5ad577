"""Videos through standard input and output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Run, frame_times, make, moving_picture, packets, probe, tone


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts", "y4m", "nut"])
def test_a_video_on_standard_input(run: Run, suffix: str) -> None:
    """MP4 has its index at the end, so it is read to its end first; y4m is raw frames."""
    make(f"in.{suffix}", *moving_picture(8), "-pix_fmt", "yuv420p")
    result = run("-", "-o", "out.mkv", input=Path(f"in.{suffix}").read_bytes())
    assert (result.exit_code, result.stdout) == (0, "out.mkv\n"), result.stderr
    times = frame_times("out.mkv")
    assert [time - times[0] for time in times] == pytest.approx([n / 25 for n in range(8)], abs=1e-3)
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]


def test_sound_of_a_pipe_is_copied(run: Run) -> None:
    make("in.mkv", *moving_picture(10), *tone(0.4), "-c:a", "aac")
    for name in ("out.mkv", "out.mp4"):
        assert run("-", "-o", name, input=Path("in.mkv").read_bytes()).exit_code == 0
        assert [data for _, data in packets(name, "a:0")] == [data for _, data in packets("in.mkv", "a:0")]


def test_a_video_on_standard_output(run: Run) -> None:
    make("in.mp4", *moving_picture(10), *tone(0.4), "-c:a", "aac", "-metadata", "title=A walk")
    for content, data in (("in.mp4", None), ("-", Path("in.mp4").read_bytes())):
        if data is not None:
            make("in.mkv", "-i", "in.mp4", "-c", "copy")
            data = Path("in.mkv").read_bytes()
        result = run(content, "-o", "-", input=data)
        assert result.exit_code == 0
        Path("out.mkv").write_bytes(result.stdout_bytes)
        # The sound begins before 0, which Matroska cannot say, so all begins later.
        late = packets("out.mkv", "a:0")[0][0] - packets("in.mp4", "a:0")[0][0]
        assert frame_times("out.mkv") == pytest.approx(
            [each + late for each in frame_times("in.mp4")], abs=1.5e-3
        )
        sound = [data for _, data in packets("out.mkv", "a:0")]
        assert sound == [data for _, data in packets("in.mp4", "a:0")]
        assert probe("out.mkv")["format"]["tags"]["title"] == "A walk"


def test_mp4_with_its_index_at_the_end_needs_a_file_for_a_pipe(run: Run) -> None:
    make("in.mp4", *moving_picture(5))
    result = run("-", "-o", "-", input=Path("in.mp4").read_bytes())
    assert (result.exit_code, result.stdout_bytes) == (1, b"")
    assert "its index at the end" in result.stderr
    make("first.mp4", "-i", "in.mp4", "-c", "copy", "-movflags", "+faststart")
    assert run("-", "-o", "-", input=Path("first.mp4").read_bytes()).exit_code == 0


def test_a_chain_of_programs(model: str, style: str) -> None:
    """FFmpeg sends, the program repaints, FFmpeg receives; results come before the sender has ended."""
    program = f"'{sys.executable}' -m styletransfer video - '{style}' -m '{model}' -o - --threads 1"
    send = "ffmpeg -v error -f lavfi -i testsrc2=s=64x48:r=25:d=1 -f yuv4mpegpipe -pix_fmt yuv420p -"
    receive = "ffmpeg -v error -y -i - -c:v libx264 out.mp4"
    done = subprocess.run(f"{send} | {program} | {receive}", shell=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(frame_times("out.mp4")) == 25


def test_a_reader_that_hangs_up(model: str, style: str) -> None:
    make("in.mp4", *moving_picture(50, "256x192"))
    program = f"'{sys.executable}' -m styletransfer video in.mp4 '{style}' -m '{model}' -o - --threads 1"
    done = subprocess.run(
        f"({program}; echo $? >&2) | head -c 100 >/dev/null", shell=True, capture_output=True, text=True
    )
    assert "unexpected" not in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.split()[-1] == "1"


@pytest.mark.parametrize("data", [b"", b"no video" * 100])
def test_what_is_no_video(run: Run, data: bytes) -> None:
    result = run("-", "-o", "out.mp4", input=data)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: <stdin>: is not a readable video")
    assert not list(Path().iterdir())
