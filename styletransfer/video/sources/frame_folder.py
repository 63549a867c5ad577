"""Frames that are picture files of their own, read in natural order and written one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

from ...errors import StyleTransferError, VideoError
from ...media import Picture, read_picture
from ..av_frames import fit_picture
from .frame_source import Damage, SourceFrame, SourceInfo
from .video_file import DEFAULT_RATE, identify_file


class FrameFolder:
    """A source of frames that are picture files.

    A file that cannot be read is left out and counted; the others keep their times.

    Args:
        paths: The files in any order.
        name: Printable name for messages.
        rate: Frames per second at which they are meant to be seen.

    Raises:
        VideoError: None of the files can be read.
    """

    def __init__(self, paths: Sequence[Path], name: str, rate: Fraction | None = None) -> None:
        self.paths = sorted(paths, key=natural_key)
        self.damage = Damage()
        rate = rate or DEFAULT_RATE
        first = next(filter(None, (self._try_to_read(path) for path in self.paths)), None)
        self.damage.frames.clear()  # they are counted when they are decoded
        if first is None:
            raise VideoError(f"{name}: none of the {len(paths)} frames can be read", hint="export them again")
        self.info = SourceInfo(
            name=name,
            width=first.width,
            height=first.height,
            time_base=1 / rate,
            rate=rate,
            seconds=float(len(paths) / rate),
            alpha=first.alpha is not None,
            bit_depth=first.bit_depth,
            is_folder=True,
        )

    def frames(self) -> Iterator[SourceFrame]:
        """Yield the frames; each is read once, because it may be broken."""
        for index, path in enumerate(self.paths):
            picture = self._try_to_read(path)
            if picture is not None:
                yield SourceFrame(index, 1, partial(self._fit, picture), path.stem)

    def fingerprint(self) -> dict[str, object]:
        """Return path, size and time of change of every file."""
        return {"files": [identify_file(path) for path in self.paths]}

    def close(self) -> None:
        """Do nothing, because no file stays open."""

    def _try_to_read(self, path: Path) -> Picture | None:
        try:
            return read_picture(path)
        except StyleTransferError:
            self.damage.frames.append(path.name)
            return None

    def _fit(self, picture: Picture) -> Picture:
        """Give a picture the size, depth and channels of the first."""
        info = self.info
        fitted = fit_picture(picture, info.width, info.height).with_bit_depth(info.bit_depth)
        return fitted if info.alpha else fitted.on_white()


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return the key by which frame2 comes before frame10."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
