"""Masks and maps of regions that change with time."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Run, make, moving_picture, pixels

WIDTH, HEIGHT, COUNT = 64, 48, 8


@pytest.fixture
def clip(folder: Path) -> Path:
    """Write a video of eight frames, without loss."""
    return make("in.mkv", *moving_picture(COUNT), "-c:v", "ffv1", "-pix_fmt", "bgr0")


def draw_masks(folder: str, count: int = COUNT) -> list[Path]:
    """Write masks as pictures: a white bar that moves by eight pixels a frame."""
    Path(folder).mkdir()
    paths = []
    for index in range(count):
        mask = Image.new("RGB", (WIDTH, HEIGHT))
        mask.paste((255, 255, 255), (8 * index, 0, 8 * index + 8, HEIGHT))
        paths.append(Path(folder) / f"mask{index}.png")
        mask.save(paths[-1])
    return paths


def painted_bars(before: str, after: str, numbers: list[int] | None = None) -> list[list[int]]:
    """Return for every frame which of eight bars are painted, compared with frames of those numbers."""
    first, second = (np.frombuffer(pixels(each), np.uint8) for each in (before, after))
    shape = -1, HEIGHT, 8, 8, 3
    first, second = first.reshape(shape), second.reshape(shape)
    first = first if numbers is None else first[numbers]
    assert len(first) == len(second)
    changed = (first != second).any((1, 3, 4))
    return [[int(bar) for bar in frame.nonzero()[0]] for frame in changed]


@pytest.mark.parametrize("steadiness", ["0", "1"])
@pytest.mark.parametrize("name", ["masks", "masks/*.png", "masks.mkv", "masks.gif"])
def test_masks_of_all_kinds_move_with_the_frames(run: Run, clip: Path, name: str, steadiness: str) -> None:
    draw_masks("masks")
    frames = ["-framerate", "25", "-i", "masks/mask%d.png"]
    make("masks.mkv", *frames, "-c:v", "ffv1", "-pix_fmt", "bgr0")
    first, *others = (Image.open(f"masks/mask{index}.png").convert("L") for index in range(COUNT))
    first.save("masks.gif", save_all=True, append_images=others, duration=40)
    result = run("in.mkv", "-o", "out.mkv", "--mask", name, "--steadiness", steadiness)
    assert result.exit_code == 0, result.stderr
    assert painted_bars("in.mkv", "out.mkv") == [[index] for index in range(COUNT)]


def test_masks_keep_to_the_times_of_the_input(run: Run, clip: Path) -> None:
    """A part of the video, at another rate, gets the masks of the frames that it shows."""
    draw_masks("masks")
    make("masks.mkv", "-framerate", "25", "-i", "masks/mask%d.png", "-c:v", "ffv1", "-pix_fmt", "bgr0")
    for name in ("masks", "masks.mkv"):
        result = run("in.mkv", "-o", "out.mkv", "-f", "--mask", name, "--start", "0.08", "--end", "0.28")
        assert result.exit_code == 0, result.stderr
        assert painted_bars("in.mkv", "out.mkv", [2, 3, 4, 5, 6]) == [[2], [3], [4], [5], [6]]
        result = run("in.mkv", "-o", "out.mkv", "-f", "--mask", name, "--fps", "12.5")
        assert result.exit_code == 0, result.stderr
        assert painted_bars("in.mkv", "out.mkv", [0, 2, 4, 6]) == [[0], [2], [4], [6]]


def test_a_mask_of_a_lower_rate_stays_until_the_next(run: Run, clip: Path) -> None:
    draw_masks("masks", 4)
    make("masks.mkv", "-framerate", "12.5", "-i", "masks/mask%d.png", "-c:v", "ffv1", "-pix_fmt", "bgr0")
    result = run("in.mkv", "-o", "out.mkv", "--mask", "masks.mkv", "--steadiness", "0")
    assert result.exit_code == 0, result.stderr
    assert painted_bars("in.mkv", "out.mkv") == [[0], [0], [1], [1], [2], [2], [3], [3]]


def test_moving_and_still_masks_for_two_styles(run: Run, clip: Path, style: str) -> None:
    draw_masks("masks")
    Image.new("RGB", (32, 32), (250, 250, 0)).save("sun.png")
    still = Image.new("L", (WIDTH, HEIGHT))
    still.paste(255, (56, 0, 64, HEIGHT))
    still.save("still.png")
    words = ("--mask", "masks", "--mask", "still.png", "--steadiness", "0")
    result = run("in.mkv", "--", style, "sun.png", "-o", "out.mkv", *words)
    assert result.exit_code == 0, result.stderr
    assert painted_bars("in.mkv", "out.mkv") == [[index, 7] for index in range(7)] + [[7]]


def test_a_map_of_labels_may_move(run: Run, clip: Path) -> None:
    """A label that only later frames have is known, and so are the regions of the style."""
    Path("maps").mkdir()
    for index in range(COUNT):
        labels = Image.new("RGB", (WIDTH, HEIGHT), (0, 0, 255))
        labels.paste((255, 0, 0), (0, 0, 8 * index, HEIGHT))
        labels.save(f"maps/{index}.png")
    waves = Image.new("RGB", (32, 32), (0, 0, 255))
    waves.paste((255, 0, 0), (0, 0, 16, 32))
    waves.save("style_map.png")
    for name, words in (("maps", ["--regions", "maps"]), ("first", ["--regions", "maps/0.png"])):
        more = ("--style-regions", "style_map.png", "--steadiness", "0")
        result = run("in.mkv", "-o", f"{name}.mkv", *words, *more)
        assert result.exit_code == 0, result.stderr
    changed = painted_bars("first.mkv", "maps.mkv")
    assert changed[0] == []
    assert all(set(range(index)) <= set(bars) for index, bars in enumerate(changed))


@pytest.mark.parametrize(
    ("prepare", "mask", "message"),
    [
        (lambda: draw_masks("few", 5), "few", "few has 5 masks for about 8 frames of in.mkv"),
        (lambda: draw_masks("many", 20), "many", "many has 20 masks for about 8 frames of in.mkv"),
        (
            lambda: make("short.mkv", *moving_picture(10), "-c:v", "ffv1"),
            "short.mkv",
            "short.mkv ends at 0.40 s, long.mkv goes on to 1.20 s",
        ),
        (
            lambda: make("wide.mkv", *moving_picture(COUNT, "64x32"), "-c:v", "ffv1"),
            "wide.mkv",
            "wide.mkv is 64x32, not of the shape of in.mkv, 64x48",
        ),
        (lambda: Path("text.mkv").write_text("no video"), "text.mkv", "text.mkv: is not a readable video"),
        (lambda: None, "absent", "absent: no such file"),
    ],
)
def test_masks_that_do_not_fit(
    run: Run, clip: Path, prepare: Callable[[], object], mask: str, message: str
) -> None:
    prepare()
    content = "in.mkv"
    if mask == "short.mkv":
        content = str(make("long.mkv", *moving_picture(30), "-c:v", "ffv1"))
    before = set(Path().iterdir())
    result = run(content, "-o", "out.mkv", "--mask", mask)
    assert result.exit_code in {1, 2}
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert set(Path().iterdir()) == before


def test_a_mask_that_cannot_be_read_is_named(run: Run, clip: Path) -> None:
    draw_masks("masks")[3].write_bytes(b"\x89PNG\r\n\x1a\n broken")
    result = run("in.mkv", "-o", "out.mkv", "--mask", "masks")
    assert result.exit_code == 1
    assert "masks has no mask for frame 4; export mask3.png again" in result.stderr
    assert not Path("out.mkv").exists()


def test_a_stopped_run_goes_on_with_its_masks(run: Run, model: str, style: str) -> None:
    make("in.mkv", *moving_picture(36, rate=1), "-c:v", "ffv1", "-pix_fmt", "bgr0")
    draw_masks("masks", 36)
    words = ("--mask", "masks")
    command = [sys.executable, "-m", "styletransfer", "video", "in.mkv", style, "-m", model, "--threads", "1"]
    with subprocess.Popen([*command, "-o", "out.mkv", *words, "-q"]) as process:
        while not list(Path().glob(".styletransfer-*.parts/000000.json")) and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert not Path("out.mkv").exists()
    result = run("in.mkv", "-o", "out.mkv", *words)
    assert "frames are there from a run that was stopped" in result.stderr
    assert run("in.mkv", "-o", "whole.mkv", *words).exit_code == 0
    assert pixels("out.mkv") == pixels("whole.mkv")
