"""Animated GIF, WebP and PNG, both ways: delays, loops, transparency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from .conftest import UNCHANGED, Run, frame_times, make, moving_picture, video_stream

DELAYS = [100, 40, 250, 60]
FORMATS = [".gif", ".webp", ".apng"]


def write(name: str, *, alpha: bool = False, **options: Any) -> None:
    """Write an animation of four different frames of 32x24 pixels."""
    frames = []
    for index in range(len(DELAYS)):
        frame = Image.new("RGBA", (32, 24), (250, 20 * index, 30, 255))
        frame.paste((10, 200, 20 + 50 * index, 0 if alpha else 255), (5 * index, 4, 5 * index + 10, 14))
        frames.append(frame if alpha else frame.convert("RGB"))
    format = {".apng": "PNG"}.get(Path(name).suffix)
    lossless = {"lossless": True} if name.endswith("webp") else {}
    disposal = {"disposal": 2} if alpha and name.endswith("gif") else {}
    frames[0].save(
        name,
        format,
        save_all=True,
        append_images=frames[1:],
        duration=DELAYS,
        **lossless,
        **disposal,
        **options,
    )


def read(name: str | Path) -> tuple[list[int], list[Image.Image], dict[Any, Any]]:
    """Return delays, frames and the information in a file."""
    with Image.open(name) as image:
        frames, delays = [], []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(image.convert("RGBA"))
            delays.append(round(image.info["duration"]))
        return delays, frames, dict(image.info)


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_delays_and_loops_are_kept(run: Run, source: str, target: str) -> None:
    write(f"in{source}", loop=3)
    result = run(f"in{source}", "-o", f"out{target}")
    assert (result.exit_code, result.stdout) == (0, f"out{target}\n"), result.stderr
    delays, _, info = read(f"out{target}")
    assert delays == DELAYS
    assert info["loop"] == 3


@pytest.mark.parametrize("suffix", FORMATS)
def test_transparency_is_kept(run: Run, suffix: str) -> None:
    write(f"in{suffix}", alpha=True, loop=0)
    assert run(f"in{suffix}", "-o", f"out{suffix}", *UNCHANGED).exit_code == 0
    for before, after in zip(read(f"in{suffix}")[1], read(f"out{suffix}")[1], strict=True):
        assert after.getchannel("A").tobytes() == before.getchannel("A").tobytes()
    assert read(f"out{suffix}")[2]["loop"] == 0


def test_the_default_output_is_of_the_same_kind(run: Run) -> None:
    write("dance.webp")
    assert run("dance.webp").stdout == "dance_waves.webp\n"
    make("clip.mp4", *moving_picture(2))
    assert run("clip.mp4").stdout == "clip_waves.mp4\n"


def test_a_gif_that_plays_once_does_so_again(run: Run) -> None:
    write("in.gif")
    assert "loop" not in read("in.gif")[2]
    assert run("in.gif", "-o", "out.gif").exit_code == 0
    assert "loop" not in read("out.gif")[2]


def test_animations_become_videos_and_videos_animations(run: Run) -> None:
    write("in.gif", loop=0)
    assert run("in.gif", "-o", "out.mp4").exit_code == 0
    assert frame_times("out.mp4") == pytest.approx([0, 0.1, 0.14, 0.39], abs=1e-3)
    assert float(video_stream("out.mp4")["duration"]) == pytest.approx(0.45, abs=1e-3)
    assert run("out.mp4", "-o", "again.webp").exit_code == 0
    assert read("again.webp")[0] == DELAYS
    make("in.mp4", *moving_picture(6, rate=30))
    assert run("in.mp4", "-o", "slow.gif").exit_code == 0
    delays, _, info = read("slow.gif")
    assert (sum(delays), info["loop"]) == (200, 0)  # no drift, though a frame takes 33.3 ms


def test_an_animated_png_may_be_named_png(run: Run) -> None:
    write("in.apng")
    Path("in.apng").rename("in.png")
    assert run("in.png", "-o", "out.apng").exit_code == 0
    assert read("out.apng")[0] == DELAYS
    result = run("in.png", "-o", "out.png")
    assert result.exit_code == 2
    assert "a folder, whose name ends in a slash" in result.stderr


def test_a_damaged_animation(run: Run) -> None:
    write("whole.gif")
    data = Path("whole.gif").read_bytes()
    Path("in.gif").write_bytes(data[: len(data) // 3])
    result = run("in.gif", "-o", "out.gif")
    assert result.exit_code == 1
    assert "in.gif" in result.stderr
    assert not Path("out.gif").exists()
