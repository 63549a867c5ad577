"""The statistics of a style: mean and covariance at every level, in a file of some 300 KB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..errors import OptionError, WeightsError
from ..files import read_tensors, write_tensors
from ..linalg import Statistics
from ..options import check_style_weights
from ..transfer import blend_statistics

FORMAT = "styletransfer-statistics-3"
# The levels of the two finest scales. For large strokes they are measured on a style that is enlarged less.
FINE_LEVELS = slice(1, 3)
UNDERPAINTING = "underpainting."  # prefix of the names of its tensors in a file


@dataclass(frozen=True, eq=False)
class StyleStatistics:
    """Statistics of a picture under one model; they can be saved, blended and used for any content.

    Attributes:
        levels: Mean [1, C] and covariance [1, C, C] of every level, the picture's first, float64.
        model: SHA-256 of the weights that measured them; other weights cannot use them.
        stroke_scale: Factor by which the strokes are enlarged.
        underpainting: The statistics of the style at its own size, for the small copy of the content that is
            stylized first; None for stroke scale 1.
    """

    levels: tuple[Statistics, ...]
    model: str
    stroke_scale: int = 1
    underpainting: StyleStatistics | None = None

    @classmethod
    def blend(cls, members: Sequence[StyleStatistics], weights: Sequence[float]) -> StyleStatistics:
        """Blend styles by their statistics.

        Args:
            members: One or more styles, all measured by the same model for the same stroke scale.
            weights: One non-negative number per style, not all zero; only their ratios matter.

        Raises:
            OptionError: The styles were measured by different models or for different stroke scales, or the
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
        """Return the statistics of this style for larger strokes.

        Paint has sharp edges and grain at every size. An enlarged picture has lost both, and if the finest
        scales were measured on it, results would be blurred.

        Args:
            scale: Factor by which the strokes are enlarged.
            enlarged: Statistics of the style enlarged by that factor.
            sharp: Statistics of the style enlarged less; the finest scales are taken from them.
        """
        levels = list(enlarged.levels)
        levels[FINE_LEVELS] = sharp.levels[FINE_LEVELS]
        return replace(enlarged, levels=tuple(levels), stroke_scale=scale, underpainting=self)

    def save(self, path: str | Path) -> None:
        """Write the statistics as a safetensors file that appears whole or not at all.

        Raises:
            StyleTransferError: The file cannot be written.
        """
        parts = {"": self.levels, UNDERPAINTING: self.underpainting.levels if self.underpainting else ()}
        tensors = {
            f"{prefix}{level}.{field}": getattr(statistics, field).cpu()
            for prefix, levels in parts.items()
            for level, statistics in enumerate(levels)
            for field in Statistics._fields
        }
        metadata = {"format": FORMAT, "model": self.model, "stroke_scale": str(self.stroke_scale)}
        write_tensors(Path(path), tensors, metadata)

    @classmethod
    def load(cls, path: str | Path) -> StyleStatistics:
        """Read what `save` wrote.

        Raises:
            WeightsError: The file is missing, corrupt or holds no style statistics.
        """
        tensors, metadata, _ = read_tensors(Path(path))
        if metadata.get("format") != FORMAT or "model" not in metadata:
            raise WeightsError(
                f"{path}: holds no style statistics", hint="make them with `styletransfer style-stats`"
            )
        model, scale = metadata["model"], metadata.get("stroke_scale", "")
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
        """Return the statistics on a device."""
        levels = tuple(Statistics(*(field.to(device) for field in level)) for level in self.levels)
        underpainting = self.underpainting and self.underpainting.to(device)
        return StyleStatistics(levels, self.model, self.stroke_scale, underpainting)


def _read_levels(
    path: str | Path, tensors: Mapping[str, torch.Tensor], prefix: str
) -> tuple[Statistics, ...]:
    """Assemble the statistics of all levels from named tensors and check their shapes and values."""
    fields = Statistics._fields
    levels = []
    for level in range(len(tensors) // len(fields)):
        members = [tensors.get(f"{prefix}{level}.{field}", torch.empty(0)) for field in fields]
        channels = members[0].shape[-1]
        shapes = [(1, channels), (1, channels, channels), (1,)]
        finite = all(bool(torch.isfinite(member).all()) for member in members)
        if [tuple(member.shape) for member in members] != shapes or not finite:
            raise WeightsError(f"{path}: level {level} is not a mean and a covariance", hint="make it again")
        levels.append(Statistics(*members))
    return tuple(levels)
