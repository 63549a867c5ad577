"""Measure how steady stylized frames are, method by method.

    python -m benchmarks.video_flicker [--styles mosaic knife] [--frames 17] [--clips pan] [--save FOLDER]

The clips are made of the example contents: pans, zooms, shifts by parts of a pixel, a still scene with the
noise of a sensor, something large that comes in, and a cut. E(k) is the root mean square of y(t) minus
y(t - k) moved along the flow of the clip, where that is seen, with pixels in 0..1. Every row shows E1, E8,
the sharpness (mean absolute Laplacian) and the distance from the style (style_patch). The last table has them
divided by those of frame by frame, averaged over clips and styles.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from styletransfer.api import Stylizer
from styletransfer.evaluation import PairScorer
from styletransfer.media import Picture, read_picture, resize_picture, write_picture
from styletransfer.model.vgg import VGG19, load_vgg19
from styletransfer.options import StylizeOptions
from styletransfer.picture_conversion import to_picture
from styletransfer.temporal import Frame
from styletransfer.temporal.moment_window import window_weight
from styletransfer.temporal.optical_flow import Motion, MotionEstimator
from styletransfer.temporal.recursive_blend import RecursiveBlend
from styletransfer.temporal.renderers import FrameSettings, NetworkRenderer

cv2: Any = import_module("cv2")
Array: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
EXAMPLES = Path(__file__).parents[1] / "examples"
HEIGHT, WIDTH, FPS = 192, 256, 25.0
NOISE = 0.004  # standard deviation that every camera has
RANGES = (1, 8)


class View(NamedTuple):
    """Where a camera looks: offsets in pixels, and zoom."""

    x: float = 0.0
    y: float = 0.0
    zoom: float = 1.0


def look(picture: Tensor, view: View) -> Tensor:
    """Return what a camera sees of a picture [1, 3, H, W], [3, HEIGHT, WIDTH]."""
    height, width = picture.shape[2:]
    y = (torch.arange(HEIGHT) - (HEIGHT - 1) / 2) / view.zoom + view.y
    x = (torch.arange(WIDTH) - (WIDTH - 1) / 2) / view.zoom + view.x
    shape = HEIGHT, WIDTH
    grid = torch.stack([(x[None] * 2 / width).expand(shape), (y[:, None] * 2 / height).expand(shape)], 2)
    return F.grid_sample(picture, grid[None], "bicubic", "reflection", align_corners=False)[0]


def open_content(name: str, edge: int = 400) -> Tensor:
    return resize_picture(read_picture(EXAMPLES / "content" / f"{name}.jpg"), edge).to_float()


def make_clip(kind: str, count: int) -> list[Picture]:
    """Make the frames of a clip."""
    random = np.random.default_rng(0)
    noise = NOISE
    frames = []
    shake = np.cumsum(random.normal(0, 0.7, (count, 2)), 0)
    for t in range(count):
        match kind:
            case "pan":
                frame = look(open_content("astronaut"), View(1.7 * t - 20, 0.4 * t))
            case "zoom":
                frame = look(open_content("china"), View(5, 3, 1 + 0.01 * t))
            case "shift":
                frame = look(open_content("chelsea"), View(0.25 * t, 0.1 * t))
            case "noise":
                frame, noise = look(open_content("coffee"), View()), 0.012
            case "shake":
                frame = look(open_content("rocket"), View(*shake[t]))
            case "enters":
                frame = look(open_content("coffee"), View())
                right = int(np.clip((t - 4) * 14, 0, 150))
                if right:
                    frame[:, :, :right] = look(open_content("astronaut"), View(-60))[:, :, 150 - right : 150]
            case "cut":
                name, shift = ("china", 1.0 * t) if t < count // 2 else ("chelsea", -0.6 * t)
                frame = look(open_content(name), View(shift, 2))
            case _:
                raise ValueError(kind)
        frame = frame + torch.from_numpy(random.normal(0, noise, frame.shape)).float()
        frames.append(Picture.from_float(frame[None]))
    return frames


CLIPS = ("pan", "zoom", "shift", "noise", "shake", "enters", "cut")


def to_rows(picture: Picture) -> Array:
    """Return [H, W, 3], float32 in 0..1."""
    rows: Array = np.ascontiguousarray(picture.to_float()[0].permute(1, 2, 0).numpy())
    return rows


class FlowError:
    """The error along the flow of a clip, k frames apart.

    Pixels count where the flow forth and back agree, away from borders of motion, inside the frame.
    Source: Ruder et al. 2016 (arXiv 1604.08610), equations 5 and 6.
    """

    def __init__(self, clip: Sequence[Picture], step: int) -> None:
        self.step = step
        search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        grays = [cv2.cvtColor((to_rows(each) * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY) for each in clip]
        self.pairs = []
        for first, second in zip(grays, grays[step:], strict=False):
            back, forth = search.calc(second, first, None), search.calc(first, second, None)
            self.pairs.append((back, self._find_counted(back, forth)))

    @staticmethod
    def fetch(values: Array, flow: Array) -> Array:
        y, x = np.indices(flow.shape[:2], np.float32)
        border = cv2.BORDER_REPLICATE
        found: Array = cv2.remap(
            values, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=border
        )
        return found

    def _find_counted(self, back: Array, forth: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
        returned = self.fetch(forth, back)
        squares = np.square(back).sum(2)
        lengths = squares + np.square(returned).sum(2)
        counted = np.square(back + returned).sum(2) <= 0.01 * lengths + 0.5
        slopes = sum(np.square(np.gradient(back, axis=axis)).sum(2) for axis in (0, 1))
        counted &= slopes <= 0.01 * squares + 0.01
        y, x = np.indices(back.shape[:2])
        to_x, to_y = x + back[..., 0], y + back[..., 1]
        inside: np.ndarray[Any, np.dtype[np.bool_]] = (
            counted & (to_x >= 0) & (to_y >= 0) & (to_x <= x.max()) & (to_y <= y.max())
        )
        return inside

    def measure(self, frames: Sequence[Picture]) -> float:
        """Return the root mean square error of stylized frames."""
        total, count = 0.0, 0
        for (back, counted), first, second in zip(self.pairs, frames, frames[self.step :], strict=False):
            error = (to_rows(second) - self.fetch(to_rows(first), back))[counted]
            total, count = total + float(np.square(error, dtype=np.float64).sum()), count + error.size
        return float((total / max(1, count)) ** 0.5)


def measure_sharpness(frames: Sequence[Picture]) -> float:
    """Return the mean absolute Laplacian."""
    return fmean(float(np.abs(cv2.Laplacian(to_rows(each), cv2.CV_32F)).mean()) for each in frames)


class Bench:
    """Everything that the methods share for one clip and one style."""

    def __init__(self, stylizer: Stylizer, clip: Sequence[Picture], style: Picture, match: float) -> None:
        self.stylizer, self.clip, self.style = stylizer, clip, style
        self.options = StylizeOptions(match=match)
        resolved = stylizer.resolve_options(self.options, clip[0], style)
        self.frames = [Frame(each, t / FPS, t) for t, each in enumerate(clip)]
        self.renderer = NetworkRenderer(FrameSettings(stylizer._samples, [style], resolved))
        self._moments: dict[int, Any] = {}

    def moments(self, index: int) -> Any:
        if index not in self._moments:
            self._moments[index] = self.renderer.measure(self.frames[index])
        return self._moments[index]

    def run(self, **arguments: Any) -> list[Picture]:
        """Stylize the clip as the program does."""
        results = self.stylizer.stylize_frames(self.clip, self.style, self.options, fps=FPS, **arguments)
        return [to_picture(each) for each in results]  # type: ignore[arg-type]

    def render(self, weigh: Callable[[int, int], float]) -> list[Picture]:
        """Stylize every frame with moments of every fifth frame; `weigh` takes the frame and the other."""
        results = []
        for frame in self.frames:
            weights = {index: weigh(frame.index, index) for index in range(0, len(self.frames), 5)}
            near = [index for index, weight in weights.items() if weight > 0]
            moments = [self.moments(index) for index in near]
            results.append(self.renderer.render(frame, moments, [weights[index] for index in near]).picture)
        return results

    @cached_property
    def windowed(self) -> list[Picture]:
        """The frames with the moments of their windows, before they are blended."""
        return self.render(within_window)

    def blend(self, steadiness: float, *, flow: bool = True, may_be_still: bool = True) -> list[Picture]:
        """Blend frames with the ones before, along the flow or without any."""
        estimator = MotionEstimator()
        blend = RecursiveBlend(estimator, steadiness)
        copies = [estimator.reduce(each) for each in self.clip]
        results = [blend.add(self.windowed[0], None)]
        for frame, copy, before in zip(self.windowed[1:], copies[1:], copies, strict=False):
            motion = estimator.estimate(copy, before, HEIGHT, WIDTH, may_be_still=may_be_still)
            if not flow:
                motion = Motion(np.zeros_like(motion.flow), np.ones_like(motion.trust))
            results.append(blend.add(frame, motion))
        return results


def within_window(frame: int, other: int) -> float:
    distance = (other - frame) / FPS
    return window_weight(distance, causal=False) if abs(distance) < 0.5 else 0.0


METHODS: dict[str, Callable[[Bench], list[Picture]]] = {
    "frame by frame": lambda bench: bench.run(steadiness=0.0),
    "moments of the first frame": lambda bench: bench.render(lambda frame, other: float(other == 0)),
    "moments of the whole clip": lambda bench: bench.render(lambda frame, other: 1.0),
    "moments of a window": lambda bench: bench.windowed,
    "window, recursion without flow": lambda bench: bench.blend(1.0, flow=False),
    "window, recursion along the flow": lambda bench: bench.blend(1.0, may_be_still=False),
    "steadiness 0.5": lambda bench: bench.run(steadiness=0.5),
    "steadiness 1 (default)": lambda bench: bench.run(steadiness=1.0),
    "steadiness 1, causal": lambda bench: bench.run(steadiness=1.0, causal=True),
}


def score(bench: Bench, frames: list[Picture], errors: Sequence[FlowError], network: VGG19) -> list[float]:
    """Return E1, E8, the sharpness and the distance from the style, of every eighth frame."""
    style = bench.style.to_float()
    patch = fmean(
        PairScorer(network, content.to_float(), style).score(result.to_float()).style_patch
        for content, result in list(zip(bench.clip, frames, strict=True))[::8]
    )
    return [*(error.measure(frames) for error in errors), measure_sharpness(frames), patch]


def run(arguments: argparse.Namespace) -> Iterator[tuple[str, str, str, list[float]]]:
    """Yield clip, style, method and its scores."""
    stylizer, network = Stylizer(), load_vgg19()
    styles = {
        name: resize_picture(read_picture(EXAMPLES / "style" / f"{name}.jpg"), 384)
        for name in arguments.styles
    }
    for kind in arguments.clips:
        clip = make_clip(kind, arguments.frames)
        errors = [FlowError(clip, step) for step in RANGES]
        own = [error.measure(clip) for error in errors]
        yield kind, "", "clip itself", [*own, measure_sharpness(clip), 0.0]
        for name, style in styles.items():
            bench = Bench(stylizer, clip, style, arguments.match)
            for method, make in METHODS.items():
                if arguments.methods and not any(each in method for each in arguments.methods):
                    continue
                frames = make(bench)
                if arguments.save is not None:
                    save(arguments.save / f"{kind}_{name}_{method.replace(' ', '_')}", frames)
                yield kind, name, method, score(bench, frames, errors, network)


def save(folder: Path, frames: Sequence[Picture]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames):
        write_picture(frame, folder / f"{index:03}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--styles", nargs="+", default=["mosaic", "watercolor"])
    parser.add_argument("--clips", nargs="+", default=list(CLIPS), choices=CLIPS)
    parser.add_argument("--methods", nargs="+", help="parts of the names of the methods to run")
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--match", type=float, default=StylizeOptions().match)
    parser.add_argument("--save", type=Path, help="folder for the frames")
    arguments = parser.parse_args()
    found: dict[str, list[list[float]]] = {}
    base: list[float] = []
    for kind, style, method, scores in run(arguments):
        print(f"{kind:7} {style:14} {method:33}", *(f"{each:.4f}" for each in scores), flush=True)
        if method == "frame by frame":
            base = scores
        if style:
            ratios = [each / max(1e-9, reference) for each, reference in zip(scores, base, strict=True)]
            found.setdefault(method, []).append(ratios)
    print(f"\n{'of frame by frame':33}    E1    E8  sharp  style_patch")
    for method, rows in found.items():
        print(f"{method:33}", *(f"{fmean(column):6.2f}" for column in zip(*rows, strict=True)))


if __name__ == "__main__":
    main()
