"""Cuts are found; fast motion, flashes, noise and dissolves are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import torch

from styletransfer.media import Picture
from styletransfer.temporal.scene_cuts import Sketch, find_cuts

from .conftest import Camera

SIZE = (72, 96)


class Item(NamedTuple):
    sketch: Sketch


def list_cuts(frames: list[Picture], *, causal: bool = False) -> list[int]:
    told = list(find_cuts((Item(Sketch.of(frame)) for frame in frames), causal=causal))
    assert len(told) == len(frames)
    return [index for index, (_, cut) in enumerate(told) if cut]


def brighten(picture: Picture, share: float) -> Picture:
    return Picture.from_float(picture.to_float().lerp(torch.ones(1), share))


def dissolve(first: Picture, second: Picture, share: float) -> Picture:
    return Picture.from_float(first.to_float().lerp(second.to_float(), share))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pair", [("china", "chelsea"), ("astronaut", "coffee"), ("rocket", "china")])
def test_cuts_are_found(pair: tuple[str, str], causal: bool) -> None:
    first, second = (Camera(name, 0.02) for name in pair)
    frames = [(first if t < 6 else second if t < 10 else first).look(0.4 * t, size=SIZE) for t in range(16)]
    assert list_cuts(frames, causal=causal) == [0, 6, 10]


def test_cuts_are_found_in_moving_pictures() -> None:
    first, second = Camera("china"), Camera("chelsea")
    frames = [(first if t < 6 else second).look(2 * t, size=SIZE) for t in range(12)]
    assert list_cuts(frames) == [0, 6]


camera, other = Camera("china", 0.02), Camera("chelsea", 0.02)
WITHOUT_CUTS: dict[str, Callable[[int], Picture]] = {
    "noise": lambda t: camera.look(size=SIZE),
    "pan": lambda t: camera.look(1.5 * t - 10, size=SIZE),
    "fast pan": lambda t: camera.look(8 * t - 50, size=SIZE),
    "sudden pan": lambda t: camera.look(9 * max(0, t - 5), size=SIZE),
    "flash": lambda t: brighten(camera.look(0.3 * t, size=SIZE), 0.8 if t == 6 else 0),
    "flash of two frames": lambda t: brighten(camera.look(0.3 * t, size=SIZE), 0.8 if t in {6, 7} else 0),
    "dissolve": lambda t: dissolve(
        camera.look(size=SIZE), other.look(size=SIZE), min(1, max(0, (t - 2) / 8))
    ),
}


@pytest.mark.parametrize("kind", WITHOUT_CUTS)
def test_nothing_else_is_a_cut(kind: str) -> None:
    assert list_cuts([WITHOUT_CUTS[kind](t) for t in range(14)]) == [0]


def test_a_causal_search_does_not_read_ahead() -> None:
    read = 0

    def count() -> Iterator[Item]:
        nonlocal read
        for _ in range(5):
            read += 1
            yield Item(Sketch.of(camera.look(size=SIZE)))

    for told, _ in enumerate(find_cuts(count(), causal=True), 1):
        assert read == told


def test_deep_pictures_have_the_same_sketch() -> None:
    frame = camera.look(size=SIZE)
    assert Sketch.of(frame).difference(Sketch.of(frame.with_bit_depth(16))) == 0
