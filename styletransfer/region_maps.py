"""Where styles are painted: masks, and maps of labels for a content and its style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import OptionError
from .media import Picture
from .media.picture import with_bit_depth
from .options import StylizeOptions
from .picture_conversion import PictureSource, to_picture
from .transfer.color_transfer import LUMA

# A picture, or "alpha" for the content's own alpha channel.
MaskSource: TypeAlias = PictureSource
ALPHA = "alpha"
# Colors of a map that are nearer than this are one label: JPEG moves flat colors by some ten levels.
LABEL_TOLERANCE = 40
# Colors are counted in bins of this many levels, and a label has at least this share of the pixels that are
# like their neighbors. Borders between labels are blurred and hold all colors in between.
BIN, LEAST_SHARE, FLAT_RANGE = 16, 5e-4, 12
MAX_LABELS = 32


@dataclass(frozen=True, eq=False)
class RegionMaps:
    """Where each style is painted.

    Attributes:
        masks: One mask for every style, or a single one for a style or a blend: white is painted, black is
            left, gray is in between.
        content_map: Labels of a content: each color marks a region; None if there are masks.
        style_map: Labels of the style: every region of the content is painted in the style's region of the
            same color.

    Raises:
        OptionError: There are masks and maps, or only one of the maps.
    """

    masks: tuple[MaskSource, ...] = ()
    content_map: Picture | None = None
    style_map: Picture | None = None

    def __post_init__(self) -> None:
        if (self.content_map is None) != (self.style_map is None):
            raise OptionError(
                "regions need two maps of labels", hint="give one for the content and one for the style"
            )
        if bool(self.masks) == (self.content_map is not None):
            raise OptionError("masks and maps of labels exclude each other", hint="leave one of them out")

    @classmethod
    def open(
        cls,
        mask: MaskSource | Sequence[MaskSource] | None,
        regions: tuple[PictureSource, PictureSource] | None,
    ) -> RegionMaps | None:
        """Read masks, or maps of labels for the content and for the style; None if there are neither.

        Raises:
            ImageError: A picture cannot be read.
            OptionError: There are masks and maps, not two maps, or an empty sequence of masks.
        """
        if mask is None and regions is None:
            return None
        sources: Sequence[MaskSource] = ()
        if isinstance(mask, Sequence) and not isinstance(mask, str | bytes | bytearray | memoryview):
            sources = mask
        elif mask is not None:
            sources = [mask]  # type: ignore[list-item]  # mypy takes a memoryview for bytes
        masks = tuple(
            each if isinstance(each, str) and each == ALPHA else _to_mask_picture(each) for each in sources
        )
        if not masks and regions is None:
            raise OptionError("there is no mask in the sequence", hint="give at least one mask, or None")
        if regions is None:
            return cls(masks)
        if isinstance(regions, str | Path) or not isinstance(regions, Sequence) or len(regions) != 2:
            raise OptionError(
                f"regions is {regions!r}", hint="give two maps: one for the content, one for the style"
            )
        return cls(masks, *(to_picture(each) for each in regions))

    def check_styles(self, count: int, options: StylizeOptions) -> None:
        """Check that the maps fit a number of styles, and the options.

        Raises:
            OptionError: They do not.
        """
        if self.content_map is not None and count != 1:
            raise OptionError(f"maps of labels for {count} styles", hint="give one style, and its map")
        if len(self.masks) > 1 and len(self.masks) != count:
            raise OptionError(f"{len(self.masks)} masks for {count} styles", hint="give one mask per style")
        if options.color_only:
            raise OptionError("color_only knows no regions", hint="leave out the masks and maps")
        several = len(self.masks) > 1 or len(self.label_colors) > 1
        if several and options.style_weights is not None:
            raise OptionError(
                "styles have masks and weights", hint="give one mask for the blend, or no weights"
            )
        if several and options.refine:
            raise OptionError("several regions cannot be refined", hint="leave out --refine, or use one mask")

    @cached_property
    def label_colors(self) -> Tensor:
        """The colors of all labels, [L, 3] in 0..255; empty if there are masks."""
        if self.content_map is None or self.style_map is None:
            return torch.empty(0, 3)
        return find_label_colors([self.content_map, self.style_map])

    @cached_property
    def used_colors(self) -> list[int]:
        """Indices of those colors that the content's map has."""
        if self.content_map is None:
            return []
        present = split_labels(self.content_map, self.label_colors).flatten(1).any(1)
        return [int(index) for index in present.nonzero()]

    @cached_property
    def style_masks(self) -> list[Picture | None]:
        """For every used color its region of the style; None for one that the style does not have."""
        if self.style_map is None:
            return []
        masks = split_labels(self.style_map, self.label_colors)[self.used_colors]
        # What only a few blurred pixels have is not there.
        return [
            Picture(mask.expand(3, -1, -1)) if mask.float().mean() > LEAST_SHARE * 255 else None
            for mask in masks
        ]

    def with_all_labels(self) -> RegionMaps:
        """Return the same maps, in which every label counts as used: frames to come may have it."""
        maps = replace(self)
        vars(maps).update(label_colors=self.label_colors, used_colors=list(range(len(self.label_colors))))
        return maps

    def with_content_map(self, content_map: Picture) -> RegionMaps:
        """Return the same labels and regions of the style for the map of another frame of the content."""
        maps = replace(self, content_map=content_map)
        vars(maps).update(
            label_colors=self.label_colors, used_colors=self.used_colors, style_masks=self.style_masks
        )
        return maps

    @property
    def missing_colors(self) -> list[str]:
        """Colors of the content's map that the style's map does not have, as #rrggbb."""
        missing = [
            self.label_colors[index]
            for index, mask in zip(self.used_colors, self.style_masks, strict=True)
            if mask is None
        ]
        return ["#" + "".join(f"{round(float(value)):02x}" for value in color) for color in missing]

    def content_masks(self, height: int, width: int, alpha: Tensor | None) -> Tensor:
        """Return the mask of every style, or of every used color, at the size of a content.

        Args:
            height: Height of the content.
            width: Width of the content.
            alpha: Its alpha channel [1, H, W] of 8 or 16 bits, for masks that are "alpha".

        Returns:
            [S, H, W], uint8.

        Raises:
            OptionError: A mask is "alpha" and there is none.
        """
        if self.content_map is not None:
            labels = split_labels(self.content_map, self.label_colors)[self.used_colors]
            return resize_masks(labels, height, width)
        masks = []
        for mask in self.masks:
            if isinstance(mask, Picture):
                masks.append(resize_masks(read_levels(mask), height, width))
            elif alpha is None:
                raise OptionError("the mask is alpha, but the content has no alpha channel")
            else:
                masks.append(with_bit_depth(alpha, 8))
        return torch.cat(masks)


def _to_mask_picture(source: MaskSource) -> Picture:
    """Convert a mask to a picture; arrays and tensors may have no channels, or one, and may be boolean."""
    if isinstance(source, np.ndarray):
        source = source.astype(np.float32) if source.dtype == bool else source
        source = source[..., None] if source.ndim == 2 else source
        source = np.repeat(source, 3, 2) if source.ndim == 3 and source.shape[2] == 1 else source
    elif isinstance(source, Tensor) and (source.ndim == 2 or (source.ndim == 3 and len(source) == 1)):
        source = source.float().expand(3, *source.shape[-2:])
    return to_picture(source)


def read_levels(mask: Picture) -> Tensor:
    """Return how white a mask is, [1, H, W], uint8; what is transparent counts as black."""
    luma = torch.zeros(1, mask.height, mask.width)
    for weight, channel in zip(LUMA, mask.pixels, strict=True):
        luma += weight * with_bit_depth(channel, 8).float()
    if (coverage := mask.coverage()) is not None:
        luma *= coverage[0]
    return luma.round().to(torch.uint8)


def resize_masks(masks: Tensor, height: int, width: int) -> Tensor:
    """Resize masks [S, h, w], uint8: by area where they shrink, bilinearly where they grow."""
    if masks.shape[1:] == (height, width):
        return masks
    resized = torch.empty(len(masks), height, width, dtype=torch.uint8)
    for mask, target in zip(masks, resized, strict=True):
        floats = mask[None, None].float()
        smaller = min(height, masks.shape[1]), min(width, masks.shape[2])
        floats = F.interpolate(F.adaptive_avg_pool2d(floats, smaller), (height, width), mode="bilinear")
        target.copy_(floats[0, 0].round())
    return resized


def find_label_colors(maps: Sequence[Picture]) -> Tensor:
    """Find the colors of labels in maps; colors within `LABEL_TOLERANCE` are one label.

    Args:
        maps: The maps, which may have been compressed as JPEG.

    Returns:
        [L, 3] in 0..255, float32, the most frequent color first.

    Raises:
        OptionError: There are more than `MAX_LABELS`, so that it must be a photograph.
    """
    counts = torch.zeros((256 // BIN) ** 3)
    sums = torch.zeros(len(counts), 3, dtype=torch.float64)
    for each in maps:
        colors = with_bit_depth(each.pixels, 8).float()
        flat = find_flat_pixels(colors)
        values = colors.flatten(1).T[flat.flatten()] if flat.any() else colors.flatten(1).T
        bins = (values.long() // BIN) @ torch.tensor([(256 // BIN) ** 2, 256 // BIN, 1])
        counts += torch.bincount(bins, minlength=len(counts)) / len(values)
        sums.index_add_(0, bins, values.double() / len(values))
    means = (sums / counts.clamp_min(1e-12).unsqueeze(1)).float()
    found: list[Tensor] = []
    for index in counts.argsort(descending=True):
        if counts[index] < LEAST_SHARE:
            break
        if all((means[index] - color).norm() > LABEL_TOLERANCE for color in found):
            found.append(means[index])
    if len(found) > MAX_LABELS:
        raise OptionError(
            f"a map of labels has {len(found)} colors",
            hint=f"paint each region in one of {MAX_LABELS} colors",
        )
    return torch.stack(found)


def find_flat_pixels(colors: Tensor) -> Tensor:
    """Return which pixels of [3, H, W] are like all of their neighbors, [H, W]."""
    padded = F.pad(colors[None], (1, 1, 1, 1), mode="replicate")
    spread = F.max_pool2d(padded, 3, 1) + F.max_pool2d(-padded, 3, 1)
    return spread[0].amax(0) <= FLAT_RANGE


def split_labels(labels: Picture, colors: Tensor) -> Tensor:
    """Return one mask per color, [L, H, W], uint8; every pixel belongs to the nearest color."""
    masks = torch.empty(len(colors), labels.height, labels.width, dtype=torch.uint8)
    step = max(1, 2**20 // labels.width)
    for top in range(0, labels.height, step):
        pixels = with_bit_depth(labels.pixels[:, top : top + step], 8).float()  # [3, h, W]
        nearest = torch.cdist(pixels.flatten(1).T, colors).argmin(1).view(pixels.shape[1:])
        for index, mask in enumerate(masks):
            mask[top : top + step] = (nearest == index).to(torch.uint8) * 255
    return masks
