"""Frames that are files of their own, both ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from styletransfer.media import read_picture, read_recorded_settings

from .conftest import UNCHANGED, Run, frame_times, make, moving_picture, video_stream


@pytest.fixture
def frames(folder: Path) -> Path:
    """Write twelve frames whose names sort differently as texts and as numbers."""
    Path("in").mkdir()
    for index in range(12):
        Image.new("RGB", (32, 24), (20 * index, 100, 50)).save(f"in/f{index}.png")
    return Path("in")


def test_frames_are_read_in_natural_order(run: Run, frames: Path) -> None:
    for content in (str(frames), "in/f*.png"):
        assert run(content, "-o", "out.mkv", "--fps", "10", "-f", *UNCHANGED).exit_code == 0
        assert frame_times("out.mkv") == pytest.approx([index / 10 for index in range(12)], abs=1e-3)
        assert run("out.mkv", "-o", "seen/", "-f", *UNCHANGED).exit_code == 0
        reds = [int(read_picture(path).pixels[0].float().mean()) for path in sorted(Path("seen").iterdir())]
        assert reds == [20 * index for index in range(12)]


def test_frames_are_written_under_their_names(run: Run, frames: Path) -> None:
    result = run(frames, "-o", "out/")
    assert result.stdout == "out/\n"
    assert {path.name for path in Path("out").iterdir()} == {f"f{index}.png" for index in range(12)}
    assert read_recorded_settings(Path("out/f3.png"))["steadiness"] == "1.0"
    assert run(frames, "-o", "out/").exit_code == 1  # they exist
    assert run(frames, "-o", "out/", "--if-exists", "skip").exit_code == 0
    assert run(frames, "-o", "in/", "-f").exit_code == 2  # never over the input


def test_a_video_becomes_frames(run: Run) -> None:
    make("in.mp4", *moving_picture(3))
    assert run("in.mp4", "-o", "out/", "--bit-depth", "16").exit_code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["000001.png", "000002.png", "000003.png"]
    assert read_picture("out/000001.png").bit_depth == 16
    assert run("in.mp4", "-o", "ten/", "--bit-depth", "10").exit_code == 2


def test_a_broken_frame_is_named_and_the_others_keep_their_times(run: Run, frames: Path) -> None:
    (frames / "f4.png").write_bytes(b"no picture")
    result = run(frames, "-o", "out.mp4", "--fps", "10")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "error: in: 1 frame is damaged and left out (f4.png)"
    assert frame_times("out.mp4") == pytest.approx([n / 10 for n in range(12) if n != 4], abs=1e-3)


def test_frames_of_another_size_are_scaled_to_the_first(run: Run, frames: Path) -> None:
    Image.new("RGBA", (50, 50), (255, 0, 0, 128)).save(frames / "f2.png")
    assert run(frames, "-o", "out.mkv").exit_code == 0
    assert (video_stream("out.mkv")["width"], video_stream("out.mkv")["height"]) == (32, 24)


def test_sixteen_bits_stay(run: Run) -> None:
    import torch

    from styletransfer.media import Picture, write_picture

    Path("in").mkdir()
    ramp = torch.arange(0, 64 * 1000, 1000).expand(3, 8, 64).to(torch.int32).to(torch.uint16)
    write_picture(Picture(ramp.contiguous()), Path("in/a.png"))
    assert run("in", "-o", "out.mkv", "--bit-depth", "16", *UNCHANGED).exit_code == 0
    assert run("out.mkv", "-o", "again/", "--bit-depth", "16", *UNCHANGED).exit_code == 0
    again = read_picture("again/000001.png").pixels.to(torch.int32).numpy()
    assert np.abs(again - ramp.to(torch.int32).numpy()).max() <= 2


def test_an_empty_folder(run: Run) -> None:
    Path("in").mkdir()
    result = run("in", "-o", "out.mp4")
    assert result.exit_code == 2
    assert "in holds no pictures" in result.stderr
