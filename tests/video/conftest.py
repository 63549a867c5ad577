"""Small real videos made and checked by FFmpeg's programs, and a small network to stylize them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

import styletransfer
from styletransfer.cli import program
from styletransfer.media import Picture, write_picture
from styletransfer.model import Architecture, Autoencoder, save_model

Run = Callable[..., Result]
Make = Callable[..., Path]
FFMPEG = shutil.which("ffmpeg"), shutil.which("ffprobe")
PACKAGE_PARENT = Path(styletransfer.__file__).parents[1]
# Map colors by a table that is the identity, and no network: frames stay what they are.
UNCHANGED = ("--color-only", "-a", "0", "--steadiness", "0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder without PyAV or FFmpeg's programs."""
    try:
        import av  # noqa: F401
    except ImportError:
        reason = 'needs pip install "styletransfer[video]"'
    else:
        reason = (
            "" if all(FFMPEG) else "needs ffmpeg and ffprobe on the path, for example `apt install ffmpeg`"
        )
    for item in items:
        if reason and item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, away from the configuration and the variables of whoever runs the tests."""
    for name in os.environ:
        if name.startswith("STYLETRANSFER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE_PARENT))  # of subprocesses, when not installed
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of untrained weights, small enough to stylize in milliseconds."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    torch.manual_seed(0)
    save_model(Autoencoder(Architecture(widths=(4, 6, 8), convolutions=(1, 1, 1))), path)
    return str(path)


@pytest.fixture(scope="session")
def style(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of a style picture of 32x32 pixels."""
    path = tmp_path_factory.mktemp("styles") / "waves.png"
    torch.manual_seed(1)
    write_picture(Picture(torch.randint(0, 256, (3, 32, 32)).to(torch.uint8)), path)
    return str(path)


@pytest.fixture
def run(model: str, style: str) -> Run:
    """Return a function that runs `video` in this process: IN, the style, the small model, and options."""

    def run_here(content: str | Path, *words: str, input: bytes | None = None) -> Result:
        command = ["video", str(content), *([] if "--" in words else [style]), "-m", model, "--threads", "1"]
        return CliRunner(catch_exceptions=False).invoke(
            program, [*command, *(word for word in words if word != "--")], input=input
        )

    return run_here


def make(name: str, *words: str) -> Path:
    """Make a file by ffmpeg from words such as -i, which stand before its name."""
    subprocess.run(["ffmpeg", "-nostdin", "-y", "-v", "error", *words, name], check=True)
    return Path(name)


def moving_picture(frames: int = 5, size: str = "64x48", rate: int = 25) -> list[str]:
    """Return the words for a moving test picture."""
    return ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={frames / rate}"]


def tone(seconds: float = 0.2) -> list[str]:
    """Return the words for a sound."""
    return ["-f", "lavfi", "-i", f"sine=440:d={seconds}"]


def probe(path: str | Path, *words: str) -> dict[str, Any]:
    """Return what ffprobe says of a file: its streams and its format, or what words ask for."""
    asked = words or ("-show_streams", "-show_format", "-show_chapters")
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-of", "json", *asked, str(path)], capture_output=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def video_stream(path: str | Path) -> dict[str, Any]:
    """Return what ffprobe says of the first video stream."""
    streams: list[dict[str, Any]] = probe(path)["streams"]
    return next(stream for stream in streams if stream["codec_type"] == "video")


def frame_times(path: str | Path) -> list[float]:
    """Return when each frame of the video is shown, in seconds."""
    words = ("-select_streams", "v:0", "-show_entries", "frame=pts_time,best_effort_timestamp_time")
    frames = probe(path, *words)["frames"]
    return [float(each.get("pts_time", each.get("best_effort_timestamp_time", "nan"))) for each in frames]


def packets(path: str | Path, stream: str) -> list[tuple[float, str]]:
    """Return time and hash of every packet of a stream such as a:0."""
    words = ("-select_streams", stream, "-show_packets", "-show_data_hash", "md5")
    return [(float(each["pts_time"]), each["data_hash"]) for each in probe(path, *words)["packets"]]


def pixels(path: str | Path, format: str = "rgb24") -> bytes:
    """Return the samples of all frames, decoded by ffmpeg as a player would."""
    words = [
        "-i",
        str(path),
        "-map",
        "v:0",
        "-f",
        "rawvideo",
        "-pix_fmt",
        format,
        "-vsync",
        "passthrough",
        "-",
    ]
    flags = ["-sws_flags", "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"]
    return subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", *words[:-1], *flags, "-"], capture_output=True, check=True
    ).stdout
