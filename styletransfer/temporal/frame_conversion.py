"""Frames from whatever a caller holds, and results as the caller holds them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from torch import Tensor

from ..media import Picture, PILImage, picture_to_pil
from ..picture_conversion import PictureSource, to_picture
from .frame import Frame
from .frame_stylizer import FrameStylizer


def convert_frames(
    stylizer: FrameStylizer, sources: Iterable[PictureSource | Frame], fps: float
) -> Iterator[Tensor | Picture | PILImage | Frame]:
    """Stylize frames of any kind.

    Args:
        stylizer: Stylizes them.
        sources: The frames.
        fps: Frames per second, from which the times of frames follow that do not know them.

    Yields:
        A Frame for a Frame, a Picture for a Picture, a tensor for a tensor, else a PIL image.
    """
    waiting: deque[PictureSource | Frame] = deque()  # only what is needed to convert a result back

    def read() -> Iterator[Frame]:
        for index, source in enumerate(sources):
            frame = source if isinstance(source, Frame) else Frame(to_picture(source), index / fps, index)
            waiting.append(source)
            yield frame

    for frame in stylizer.stylize(read()):
        source = waiting.popleft()
        if isinstance(source, Frame):
            yield frame
        elif isinstance(source, Picture):
            yield frame.picture
        elif isinstance(source, Tensor):
            pixels = frame.picture.to_float()
            yield pixels if source.dim() == 4 else pixels[0]
        else:
            yield picture_to_pil(frame.picture)
