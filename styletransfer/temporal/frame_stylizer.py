"""Stylize the frames of a video one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor

from ..media import Picture
from .frame import Frame


class FrameStylizer:
    """Stylizes the frames of a video; `Stylizer.frame_stylizer` builds it.

    Args:
        stylize_picture: Stylizes one frame by itself.

    Attributes:
        lookback: Seconds before the first missing frame from which on a resumed run needs the frames.
        lookback_frames: Number of frames that it needs before the first missing one, at least.
    """

    lookback = 1.0
    lookback_frames = 8

    def __init__(self, stylize_picture: Callable[[Frame], Picture]) -> None:
        self._stylize_picture = stylize_picture
        self._index = -1

    def stylize(
        self, frames: Iterable[Frame], *, resume: Mapping[str, Tensor] | None = None
    ) -> Iterator[Frame]:
        """Stylize frames.

        Args:
            frames: The frames in their order.
            resume: The `state` of a run that was interrupted; None for a new run.

        Yields:
            The stylized frames, in the same order.
        """
        done = -1 if resume is None else int(resume["index"])
        for frame in frames:
            if frame.index > done:
                result = frame._replace(picture=self._stylize_picture(frame))
                self._index = frame.index
                yield result

    def state(self) -> dict[str, Tensor]:
        """Return what a run that is continued after the last frame yielded needs to know."""
        return {"index": torch.tensor(self._index)}
