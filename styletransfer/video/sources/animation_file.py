"""Animated GIF, WebP and PNG, read by Pillow, which keeps every delay and the loop count."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

from PIL import Image

from ...errors import VideoError
from ...media import Picture, PILImage, picture_from_pil
from ...media.formats import HEADER_SIZE, identify_format
from ..av_frames import fit_picture
from .frame_source import Damage, SourceFrame, SourceInfo
from .video_file import identify_file

MILLISECOND = Fraction(1, 1000)
DEFAULT_DELAY = 100  # milliseconds; what players make of 0
ANIMATED = {"GIF", "PNG", "WEBP"}


def is_animation(path: Path) -> bool:
    """Tell whether a file is a GIF, PNG or WebP picture, moving or not."""
    with path.open("rb") as file:
        form = identify_format(file.read(HEADER_SIZE))
    return form is not None and form.name in ANIMATED


def is_moving(path: Path) -> bool:
    """Tell whether a file is a video or an animation, and no still picture."""
    with path.open("rb") as file:
        form = identify_format(file.read(HEADER_SIZE))
    if form is None:
        return True
    if form.name not in ANIMATED:
        return False
    try:
        with Image.open(path) as image:
            return getattr(image, "n_frames", 1) > 1
    except OSError:  # damaged, as whoever reads it will say
        return False


class AnimationFile:
    """A source of the frames of an animated picture.

    Raises:
        VideoError: The file is damaged, or its picture does not move.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self.damage = Damage()
        try:
            self._image = Image.open(path)
        except OSError as error:
            raise VideoError(f"{name}: the animation is damaged ({error})", hint="export it again") from error
        try:
            alpha = self._scan()
        except Exception as error:  # damaged files make decoders raise almost anything
            self._image.close()
            raise VideoError(f"{name}: the animation is damaged ({error})", hint="export it again") from error
        if len(self._delays) < 2:
            self._image.close()
            raise VideoError(f"{name} is a picture that does not move", hint="use `styletransfer stylize`")
        seconds = sum(self._delays) / 1000
        self.info = SourceInfo(
            name=name,
            width=self._image.width,
            height=self._image.height,
            time_base=MILLISECOND,
            rate=Fraction(len(self._delays) * 1000, sum(self._delays)),
            seconds=seconds,
            alpha=alpha,
            loops=self._image.info.get("loop"),
            is_animation=True,
        )

    def _scan(self) -> bool:
        """Decode all frames once: collect their delays, and return whether any is transparent."""
        first = 1 if self._image.info.get("default_image") else 0
        self._indices = range(first, getattr(self._image, "n_frames", 1))
        self._delays: list[int] = []
        alpha = False
        for index in self._indices:
            self._image.seek(index)
            shown = self._image.convert("RGBA")
            self._delays.append(round(self._image.info.get("duration", 0)) or DEFAULT_DELAY)
            alpha = alpha or shown.getchannel("A").getextrema() != (255, 255)
        return alpha

    def frames(self) -> Iterator[SourceFrame]:
        """Yield the frames as they are seen, each over those before it."""
        pts = 0
        for index, delay in zip(self._indices, self._delays, strict=True):
            self._image.seek(index)
            shown = self._image.convert("RGBA" if self.info.alpha else "RGB")
            yield SourceFrame(pts, delay, partial(_to_picture, shown, self.info.width, self.info.height))
            pts += delay

    def fingerprint(self) -> dict[str, object]:
        """Return path, size and time of change."""
        return identify_file(self._path)

    def close(self) -> None:
        """Close the file."""
        self._image.close()


def _to_picture(image: PILImage, width: int, height: int) -> Picture:
    return fit_picture(picture_from_pil(image), width, height)
