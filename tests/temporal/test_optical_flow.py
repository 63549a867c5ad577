"""Motion between two frames, and what is said without OpenCV."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from styletransfer.media import Picture
from styletransfer.temporal.optical_flow import Motion, MotionEstimator

from .conftest import Camera

SIZE = (72, 96)


def find_motion(current: Picture, previous: Picture) -> Motion:
    estimator = MotionEstimator()
    return estimator.estimate(
        estimator.reduce(current), estimator.reduce(previous), current.height, current.width
    )


def test_a_shift_is_found() -> None:
    camera = Camera("china")
    motion = find_motion(camera.look(3, 1, SIZE), camera.look(size=SIZE))
    inside = motion.flow[12:-12, 12:-12]
    assert np.abs(np.median(inside, (0, 1)) - [3, 1]).max() < 0.2
    assert np.median(motion.trust) > 0.9


def test_equal_frames_do_not_move() -> None:
    frame = Camera("china").look(size=SIZE)
    motion = find_motion(frame, frame)
    assert not motion.flow.any()
    assert (motion.trust == 1).all()


def test_a_still_scene_with_noise_does_not_move() -> None:
    camera = Camera("china", 0.02)
    motion = find_motion(camera.look(size=SIZE), camera.look(size=SIZE))
    assert np.mean(np.abs(motion.flow).max(2) == 0) > 0.9


def test_other_content_is_not_trusted() -> None:
    motion = find_motion(Camera("china").look(size=SIZE), Camera("chelsea").look(size=SIZE))
    assert motion.trust.mean() < 0.4


def test_what_appears_is_not_trusted() -> None:
    frame = Camera("china").look(size=SIZE)
    pixels = frame.pixels.clone()
    pixels[:, 20:50, 30:60] = torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None]
    trust = find_motion(Picture(pixels), frame).trust
    assert trust[25:45, 35:55].max() < 0.1
    assert trust[:10, :15].min() > 0.9


def test_what_comes_in_over_the_edge_is_not_trusted() -> None:
    """Not even where it has the color of the edge, which would be drawn out to streaks."""
    camera = Camera("china")
    pixels = [camera.look(x, size=SIZE).pixels for x in (8, 0)]
    for each in pixels:
        each[:, 50:] = 90  # a ground without any texture
    trust = find_motion(*(Picture(each) for each in pixels)).trust
    assert trust[10:40, -6:].max() == 0
    assert trust[10:40, 20:-12].mean() > 0.8


def test_opacity_counts() -> None:
    pixels = torch.full((3, *SIZE), 100, dtype=torch.uint8)
    shown, hidden = (torch.full((1, *SIZE), value, dtype=torch.uint8) for value in (255, 0))
    assert find_motion(Picture(pixels, shown), Picture(pixels, hidden)).trust.max() < 0.01


def test_a_large_frame_is_searched_in_a_small_copy() -> None:
    camera = Camera("china")
    large = [camera.look(x, size=(400, 460)) for x in (4, 0)]
    motion = find_motion(*large)
    assert motion.flow.shape == (400, 460, 2)
    assert abs(np.median(motion.flow[100:300, 100:300, 0]) - 4) < 0.3


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (11, 11), (12, 12)])
def test_tiny_frames(size: tuple[int, int]) -> None:
    frame = Camera("china").look(size=size)
    assert find_motion(frame, frame).flow.shape == (*size, 2)


def test_without_opencv_the_extra_is_named() -> None:
    program = (
        "import sys; sys.modules['cv2'] = None\n"
        "from styletransfer.errors import OptionError\n"
        "from styletransfer.temporal.optical_flow import MotionEstimator\n"
        "try: MotionEstimator()\n"
        "except OptionError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert 'pip install "styletransfer[video]"' in said
