"""Stylize the frames of a video: shared moments within a scene, and a blend along its motion."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Protocol

import torch
from torch import Tensor

from ..errors import OptionError
from ..linalg import Statistics
from ..media import resize_picture
from ..options import StyleSchedule, StylizeOptions
from ..options.checks import check_integer, check_range
from ..region_maps import RegionMaps
from ..style_measurer import StyleSource
from ..tensor_stylizer import TensorStylizer
from .frame import Frame
from .moment_window import CELL, SHARED, begins_cell, window_middle, window_reach, window_weight
from .optical_flow import ContentCopy, Motion, MotionEstimator
from .recursive_blend import RecursiveBlend
from .renderers import ColorRenderer, FrameRenderer, FrameSettings, NetworkRenderer, Rendering, StillRenderer
from .scene_cuts import FLASH_FRAMES, Sketch, find_cuts


class _Result(Protocol):
    """A result that may still be computed."""

    def result(self) -> Any:
        """Return it, or raise its error."""


# Calls a function, now or on a worker thread.
Submit = Callable[..., _Result]


@dataclass(frozen=True, eq=False)
class _Scene:
    """A scene: the index of its first frame, what renders it, and the colors its styles were given."""

    start: int
    renderer: FrameRenderer[Any]
    palette: Statistics | None


@dataclass(eq=False)
class _Entry:
    """A frame on its way: with its scene, and with its moments if it is one that is measured."""

    frame: Frame
    sketch: Sketch
    copy: ContentCopy | None
    previous: ContentCopy | None = None  # of the frame before it in the same scene
    scene: _Scene | None = None
    measured: bool = False
    moments: _Result | None = None


class FrameStylizer:
    """Stylizes the frames of one video; `Stylizer.frame_stylizer` builds it and describes the arguments.

    Attributes:
        lookback: Seconds before the first missing frame from which on a resumed run needs the frames.
        lookback_frames: Number of frames that it needs before the first missing one, at least.

    Raises:
        OptionError: The options do not fit together, do not fit videos, or OpenCV is missing.
    """

    def __init__(
        self,
        samples: TensorStylizer,
        styles: Sequence[StyleSource],
        options: StylizeOptions,
        *,
        steadiness: float,
        causal: bool,
        schedule: StyleSchedule | None,
        maps: RegionMaps | None,
        bit_depth: int | None,
        workers: int,
    ) -> None:
        check_range("steadiness", steadiness, 0, 1)
        check_integer("workers", workers, 1, 1000)
        if options.refine:
            raise OptionError("refine is for single pictures, not for videos", hint="leave out --refine")
        if schedule is not None:
            options = replace(options, style_weights=schedule.weights[0])
        if options.style_weights is not None and len(options.style_weights) != len(styles):
            raise OptionError(
                f"{len(options.style_weights)} style weights for {len(styles)} styles",
                hint="give one per style",
            )
        if maps is not None:
            maps.check_styles(len(styles), options)
        self._settings = FrameSettings(samples, styles, options, maps, schedule, bit_depth)
        self._steady, self._causal, self._workers = steadiness > 0, causal, workers
        self._blend = None
        if self._steady and not options.color_only:
            self._blend = RecursiveBlend(MotionEstimator(), steadiness)
        self.lookback = window_reach(causal=causal)[0] + SHARED + 2 * CELL
        self.lookback_frames = FLASH_FRAMES + 2
        self._last: _Entry | None = None
        self._resolved: FrameSettings | None = None
        self._renderer: FrameRenderer[Any] | None = None

    def stylize(
        self, frames: Iterable[Frame], *, resume: Mapping[str, Tensor] | None = None
    ) -> Iterator[Frame]:
        """Stylize frames.

        Args:
            frames: The frames in their order, with rising times. They are read up to some 0.5 s ahead, unless
                the run is causal. With `resume` they begin at least `lookback` seconds and `lookback_frames`
                frames before the first missing one, or at the start of the video.
            resume: The `state` of a run that was interrupted, made with the same arguments; None for a new
                run.

        Yields:
            The stylized frames, in the same order. After `resume` these are those behind the last one that
            was yielded, equal to the bit to those of a run that was not interrupted.
        """
        done = -1 if resume is None else int(resume["index"])
        if resume is not None and self._blend is not None:
            self._blend.last = resume["last"]
        with ExitStack() as stack:
            submit: Submit = _call
            if self._workers > 1:
                pool = ThreadPoolExecutor(self._workers)
                stack.callback(pool.shutdown, cancel_futures=True)
                submit = pool.submit
            begun: deque[tuple[_Entry, _Result]] = deque()
            for entry, near in self._find_windows(self._find_scenes(frames, resume)):
                if entry.frame.index <= done:
                    continue
                for each in near:
                    if each.moments is None:
                        each.moments = submit(_renderer_of(each).measure, each.frame)
                begun.append((entry, submit(self._render, entry, near)))
                if len(begun) >= self._workers:
                    yield self._finish(*begun.popleft())
            while begun:
                yield self._finish(*begun.popleft())

    def state(self) -> dict[str, Tensor]:
        """Return what a run that goes on behind the frame yielded last needs to know.

        Raises:
            ValueError: No frame was yielded yet.
        """
        if self._last is None or self._last.scene is None:
            raise ValueError("no frame was stylized yet")
        scene = self._last.scene
        state = {"index": torch.tensor(self._last.frame.index), "scene": torch.tensor(scene.start)}
        if self._blend is not None and self._blend.last is not None:
            state["last"] = self._blend.last.contiguous()
        if scene.palette is not None:
            state |= {f"palette.{name}": value for name, value in scene.palette._asdict().items()}
        return state

    def _read(self, frames: Iterable[Frame]) -> Iterator[_Entry]:
        """Bring frames to their final size."""
        size = self._settings.options.size
        for frame in frames:
            if frame.masks is not None:
                frame.masks.check_styles(len(self._settings.styles), self._settings.options)
            if self._resolved is None:
                settings = self._settings
                options = settings.options
                if not options.color_only:
                    options = settings.samples.resolve_options(options, frame.picture, settings.styles)
                self._resolved = replace(settings, options=replace(options, size=None))
            picture = frame.picture if size is None else resize_picture(frame.picture, size)
            copy = (
                None
                if self._blend is None
                else self._blend.estimator.reduce(picture.with_hidden_colors_filled())
            )
            yield _Entry(frame._replace(picture=picture), Sketch.of(picture), copy)

    def _find_scenes(self, frames: Iterable[Frame], resume: Mapping[str, Tensor] | None) -> Iterator[_Entry]:
        """Divide frames into scenes, and choose those that are measured."""
        done, start = (-1, -1) if resume is None else (int(resume["index"]), int(resume["scene"]))
        scene: _Scene | None = None
        before: _Entry | None = None
        for entry, cut in find_cuts(self._read(frames), causal=self._causal):
            index = entry.frame.index
            if index <= done:
                cut = index == start
            elif before is not None and not _are_alike(before, entry):
                cut = True
            if cut:
                scene = self._begin_scene(entry, index)
            elif scene is None:
                assert resume is not None
                scene = self._begin_scene(entry, start, resume)
            entry.scene = scene
            entry.measured = cut or (before is not None and begins_cell(entry.frame.time, before.frame.time))
            if before is not None and not cut:
                entry.previous = before.copy
            before = entry
            yield entry

    def _find_windows(self, entries: Iterable[_Entry]) -> Iterator[tuple[_Entry, list[_Entry]]]:
        """Find for every frame the measured ones in its window, as soon as all of them are read."""
        behind, ahead = window_reach(causal=self._causal)
        waiting: deque[_Entry] = deque()
        measured: list[_Entry] = []
        for entry in chain(entries, [None]):
            if entry is not None and self._causal:
                waiting.append(entry)
                measured += [entry] if entry.measured else []
            while waiting and (
                entry is None
                or self._causal
                or entry.scene is not waiting[0].scene
                or entry.frame.time - self._middle(waiting[0]) >= ahead
            ):
                first = waiting.popleft()
                times = self._middle(first) - behind, self._middle(first) + ahead
                measured = [each for each in measured if each.frame.time > times[0]]
                yield (
                    first,
                    [
                        each
                        for each in measured
                        if each.scene is first.scene and (self._causal or each.frame.time < times[1])
                    ],
                )
            if entry is not None and not self._causal:
                waiting.append(entry)
                measured += [entry] if entry.measured else []

    def _middle(self, entry: _Entry) -> float:
        return window_middle(entry.frame.time, causal=self._causal)

    def _begin_scene(self, entry: _Entry, start: int, resume: Mapping[str, Tensor] | None = None) -> _Scene:
        """Return a new scene; with the colors of its first frame, if its styles get those."""
        settings = self._resolved
        assert settings is not None
        options = settings.options
        if not self._steady:
            return _Scene(start, StillRenderer(settings), None)
        if options.preserve_color == "palette":
            grader, picture = settings.samples.grader, entry.frame.picture
            if resume is None:
                palette = grader.measure_palette(picture.with_hidden_colors_filled().pixels, picture.alpha)
            else:
                palette = Statistics(*(resume[f"palette.{name}"] for name in Statistics._fields))
            styles = grader.recolor_styles(settings.styles, palette, options)
            return _Scene(start, NetworkRenderer(replace(settings, styles=styles)), palette)
        if self._renderer is None:
            self._renderer = (ColorRenderer if options.color_only else NetworkRenderer)(settings)
        return _Scene(start, self._renderer, None)

    def _render(self, entry: _Entry, near: Sequence[_Entry]) -> tuple[Rendering, Motion | None]:
        """Stylize a frame and find its motion."""
        middle = self._middle(entry)
        weights = [window_weight(each.frame.time - middle, causal=self._causal) for each in near]
        moments = [each.moments.result() for each in near if each.moments is not None]
        rendering = _renderer_of(entry).render(entry.frame, moments, weights)
        motion = None
        if self._blend is not None and entry.copy is not None and entry.previous is not None:
            picture = rendering.picture
            motion = self._blend.estimator.estimate(entry.copy, entry.previous, picture.height, picture.width)
        return rendering, motion

    def _finish(self, entry: _Entry, result: _Result) -> Frame:
        """Blend a frame with the one before it."""
        rendering, motion = result.result()
        picture = rendering.picture
        if self._blend is not None:
            picture = self._blend.add(picture, motion, rendering.painted)
        self._last = entry
        return entry.frame._replace(picture=picture)


def _renderer_of(entry: _Entry) -> FrameRenderer[Any]:
    assert entry.scene is not None
    return entry.scene.renderer


def _are_alike(first: _Entry, second: _Entry) -> bool:
    """Tell whether two frames have the same size and both or neither an alpha channel."""
    one, other = first.frame.picture, second.frame.picture
    sizes = (one.width, one.height) == (other.width, other.height)
    return sizes and (one.alpha is None) == (other.alpha is None)


def _call(function: Callable[..., Any], *arguments: Any) -> _Result:
    """Call a function in this thread."""
    done: Future[Any] = Future()
    done.set_result(function(*arguments))
    return done
