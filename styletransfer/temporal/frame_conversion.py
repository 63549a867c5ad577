"""Frames from whatever a caller holds, and results as the caller holds them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor

from ..errors import OptionError
from ..media import Picture, PILImage, picture_to_pil
from ..picture_conversion import PictureSource, to_picture
from ..region_maps import MaskSource, RegionMaps
from .frame import Frame
from .frame_stylizer import FrameStylizer


def convert_frames(
    stylizer: FrameStylizer,
    sources: Iterable[PictureSource | Frame],
    fps: float,
    masks: Iterable[MaskSource | Sequence[MaskSource]] | None = None,
) -> Iterator[Tensor | Picture | PILImage | Frame]:
    """Stylize frames of any kind.

    Args:
        stylizer: Stylizes them.
        sources: The frames.
        fps: Frames per second, from which the times of frames follow that do not know them.
        masks: Where the styles are painted in each frame, as many as frames; None for the stylizer's maps.

    Yields:
        A Frame for a Frame, a Picture for a Picture, a tensor for a tensor, else a PIL image.

    Raises:
        OptionError: There are fewer masks than frames, or more.
    """
    waiting: deque[PictureSource | Frame] = deque()  # only what is needed to convert a result back

    def read() -> Iterator[Frame]:
        of_frames = None if masks is None else iter(masks)
        hint = "give one for every frame"
        for index, source in enumerate(sources):
            frame = source if isinstance(source, Frame) else Frame(to_picture(source), index / fps, index)
            if of_frames is not None:
                if (mask := next(of_frames, None)) is None:
                    raise OptionError(f"frame {index + 1} has no mask", hint=hint)
                frame = frame._replace(masks=RegionMaps.open(mask, None))
            waiting.append(source)
            yield frame
        if of_frames is not None and next(of_frames, None) is not None:
            raise OptionError("there are more masks than frames", hint=hint)

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
