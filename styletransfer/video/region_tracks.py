"""Masks and maps of regions that change with time: one picture for every frame of a video."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial

from ..errors import VideoError
from ..media import Picture
from ..region_maps import RegionMaps
from .sources import FrameSource, Selection, SourceFrame, SourceInfo

# Shapes that differ by no more than this are taken for rounded sizes.
SHAPE_TOLERANCE = 0.02
# Times of files are rounded: a mask counts from so many seconds before the time that it states.
EARLY = 2e-3
# The last mask is held for so many seconds, and for so many frames of a folder.
HELD_SECONDS, HELD_FRAMES = 0.2, 1


class MaskTrack:
    """Masks that change with time.

    Those of a video or an animation are found by time, both counted from their first frames; a frame gets the
    last mask that has begun. Those of a folder are counted: the first belongs to the first frame.

    Args:
        source: Where they come from.
        content: The video that they belong to.
        selection: Which part of it is used.

    Attributes:
        first: The first of them.

    Raises:
        VideoError: Their shape is not that of the video, or there are too few of them.
    """

    def __init__(self, source: FrameSource, content: SourceInfo, selection: Selection) -> None:
        self.source, self._content = source, content
        self._check_shape()
        self._check_length(selection)
        self._frames = source.frames()
        self._now = next(self._frames)
        self._next = next(self._frames, None)
        self._begin = self._now.pts
        self._load: Callable[[], Picture] = lru_cache(maxsize=1)(self._now.load)
        self.first = self._load()

    def find(self, number: int, seconds: float) -> Callable[[], Picture]:
        """Return what loads the mask of a frame; numbers and times rise from call to call.

        Args:
            number: Number of the frame in the content.
            seconds: Its time since the first frame.

        Raises:
            VideoError: The masks have ended, or one is missing.
        """
        while self._next is not None and self._place(self._next) <= self._position(number, seconds):
            self._now, self._next = self._next, next(self._frames, None)
            # A mask may belong to several frames.
            self._load = lru_cache(maxsize=1)(self._now.load)
        behind = self._position(number, seconds) - self._place(self._now)
        name = self.source.info.name
        if self.source.info.is_folder:
            if behind > 0 and (self._next is not None or behind > HELD_FRAMES):
                broken = ", ".join(self.source.damage.frames)
                hint = f"export {broken} again" if broken else "give one mask for every frame"
                raise VideoError(f"{name} has no mask for frame {number + 1}", hint=hint)
        elif self._next is None:
            shown = float((self._now.duration or 0) * self.source.info.time_base)
            if behind > max(shown, 1 / float(self.source.info.rate)) + HELD_SECONDS:
                self._fail_at(seconds - behind, seconds)
        return self._load

    def _place(self, mask: SourceFrame) -> float:
        """Return from which number, or time in seconds, on a mask counts."""
        info = self.source.info
        return mask.pts if info.is_folder else float((mask.pts - self._begin) * info.time_base) - EARLY

    def _position(self, number: int, seconds: float) -> float:
        return number if self.source.info.is_folder else seconds

    def _check_shape(self) -> None:
        mask, content = self.source.info, self._content
        shapes = [float(each.width * each.pixel_aspect / each.height) for each in (mask, content)]
        if abs(shapes[0] / shapes[1] - 1) > SHAPE_TOLERANCE:
            raise VideoError(
                f"{mask.name} is {mask.width}x{mask.height}, not of the shape of {content.name}, "
                f"{content.width}x{content.height}",
                hint="crop or pad the masks as the video was",
            )

    def _check_length(self, selection: Selection) -> None:
        """Find before the work that masks will be missing, as far as lengths are known."""
        mask, content = self.source.info, self._content
        if mask.seconds is None or content.seconds is None:
            return
        if not mask.is_folder:
            needed = content.seconds if selection.end is None else min(content.seconds, selection.end)
            if mask.seconds + HELD_SECONDS + 1 / float(mask.rate) < needed:
                self._fail_at(mask.seconds, needed)
            return
        masks, frames = round(mask.seconds * mask.rate), round(content.seconds * content.rate)
        # The number of frames in a video is an estimate, by their mean distance.
        if abs(masks - frames) > (0 if content.is_folder else HELD_FRAMES + frames // 100):
            about = "" if content.is_folder else "about "
            raise VideoError(
                f"{mask.name} has {masks} masks for {about}{frames} frames of {content.name}",
                hint="give one mask for every frame",
            )

    def _fail_at(self, ends: float, needed: float) -> None:
        raise VideoError(
            f"{self.source.info.name} ends at {ends:.2f} s, {self._content.name} goes on to {needed:.2f} s",
            hint="give longer masks, or --end",
        )


class RegionTracks:
    """Where each style is painted, in every frame of a video.

    Args:
        maps: Masks or maps of labels at the first frame.
        masks: The masks that change, by their place among those of the maps.
        content_map: The map of the content, if that changes.

    Attributes:
        maps: Masks or maps of the first frame, with all labels that later ones may have.
    """

    def __init__(
        self, maps: RegionMaps, masks: Mapping[int, MaskTrack], content_map: MaskTrack | None = None
    ) -> None:
        self.maps = maps if content_map is None else maps.with_all_labels()
        self._masks, self._content_map = masks, content_map

    def attach(self, frames: Iterable[SourceFrame], info: SourceInfo) -> Iterator[SourceFrame]:
        """Give every frame of an input its own maps, which are not converted before they are asked for.

        Args:
            frames: All frames of the input, in their order.
            info: What is known of the input.
        """
        first: int | None = None
        for count, frame in enumerate(frames):
            first = frame.pts if first is None else first
            # A file that could not be read leaves a gap in the numbers of a folder.
            number = frame.pts if info.is_folder else count
            seconds = float((frame.pts - first) * info.time_base)
            masks = {index: track.find(number, seconds) for index, track in self._masks.items()}
            labels = None if self._content_map is None else self._content_map.find(number, seconds)
            yield frame._replace(maps=partial(self._build, masks, labels))

    def _build(
        self, masks: Mapping[int, Callable[[], Picture]], labels: Callable[[], Picture] | None
    ) -> RegionMaps:
        if labels is not None:
            return self.maps.with_content_map(labels())
        changed = [masks[index]() if index in masks else each for index, each in enumerate(self.maps.masks)]
        return replace(self.maps, masks=tuple(changed))

    def fingerprint(self) -> list[object]:
        """Return what identifies the files on disk."""
        tracks = [*self._masks.values(), *([] if self._content_map is None else [self._content_map])]
        return [track.source.fingerprint() for track in tracks]
