"""Where the pixels of a frame were in the frame before, and how far that can be trusted; by OpenCV."""

from __future__ import annotations

from functools import lru_cache, reduce
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from ..errors import OptionError
from ..media import Picture
from ..media.picture import with_bit_depth
from ..transfer.color_transfer import LUMA

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Bytes: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
AnyArray = TypeVar("AnyArray", Array, Bytes)

# The search needs this many pixels in either direction.
SMALLEST_EDGE = 16
# Motion is found in copies whose shorter edge has at most this many pixels.
MOTION_EDGE = 360
# Difference of the content, 0..1, at which the trust in a motion falls to 1 / e.
TRUSTED_DIFFERENCE = 0.12
# Forward and backward motion may differ by this share of their squared lengths, and by this many squared
# pixels. Source: Ruder et al. 2016 (arXiv 1604.08610), equation 5.
MISMATCH_SHARE, MISMATCH = 0.01, 0.5
# No motion explains the content as well if the difference is at most this many times that along the motion,
# and this much more, averaged over squares of this many pixels.
STILL_FACTOR, STILL_MARGIN, STILL_WINDOW = 1.02, 1e-4, 31


class ContentCopy(NamedTuple):
    """A small copy of a frame, in which motion is found.

    Attributes:
        gray: [h, w].
        colors: [h, w, 3], or [h, w, 4] with opacity. Bytes are warped and compared several times as fast as
            floats, and half a level is little beside `TRUSTED_DIFFERENCE`.
    """

    gray: Bytes
    colors: Bytes


class Motion(NamedTuple):
    """Where the pixels of a frame were in the frame before.

    Attributes:
        flow: Steps in pixels to the right and down, [H, W, 2], float32.
        trust: How far the content agrees, [H, W], float32 in 0..1.
    """

    flow: Array
    trust: Array


class MotionEstimator:
    """Finds motion by OpenCV, which is loaded when the first estimator is made.

    Raises:
        OptionError: OpenCV is not installed.

    Source: Kroeger et al. 2016 (arXiv 1603.03590), dense inverse search, as OpenCV has it.
    """

    def __init__(self) -> None:
        try:
            self._cv2: Any = import_module("cv2")
        except ImportError as error:
            raise OptionError(
                "steady videos need OpenCV",
                hint='pip install "styletransfer[video]", or --steadiness 0',
            ) from error

    def reduce(self, picture: Picture) -> ContentCopy:
        """Return the small copy of a frame."""
        cv2 = self._cv2
        parts = [picture.pixels] if picture.alpha is None else [picture.pixels, picture.alpha]
        scale = min(1.0, MOTION_EDGE / min(picture.width, picture.height))
        size = max(1, round(scale * picture.width)), max(1, round(scale * picture.height))
        channels = [channel.numpy() for part in parts for channel in with_bit_depth(part, 8)]
        if scale < 1:
            channels = [cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in channels]
        gray = sum(
            weight * each for weight, each in zip(np.array(LUMA, np.float32), channels[:3], strict=True)
        )
        return ContentCopy(np.rint(gray).astype(np.uint8), cv2.merge(channels))

    def estimate(
        self,
        current: ContentCopy,
        previous: ContentCopy,
        height: int,
        width: int,
        *,
        may_be_still: bool = True,
    ) -> Motion:
        """Find the motion from a frame to the one before it.

        Args:
            current: The frame.
            previous: The frame before it, of the same size.
            height: Height of the result.
            width: Width of the result.
            may_be_still: Whether pixels may stay where they are, where that explains the content as well.
        """
        cv2 = self._cv2
        back, forth = self._search(current.gray, previous.gray), self._search(previous.gray, current.gray)
        returned = self.warp(forth, back, cv2.INTER_LINEAR)
        # Channels are taken apart, because sums over the last axis take most of the time otherwise.
        lengths, mismatch = _sum_squares(back) + _sum_squares(returned), _sum_squares(back + returned)
        seen = mismatch <= MISMATCH_SHARE * lengths + MISMATCH
        # What comes in over the edge was not there; its color may be that of the edge, its strokes are not.
        seen &= _are_inside(back)
        moved = self._compare(current, self.warp(previous.colors, back))
        unmoved = self._compare(current, previous.colors)
        window = STILL_WINDOW, STILL_WINDOW
        still = may_be_still & (
            cv2.blur(unmoved, window) <= STILL_FACTOR * cv2.blur(moved, window) + STILL_MARGIN
        )
        np.copyto(moved, unmoved, where=still)
        trust: Array = cv2.exp(np.square(moved) * np.float32(-1 / TRUSTED_DIFFERENCE**2))
        trust *= seen | still
        back[still] = 0
        if back.shape[:2] != (height, width):
            factors = np.array([width / back.shape[1], height / back.shape[0]], np.float32)
            back = cv2.resize(back, (width, height), interpolation=cv2.INTER_LINEAR) * factors
            trust = cv2.resize(trust, (width, height), interpolation=cv2.INTER_LINEAR)
        return Motion(back, trust)

    def warp(self, values: AnyArray, flow: Array, interpolation: int | None = None) -> AnyArray:
        """Fetch values [H, W, C] from where a flow [H, W, 2] points, bicubically unless told otherwise."""
        cv2 = self._cv2
        how = cv2.INTER_CUBIC if interpolation is None else interpolation
        places = flow + _pixel_grid(*flow.shape[:2])
        fetched: AnyArray = cv2.remap(values, places, None, how, borderMode=cv2.BORDER_REPLICATE)
        return fetched

    def _compare(self, current: ContentCopy, other: Bytes) -> Array:
        """Return the largest difference of any channel, [h, w], 0..1, blurred by a pixel."""
        cv2 = self._cv2
        largest = reduce(cv2.max, cv2.split(cv2.absdiff(current.colors, other)))
        blurred: Array = cv2.boxFilter(largest, cv2.CV_32F, (3, 3))
        blurred *= np.float32(1 / 255)
        return blurred

    def _search(self, current: Any, previous: Any) -> Array:
        """Return the flow [h, w, 2]; frames too small for the search do not move."""
        if min(current.shape) < SMALLEST_EDGE:
            return np.zeros((*current.shape, 2), np.float32)
        cv2 = self._cv2
        # Each search has its own object, because several threads must not share one.
        search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        flow: Array = search.calc(current, previous, None)
        return flow


def _sum_squares(vectors: Array) -> Array:
    """Return the squared lengths [h, w] of vectors [h, w, 2]."""
    lengths: Array = np.square(vectors[..., 0]) + np.square(vectors[..., 1])
    return lengths


def _are_inside(flow: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return where a flow [h, w, 2] points into the frame, [h, w]."""
    height, width = flow.shape[:2]
    places = flow + _pixel_grid(height, width)
    x, y = places[..., 0], places[..., 1]
    inside: np.ndarray[Any, np.dtype[np.bool_]] = (x > -1) & (x < width) & (y > -1) & (y < height)
    return inside


@lru_cache(maxsize=4)
def _pixel_grid(height: int, width: int) -> Array:
    """Return the place of every pixel, [height, width, 2], x first; not to be written to."""
    y, x = np.indices((height, width), np.float32)
    return np.stack((x, y), 2)
