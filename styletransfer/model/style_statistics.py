"""What the program needs to know of a style: mean and covariance at every level, a file of some 300 KB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..errors import OptionError, WeightsError
from ..linalg import Statistics
from ..options import check_style_weights
from ..transfer import blend_statistics
from .files import read_tensors, write_tensors

FORMAT = "styletransfer-statistics-3"
# The levels of the two finest scales: large strokes take them from a style enlarged by less than the strokes.
SHARP = slice(1, 3)
UNDERPAINTING = "underpainting."  # begins the names of its tensors


@dataclass(frozen=True, eq=False)
class StyleStatistics:
    """Statistics of a picture under one model; compute once, save, blend, use for any content.

    Attributes:
        levels: Mean [1, C] and covariance [1, C, C] of every level, the picture's first, float64.
        model: SHA-256 of the weights that measured them; other weights cannot use them.
        stroke_scale: By how much the strokes were enlarged.
        underpainting: The statistics of the style as it is, for the small copy of a content that is painted
            first; None where nothing was enlarged.
    """

    levels: tuple[Statistics, ...]
    model: str
    stroke_scale: int = 1
    underpainting: StyleStatistics | None = None

    @classmethod
    def blend(cls, members: Sequence[StyleStatistics], weights: Sequence[float]) -> StyleStatistics:
        """Blend styles by their statistics.

        Args:
            members: One or more styles, all of the same model.
            weights: One non-negative number per style, not all zero; their scale does not matter.

        Raises:
            OptionError: The styles were measured by different models or for different strokes, or the
                weights do not fit.
        """
        if not members:
            raise OptionError("there is no style", hint="give at least one")
        if len({member.model for member in members}) != 1:
            raise OptionError(
                "the styles were measured by different models", hint="measure them again with one"
            )
        if len({member.stroke_scale for member in members}) != 1:
            raise OptionError(
                "the styles were measured for different stroke scales", hint="measure them again"
            )
        if len(weights) != len(members):
            raise OptionError(
                f"{len(weights)} style weights for {len(members)} styles", hint="give one per style"
            )
        check_style_weights(weights)
        levels = blend_statistics([member.levels for member in members], weights)
        below = [member.underpainting for member in members if member.underpainting is not None]
        underpainting = cls.blend(below, weights) if below else None
        return cls(levels, members[0].model, members[0].stroke_scale, underpainting)

    def enlarge(self, scale: int, enlarged: StyleStatistics, sharp: StyleStatistics) -> StyleStatistics:
        """Make the statistics of this style for larger strokes.

        Paint has an edge and a grain at whatever size it is looked at; an enlarged picture has not, and would
        ask the finest scales for blur.

        Args:
            scale: Of the strokes.
            enlarged: Of the style, so many times larger.
            sharp: Of the style, enlarged by less: the finest scales are taken from there.
        """
        levels = list(enlarged.levels)
        levels[SHARP] = sharp.levels[SHARP]
        return replace(enlarged, levels=tuple(levels), stroke_scale=scale, underpainting=self)

    def save(self, path: str | Path) -> None:
        """Write the statistics as safetensors, atomically."""
        parts = {"": self.levels, UNDERPAINTING: self.underpainting.levels if self.underpainting else ()}
        tensors = {
            f"{prefix}{level}.{field}": getattr(statistics, field).cpu()
            for prefix, levels in parts.items()
            for level, statistics in enumerate(levels)
            for field in Statistics._fields
        }
        origin = {"format": FORMAT, "model": self.model, "stroke_scale": str(self.stroke_scale)}
        write_tensors(Path(path), tensors, origin)

    @classmethod
    def load(cls, path: str | Path) -> StyleStatistics:
        """Read what `save` wrote.

        Raises:
            WeightsError: The file is missing, corrupt or no statistics of a style.
        """
        tensors, metadata = read_tensors(Path(path))
        if metadata.get("format") != FORMAT or "model" not in metadata:
            raise WeightsError(
                f"{path}: holds no style statistics", hint="make them with `styletransfer style-stats`"
            )
        model, scale = metadata["model"], metadata.get("stroke_scale", "1")
        below = {name: tensor for name, tensor in tensors.items() if name.startswith(UNDERPAINTING)}
        levels = _read_levels(path, {name: tensors[name] for name in tensors.keys() - below.keys()}, "")
        if not scale.isdecimal() or not int(scale) or (int(scale) > 1) != bool(below):
            raise WeightsError(f"{path}: its stroke scale is {scale!r}", hint="make it again")
        if not below:
            return cls(levels, model)
        small = _read_levels(path, below, UNDERPAINTING)
        if [level.mean.shape for level in small] != [level.mean.shape for level in levels]:
            raise WeightsError(f"{path}: its two sets of statistics do not match", hint="make it again")
        return cls(levels, model, int(scale), cls(small, model))

    def to(self, device: torch.device | str) -> StyleStatistics:
        """Move the statistics to a device."""
        levels = tuple(Statistics(*(field.to(device) for field in level)) for level in self.levels)
        underpainting = self.underpainting and self.underpainting.to(device)
        return StyleStatistics(levels, self.model, self.stroke_scale, underpainting)


def _read_levels(
    path: str | Path, tensors: Mapping[str, torch.Tensor], prefix: str
) -> tuple[Statistics, ...]:
    """Put the tensors of a file together, and check that they are statistics."""
    fields = Statistics._fields
    levels = []
    for level in range(len(tensors) // len(fields)):
        members = [tensors.get(f"{prefix}{level}.{field}", torch.empty(0)) for field in fields]
        channels = members[0].shape[-1]
        shapes = [(1, channels), (1, channels, channels), (1,)]
        sound = all(bool(torch.isfinite(member).all()) for member in members)
        if [tuple(member.shape) for member in members] != shapes or not sound:
            raise WeightsError(f"{path}: level {level} is no mean and covariance", hint="make it again")
        levels.append(Statistics(*members))
    return tuple(levels)
