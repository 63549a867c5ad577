"""The command itself: what it refuses, what it says, and what it does with several styles."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Run, frame_times, make, moving_picture, pixels


@pytest.fixture
def clip(folder: Path) -> Path:
    """Write a video of four frames."""
    return make("in.mp4", *moving_picture(4))


def test_json(run: Run, clip: Path, style: str) -> None:
    facts = json.loads(run("in.mp4", "-o", "out.mp4", "--json").stdout)
    expected = {"content": "in.mp4", "styles": [style], "output": "out.mp4", "width": 64, "height": 48}
    assert facts.items() >= {**expected, "frames": 4, "length": 0.16, "damage": None, "device": "cpu"}.items()


def test_a_dry_run_writes_nothing(run: Run, clip: Path) -> None:
    result = run("in.mp4", "-o", "out.mp4", "--dry-run")
    assert result.stdout.endswith("waves.png -> out.mp4\n")
    assert list(Path().iterdir()) == [clip]


def test_existing_results(run: Run, clip: Path) -> None:
    Path("out.mp4").write_bytes(b"mine")
    assert run("in.mp4", "-o", "out.mp4").exit_code == 1
    assert run("in.mp4", "-o", "out.mp4", "--if-exists", "skip").exit_code == 0
    assert Path("out.mp4").read_bytes() == b"mine"
    assert run("in.mp4", "-o", "out.mp4", "--if-exists", "rename").stdout == "out_1.mp4\n"
    assert run("in.mp4", "-o", "out.mp4", "-f").exit_code == 0
    assert len(frame_times("out.mp4")) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "in.mp4", "-f"), "in.mp4 is an input and would be overwritten"),
        (("-o", "out.avi"), "choose one of .mp4 .m4v .mov .mkv .webm .gif .webp .apng"),
        (("-o", "out"), "a name without extension is no video"),
        (("-o", "out.mp4", "--codec", "vp9"), "choose --codec h264 or hevc or av1"),
        (("-o", "out.webm", "--bit-depth", "10"), "vp9 holds no 10 bits per channel"),
        (("-o", "out.gif", "--codec", "ffv1"), "choose no --codec"),
        (("-o", "out.mkv", "--crf", "20"), "ffv1 has no constant rate factor"),
        (("-o", "out.mp4", "--crf", "60"), "at most 51"),
        (("-o", "out.mp4", "--start", "1:00", "--end", "0:59"), "it must be after start"),
        (("-o", "out.mp4", "--start", "soon"), "is no time"),
        (("-o", "out.mp4", "--steadiness", "2"), "at most 1"),
        (("-o", "out.mp4", "--fps", "0"), "above 0"),
        (("-o", "out.mp4", "--style-weights", "1,2"), "2 style weights for 1 styles"),
        (("-o", "out.mp4", "--style-weights", "5:1 2:1"), "let times rise"),
        (("-o", "-", "--json"), "both write to standard output"),
    ],
)
def test_usage_errors(run: Run, clip: Path, words: tuple[str, ...], message: str) -> None:
    result = run("in.mp4", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) <= 2
    assert list(Path().iterdir()) == [clip]


def test_a_part_without_frames(run: Run, clip: Path) -> None:
    result = run("in.mp4", "-o", "out.mp4", "--start", "100")
    assert result.exit_code == 1
    assert "no frame is selected; change --start and --end" in result.stderr
    assert list(Path().iterdir()) == [clip]


def test_several_styles_are_blended_and_change_over_time(run: Run, style: str) -> None:
    make("in.mp4", *moving_picture(10, rate=5))
    Image.new("RGB", (32, 32), (250, 250, 0)).save("sun.png")
    styles = ("--", style, "sun.png", "--steadiness", "0")
    assert run("in.mp4", *styles, "-o", "out.mp4").exit_code == 2  # no weights
    frames = {}
    for name, weights in (("a", "1,0"), ("b", "0,1"), ("both", "0:1,0 1.8:0,1")):
        result = run("in.mp4", *styles, "-o", f"{name}.mkv", "--style-weights", weights)
        assert result.exit_code == 0, result.stderr
        frames[name] = np.frombuffer(pixels(f"{name}.mkv"), np.uint8).reshape(10, -1).astype(int)
    assert (frames["both"][0] == frames["a"][0]).all()
    assert (frames["both"][9] == frames["b"][9]).all()
    assert (frames["both"][5] != frames["a"][5]).any()


def test_a_mask_keeps_part_of_the_picture(run: Run, clip: Path) -> None:
    mask = Image.new("L", (64, 48), 0)
    mask.paste(255, (32, 0, 64, 48))
    mask.save("mask.png")
    make("in.mkv", "-i", "in.mp4", "-c:v", "ffv1", "-pix_fmt", "bgr0")
    result = run("in.mkv", "-o", "out.mkv", "--mask", "mask.png", "--steadiness", "0")
    assert result.exit_code == 0, result.stderr
    before, after = (
        np.frombuffer(pixels(path), np.uint8).reshape(4, 48, 64, 3) for path in ("in.mkv", "out.mkv")
    )
    assert (before[:, :, :16] == after[:, :, :16]).all()
    assert (before[:, :, 48:] != after[:, :, 48:]).any()


def test_the_extra_is_named_if_it_is_missing(run: Run, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    result = run("in.mp4", "-o", "out.mp4")
    assert result.exit_code == 1
    assert result.stderr == (
        'error: PyAV is needed to read and write videos; run `pip install "styletransfer[video]"`\n'
    )


def test_options_come_from_a_toml_file(run: Run, clip: Path) -> None:
    Path("a.toml").write_text('[video]\nend = 0.05\nstyle-weights = [2]\nstart = "0:00"\n')
    assert run("in.mp4", "-o", "out.mp4", "--config", "a.toml").exit_code == 0
    assert len(frame_times("out.mp4")) == 2
