"""Frames of videos: steady, resumable to the bit, and each by itself where that is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch

from styletransfer import Stylizer
from styletransfer.errors import OptionError
from styletransfer.media import Picture
from styletransfer.options import StyleSchedule, StylizeOptions
from styletransfer.region_maps import RegionMaps
from styletransfer.temporal import Frame

from .conftest import HEIGHT, WIDTH, Camera

FPS = 25.0
# Large enough for moments that several frames share.
WINDOW_SIZE = (160, 208)


def as_frames(pictures: list[Picture]) -> list[Frame]:
    return [Frame(picture, index / FPS, index) for index, picture in enumerate(pictures)]


def are_equal(first: Picture, second: Picture) -> bool:
    return torch.equal(first.pixels.int(), second.pixels.int())


def run(stylizer: Stylizer, clip: list[Picture], style: Any, **arguments: Any) -> list[Picture]:
    options = StylizeOptions(**arguments.pop("options", {}))
    made = stylizer.frame_stylizer(style, options, **arguments).stylize(as_frames(clip))
    return [frame.picture for frame in made]


def pan(count: int, name: str = "china", noise: float = 0.0) -> list[Picture]:
    camera = Camera(name, noise)
    return [camera.look(0.5 * t) for t in range(count)]


def step(frames: list[Picture]) -> float:
    """Return the root mean square difference of consecutive frames."""
    floats = torch.cat([frame.to_float() for frame in frames])
    return float((floats[1:] - floats[:-1]).square().mean().sqrt())


OPTION_SETS: list[dict[str, Any]] = [
    {},
    {"alpha": 0.6},
    {"match": 0},
    {"match": None},
    {"passes": 2},
    {"preserve_color": "luma"},
    {"preserve_color": "palette"},
    {"color_only": True},
    {"stroke_scale": 2},
    {"size": 40},
]


@pytest.mark.parametrize("options", OPTION_SETS, ids=str)
def test_without_steadiness_each_frame_is_a_still(
    stylizer: Stylizer, styles: list[Picture], options: dict[str, Any]
) -> None:
    clip = pan(3)
    frames = run(stylizer, clip, styles[0], steadiness=0.0, options=options)
    for content, frame in zip(clip, frames, strict=True):
        still = stylizer.stylize_picture(content, styles[0], StylizeOptions(**options)).picture
        assert are_equal(frame, still)


@pytest.mark.parametrize("options", OPTION_SETS, ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_a_still_content_gives_a_still_picture(
    stylizer: Stylizer, styles: list[Picture], options: dict[str, Any], causal: bool
) -> None:
    frames = run(stylizer, [Camera("china").look()] * 7, styles[0], causal=causal, options=options)
    assert all(are_equal(frame, frames[0]) for frame in frames)


def test_shared_moments_of_a_still_content_are_its_own(stylizer: Stylizer, styles: list[Picture]) -> None:
    content = Camera("china").look(size=WINDOW_SIZE)
    frames = run(stylizer, [content] * 7, styles[0])
    assert all(are_equal(frame, frames[0]) for frame in frames)
    still = stylizer.stylize_picture(content, styles[0], StylizeOptions()).picture
    assert (frames[0].pixels.int() - still.pixels.int()).abs().max() <= 1


@pytest.mark.parametrize(("size", "options"), [((HEIGHT, WIDTH), {}), (WINDOW_SIZE, {"match": 0})], ids=str)
def test_noise_flickers_less(
    stylizer: Stylizer, styles: list[Picture], size: tuple[int, int], options: dict[str, Any]
) -> None:
    camera = Camera("china", 0.01)
    clip = [camera.look(size=size) for _ in range(9)]
    alone, half, steady = (
        step(run(stylizer, clip, styles[0], steadiness=steadiness, options=options)[5:])
        for steadiness in (0.0, 0.5, 1.0)
    )
    assert steady < 0.4 * alone
    assert steady < half < alone


def test_motion_is_followed(stylizer: Stylizer, styles: list[Picture]) -> None:
    """A blend without motion would leave the picture behind the content."""
    clip = [Camera("china").look(1.5 * t, size=(96, 128)) for t in range(8)]
    alone, steady = (
        run(stylizer, clip, styles[0], steadiness=steadiness)[-1].to_float().mean(1)[0]
        for steadiness in (0.0, 1.0)
    )

    def agreement(shift: int) -> float:
        parts = alone[:, 16:-16], steady[:, 16 + shift : 112 + shift]
        return float(torch.corrcoef(torch.stack([part.flatten() for part in parts]))[0, 1])

    assert max(range(-8, 9), key=agreement) == 0
    assert agreement(0) > 0.85


def test_nothing_crosses_a_cut(stylizer: Stylizer, styles: list[Picture]) -> None:
    first, second = pan(7), pan(7, "chelsea")
    frames = run(stylizer, first + second, styles[0])
    # The windows of measured frames follow the time of the video.
    frames_of_second = [
        frame.picture
        for frame in stylizer.frame_stylizer(styles[0]).stylize(
            [frame for frame in as_frames(first + second) if frame.index >= 7]
        )
    ]
    assert all(are_equal(*pair) for pair in zip(frames, run(stylizer, first, styles[0]), strict=False))
    assert all(are_equal(*pair) for pair in zip(frames[7:], frames_of_second, strict=True))


def test_a_still_scene_begins_with_its_still_picture(stylizer: Stylizer, styles: list[Picture]) -> None:
    other = Camera("chelsea").look()
    frames = run(stylizer, [*pan(6), *[other] * 5], styles[0])
    still = stylizer.stylize_picture(other, styles[0], StylizeOptions()).picture
    assert (frames[6].pixels.int() - still.pixels.int()).abs().max() <= 1


def check_resuming(
    stylizer: Stylizer,
    style: Picture,
    clip: list[Frame],
    stops: list[int],
    causal: bool,
    options: dict[str, Any],
) -> None:
    """Stop behind some frames and compare the next three with those of the unbroken run."""
    wanted = StylizeOptions(**options)
    whole = stylizer.frame_stylizer(style, wanted, causal=causal)
    frames, states = [], []
    for frame in whole.stylize(clip):
        frames.append(frame)
        states.append({name: value.clone() for name, value in whole.state().items()})
    for done in stops:
        again = stylizer.frame_stylizer(style, wanted, causal=causal)
        missing = clip[done + 1]
        early = [each.index for each in clip if each.time <= missing.time - again.lookback]
        begin = max(0, min([*early[-1:], missing.index - again.lookback_frames])) if early else 0
        rest = again.stylize(clip[begin:], resume=states[done])
        for frame in frames[done + 1 : done + 4]:
            found = next(rest)
            assert found.index == frame.index
            assert are_equal(found.picture, frame.picture)
        assert all(torch.equal(value, states[done + 3][name]) for name, value in again.state().items())


@pytest.mark.parametrize("causal", [False, True])
def test_a_resumed_run_gives_the_same_frames(stylizer: Stylizer, styles: list[Picture], causal: bool) -> None:
    clip = as_frames([*pan(8, noise=0.01), *pan(34, "chelsea", 0.01)])
    check_resuming(stylizer, styles[0], clip, [0, 7, 36], causal, {"preserve_color": "palette", "match": 0})


def test_a_resumed_run_shares_the_same_moments(stylizer: Stylizer, styles: list[Picture]) -> None:
    camera = Camera("chelsea", 0.01)
    clip = [camera.look(0.5 * t, size=WINDOW_SIZE) for t in range(16)]
    # At 10 frames per second the windows have few frames.
    frames = [Frame(picture, index / 10, index) for index, picture in enumerate(clip)]
    check_resuming(stylizer, styles[0], frames, [11], False, {})


def test_any_number_of_workers_gives_the_same_frames(stylizer: Stylizer, styles: list[Picture]) -> None:
    clip = [*pan(8, noise=0.01), *pan(4, "chelsea")]
    one, three = (run(stylizer, clip, styles[0], workers=workers) for workers in (1, 3))
    assert all(are_equal(*pair) for pair in zip(one, three, strict=True))


def test_what_comes_in_leaves_the_rest_alone(stylizer: Stylizer, styles: list[Picture]) -> None:
    ground, other = (Camera(name).look(size=WINDOW_SIZE) for name in ("china", "astronaut"))
    clip = []
    for t in range(10):
        pixels, width = ground.pixels.clone(), min(100, max(0, 25 * (t - 3)))
        pixels[:, :, :width] = other.pixels[:, :, 108 - width : 108]
        clip.append(Picture(pixels))
    largest = []
    for steadiness in (0.0, 1.0):
        frames = run(stylizer, clip, styles[0], steadiness=steadiness, options={"match": 0})
        rest = [Picture(frame.pixels[:, :, 150:]) for frame in frames]
        largest.append(max(step(list(pair)) for pair in pairwise(rest)))
    assert largest[1] < 0.15 * largest[0]


def test_blends_change_over_time(stylizer: Stylizer, styles: list[Picture]) -> None:
    clip = [Camera("china").look()] * 20
    frames = run(stylizer, clip, styles, schedule=StyleSchedule.parse("0.1:1,0 0.36:0,1"))
    first, second = (run(stylizer, clip[:1], style)[0] for style in styles)
    assert (frames[2].pixels.int() - first.pixels.int()).abs().float().mean() < 2
    # The blend of frames follows the blend of styles some frames later.
    assert (frames[-1].pixels.int() - second.pixels.int()).abs().float().mean() < 12
    steps = [step(frames[t : t + 2]) for t in range(19)]
    assert max(steps) < 0.4 * step([first, second])


def test_masks_of_frames(stylizer: Stylizer, styles: list[Picture]) -> None:
    clip = pan(4)
    masks = []
    for t in range(4):
        mask = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8)
        mask[:, :, : 16 * t] = 255
        masks.append(Picture(mask))
    frames = [
        frame._replace(masks=RegionMaps((mask,))) for frame, mask in zip(as_frames(clip), masks, strict=True)
    ]
    made = stylizer.frame_stylizer(styles[0], maps=RegionMaps((masks[0],))).stylize(frames)
    for t, (content, frame) in enumerate(zip(clip, made, strict=True)):
        assert torch.equal(frame.picture.pixels[:, :, 16 * t :], content.pixels[:, :, 16 * t :])
        if t:
            assert not torch.equal(frame.picture.pixels[:, :, : 16 * t], content.pixels[:, :, : 16 * t])


def test_deep_frames_and_opacity_are_kept(stylizer: Stylizer, styles: list[Picture]) -> None:
    alpha = torch.randint(0, 65536, (1, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(0))
    clip = [Picture(frame.with_bit_depth(16).pixels, alpha.to(torch.uint16)) for frame in pan(3, noise=0.01)]
    frames = run(stylizer, clip, styles[0])
    assert all(frame.bit_depth == 16 for frame in frames)
    assert all(torch.equal(frame.alpha.int(), alpha.int()) for frame in frames if frame.alpha is not None)
    shallow = run(stylizer, clip, styles[0], bit_depth=8)
    assert all(frame.bit_depth == 8 and frame.alpha is not None for frame in shallow)
    assert all(
        (frame.with_bit_depth(8).pixels.int() - other.pixels.int()).abs().max() <= 1
        for frame, other in zip(frames, shallow, strict=True)
    )


def test_frames_that_change_their_size_begin_a_scene(stylizer: Stylizer, styles: list[Picture]) -> None:
    clip = [*pan(2), *(Camera("china").look(size=(50, 40)) for _ in range(2))]
    assert [frame.width for frame in run(stylizer, clip, styles[0])] == [WIDTH, WIDTH, 40, 40]


@pytest.mark.parametrize(("causal", "most"), [(False, 22), (True, 1)])
def test_few_frames_are_read_ahead(
    stylizer: Stylizer, styles: list[Picture], causal: bool, most: int
) -> None:
    read = 0

    def count() -> Iterator[Frame]:
        nonlocal read
        for frame in as_frames([Camera("china").look(size=(16, 16))] * 30):
            read += 1
            yield frame

    made = stylizer.frame_stylizer(styles[0], StylizeOptions(match=0), causal=causal)
    for told, _ in enumerate(made.stylize(count()), 1):
        assert read - told < most
    assert told == 30


def test_stylize_frames_returns_what_came_in(stylizer: Stylizer, styles: list[Picture]) -> None:
    picture = Camera("china").look()
    sources: list[Any] = [picture, picture.to_float(), Frame(picture, 0.08, 2)]
    found = list(stylizer.stylize_frames(sources, styles[0], fps=25, match=0))
    assert isinstance(found[0], Picture)
    assert isinstance(found[1], torch.Tensor)
    assert isinstance(found[2], Frame)
    assert found[1].shape == (1, 3, HEIGHT, WIDTH)


def test_no_frames(stylizer: Stylizer, styles: list[Picture]) -> None:
    assert list(stylizer.stylize_frames([], styles[0])) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steadiness": 1.5}, "steadiness"),
        ({"steadiness": float("nan")}, "steadiness"),
        ({"fps": 0}, "fps"),
        ({"workers": 0}, "workers"),
        ({"refine": 3}, "refine"),
        ({"schedule": StyleSchedule.parse("0:1,0")}, "2 style weights for 1 styles"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_bad_arguments_are_refused_before_the_first_frame(
    stylizer: Stylizer, styles: list[Picture], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        stylizer.stylize_frames(iter([]), styles[0], **arguments)


def test_stylize_frames_takes_masks_beside_frames(stylizer: Stylizer, styles: list[Picture]) -> None:
    clip = pan(4)
    masks = [torch.zeros(HEIGHT, WIDTH, dtype=torch.bool) for _ in clip]
    for t, mask in enumerate(masks):
        mask[:, : 16 * t] = True
    made = list(stylizer.stylize_frames(clip, styles[0], masks=iter(masks)))
    for content, frame, mask in zip(clip, made, masks, strict=True):
        assert isinstance(frame, Picture)
        assert torch.equal(frame.pixels[:, ~mask], content.pixels[:, ~mask])
    assert isinstance(made[3], Picture)
    assert not torch.equal(made[3].pixels[:, masks[3]], clip[3].pixels[:, masks[3]])
    with pytest.raises(OptionError, match="frame 4 has no mask"):
        list(stylizer.stylize_frames(clip, styles[0], masks=masks[:3]))
    with pytest.raises(OptionError, match="more masks than frames"):
        list(stylizer.stylize_frames(clip[:2], styles[0], masks=masks))
    with pytest.raises(OptionError, match="2 masks for 1 styles"):
        list(stylizer.stylize_frames(clip, styles[0], masks=[masks[:2]] * 4))
    with pytest.raises(OptionError, match="exclude"):
        stylizer.stylize_frames(clip, styles[0], mask=masks[0], masks=masks)
