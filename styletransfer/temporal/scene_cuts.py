"""Find the cuts of a video: the first frames of its scenes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ..media import Picture
from ..media.picture import with_bit_depth

# Frames are compared in copies of this size, for which their shorter edge is sampled at about so many pixels.
SKETCH_SIZE, SAMPLED_EDGE = (18, 32), 144
# Least jump of a cut: by how much the mean difference of colors, 0..1, is larger than beside it.
LEAST_JUMP = 0.06
# What a flash of up to so many frames has interrupted goes on behind it. Behind a cut nothing does.
FLASH_FRAMES = 3


class Sketch(NamedTuple):
    """A very small copy of a frame, [3, 18, 32], float32 in 0..1."""

    colors: Tensor

    @classmethod
    def of(cls, picture: Picture) -> Sketch:
        """Return the sketch of a picture."""
        step = max(1, min(picture.width, picture.height) // SAMPLED_EDGE)
        samples = with_bit_depth(picture.pixels[:, ::step, ::step], 8).float() / 255
        return cls(adaptive_avg_pool2d(samples, SKETCH_SIZE))

    def difference(self, other: Sketch) -> float:
        """Return the mean difference of colors, 0..1."""
        return float((self.colors - other.colors).abs().mean())


class HasSketch(Protocol):
    """Anything with the sketch of a frame."""

    @property
    def sketch(self) -> Sketch:
        """The sketch."""


Item = TypeVar("Item", bound=HasSketch)


def find_cuts(items: Iterable[Item], *, causal: bool) -> Iterator[tuple[Item, bool]]:
    """Tell of every frame whether a scene begins with it.

    A cut is a larger step than those before and behind it, so that fast motion is none, and neither the frame
    before it is seen again soon nor was the one behind it seen shortly before, so that a flash is none. A
    dissolve or a fade has no cut. A causal search cannot know a flash, which becomes a scene of its own.

    Args:
        items: The frames in their order. They are read up to `FLASH_FRAMES` frames ahead.
        causal: Whether to read none ahead.

    Yields:
        Each frame with whether it is the first one of all, or behind a cut.
    """
    ahead = 0 if causal else FLASH_FRAMES
    seen: list[Item] = []  # frames that are told already, then those that are not
    told = 0

    def tell() -> tuple[Item, bool]:
        nonlocal told
        found = seen[told], is_cut([each.sketch for each in seen], told, causal=causal)
        told += 1
        if told > FLASH_FRAMES + 1:
            del seen[0]
            told -= 1
        return found

    for item in items:
        seen.append(item)
        if len(seen) > told + ahead:
            yield tell()
    while told < len(seen):
        yield tell()


def is_cut(sketches: Sequence[Sketch], index: int, *, causal: bool) -> bool:
    """Tell whether a scene begins with a frame.

    Args:
        sketches: Sketches of consecutive frames: at least `FLASH_FRAMES` + 1 before the frame in question and
            `FLASH_FRAMES` behind it, where there are as many. The causal search reads none behind.
        index: Index of the frame.
        causal: Whether it may only be compared with earlier frames.
    """
    if index == 0:
        return True
    steps = [second.difference(first) for first, second in pairwise(sketches)]  # step i leads to frame i + 1
    step, before = steps[index - 1], steps[max(0, index - 3) : index - 1]
    if causal:
        # Behind a flash of one frame, the step before is large too.
        return step - min(before, default=0.0) >= LEAST_JUMP
    beside = [*before[-1:], *steps[index : index + 1]]
    if step - max(beside, default=0.0) < LEAST_JUMP:
        return False
    earlier = sketches[max(0, index - 1 - FLASH_FRAMES) : index - 1]
    later = sketches[index + 1 : index + 1 + FLASH_FRAMES]
    returns = [sketches[index - 1].difference(each) for each in later]
    returns += [sketches[index].difference(each) for each in earlier]
    return min(returns, default=step) >= LEAST_JUMP
