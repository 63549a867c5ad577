"""What is known of a style: mean and covariance at every level, quantiles of its colors, and patches."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from ..errors import OptionError, WeightsError
from ..files import read_tensors, write_tensors
from ..linalg import Statistics
from ..options import check_style_weights
from ..transfer import blend_statistics
from ..transfer.color_curves import QUANTILES, blend_quantiles
from ..transfer.patch_matching import PatchBank

FORMAT = "styletransfer-statistics-6"
# The levels of the two finest scales. For large strokes they are measured on a style that is enlarged less.
FINE_LEVELS = slice(1, 3)
# Prefixes of the names of tensors in a file; what is painted over a copy has its stroke scale in the prefix.
UNDERPAINTING = "underpainting"
OVERPAINTING = "scale"
PREFIXED_NAME = re.compile(rf"({UNDERPAINTING}|{OVERPAINTING}\d+)\.(.+)")
PIECES = "pieces."
SHARES = "shares."
COLORS = "colors"


@dataclass(frozen=True, eq=False)
class StyleStatistics:
    """Statistics of a picture under one model; they can be saved, blended and used for any content.

    Attributes:
        levels: Mean [1, C] and covariance [1, C, C] of every level, the picture's first, float64.
        model: SHA-256 of the weights that measured them; other weights cannot use them.
        stroke_scale: Factor by which the strokes are enlarged.
        underpainting: The statistics of the style at its own size, for the small copy of the content that is
            stylized first; None for stroke scale 1.
        bank: Patches to match; None from a network that matches none, and for what is painted over a copy.
        larger: Statistics of the same style for larger strokes, by ascending stroke scale, which share their
            underpainting; empty if one stroke scale alone was measured.
        colors: Quantiles of the colors, see `transfer.color_curves`; None from a network without curves.
    """

    levels: tuple[Statistics, ...]
    model: str
    stroke_scale: int = 1
    underpainting: StyleStatistics | None = None
    bank: PatchBank | None = None
    larger: tuple[StyleStatistics, ...] = ()
    colors: torch.Tensor | None = None

    @property
    def stroke_scales(self) -> list[int]:
        """The stroke scales that were measured, ascending."""
        return [self.stroke_scale, *(each.stroke_scale for each in self.larger)]

    def at_stroke_scale(self, scale: int) -> StyleStatistics:
        """Return the statistics for one stroke scale, without those for others.

        Raises:
            OptionError: The style was not measured for this stroke scale.
        """
        for each in (self._smallest, *self.larger):
            if each.stroke_scale == scale:
                return each
        measured = ", ".join(map(str, self.stroke_scales))
        raise OptionError(
            f"the style was measured for stroke scale {measured}, not {scale}",
            hint="measure the picture again for this one, see --stroke-scale",
        )

    @cached_property
    def _smallest(self) -> StyleStatistics:
        """The statistics for the smallest strokes; one object, by which its square roots are found again."""
        return replace(self, larger=()) if self.larger else self

    @classmethod
    def blend(cls, members: Sequence[StyleStatistics], weights: Sequence[float]) -> StyleStatistics:
        """Blend styles by their statistics.

        Args:
            members: One or more styles, all measured by the same model for the same stroke scale. Larger
                strokes are blended where all were measured for them.
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
        used = [(each.bank, weight) for each, weight in zip(members, weights, strict=True) if weight > 0]
        banks = [(bank, weight) for bank, weight in used if bank is not None]
        bank = PatchBank.blend(*zip(*banks, strict=True)) if banks else None
        shared = set.intersection(*({each.stroke_scale for each in member.larger} for member in members))
        larger = tuple(
            cls.blend([member.at_stroke_scale(scale) for member in members], weights)
            for scale in sorted(shared)
        )
        return cls(
            levels,
            members[0].model,
            members[0].stroke_scale,
            underpainting,
            bank,
            larger,
            blend_quantiles([member.colors for member in members], weights),
        )

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
        return replace(enlarged, levels=tuple(levels), stroke_scale=scale, underpainting=self, bank=None)

    def save(self, path: str | Path) -> None:
        """Write the statistics as a safetensors file that appears whole or not at all.

        Raises:
            StyleTransferError: The file cannot be written.
        """
        tensors = self._list_tensors("")
        underpainting = self.larger[0].underpainting if self.larger else self.underpainting
        # A style that is small enough is its own underpainting.
        if underpainting is not None and underpainting.levels is not self.levels:
            tensors |= underpainting._list_tensors(f"{UNDERPAINTING}.")
        for each in self.larger:
            tensors |= each._list_tensors(f"{OVERPAINTING}{each.stroke_scale}.")
        metadata = {"format": FORMAT, "model": self.model, "stroke_scale": str(self.stroke_scale)}
        write_tensors(Path(path), tensors, metadata)

    def _list_tensors(self, prefix: str) -> dict[str, torch.Tensor]:
        """Name the tensors of one stroke scale, without the underpainting."""
        tensors = {
            f"{prefix}{level}.{field}": getattr(statistics, field).cpu()
            for level, statistics in enumerate(self.levels)
            for field in Statistics._fields
        }
        if self.colors is not None:
            tensors[f"{prefix}{COLORS}"] = self.colors.cpu()
        if self.bank is not None:
            for name, part in ((PIECES, self.bank.pieces), (SHARES, self.bank.shares)):
                tensors |= {f"{prefix}{name}{scale}": tensor.cpu() for scale, tensor in part.items()}
        return tensors

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
        parts: dict[str, dict[str, torch.Tensor]] = {"": {}}
        for name, tensor in tensors.items():
            found = PREFIXED_NAME.fullmatch(name)
            prefix, rest = found.groups() if found else ("", name)
            parts.setdefault(prefix, {})[rest] = tensor
        read = {prefix: cls._read(path, part, model) for prefix, part in parts.items()}
        statistics = read.pop("")
        shapes = [[level.mean.shape for level in each.levels] for each in (statistics, *read.values())]
        if any(each != shapes[0] for each in shapes):
            raise WeightsError(f"{path}: its sets of statistics do not match", hint="make it again")
        below = read.pop(UNDERPAINTING, None)
        enlarged = {int(prefix.removeprefix(OVERPAINTING)): each for prefix, each in read.items()}
        if not scale.isdecimal() or not int(scale) or (int(scale) > 1 and (below is None or enlarged)):
            raise WeightsError(f"{path}: its stroke scale is {scale!r}", hint="make it again")
        if int(scale) > 1:
            return replace(statistics, stroke_scale=int(scale), underpainting=below)
        larger = tuple(
            replace(enlarged[each], stroke_scale=each, underpainting=below or statistics)
            for each in sorted(enlarged)
        )
        return replace(statistics, larger=larger)

    @classmethod
    def _read(cls, path: str | Path, tensors: Mapping[str, torch.Tensor], model: str) -> StyleStatistics:
        """Assemble statistics from named tensors."""
        patches = {name for name in tensors if name.startswith((PIECES, SHARES))}
        levels = _read_levels(path, {name: tensors[name] for name in tensors.keys() - patches - {COLORS}})
        bank = _read_bank(path, {name: tensors[name] for name in patches}) if patches else None
        colors = tensors.get(COLORS)
        if colors is not None and (
            colors.shape != (3, QUANTILES)
            or not torch.isfinite(colors).all()
            or (colors.diff(dim=1) < 0).any()
        ):
            raise WeightsError(f"{path}: its colors are damaged", hint="make it again")
        return cls(levels, model, bank=bank, colors=colors)

    def to(self, device: torch.device | str) -> StyleStatistics:
        """Return the statistics on a device."""
        levels = tuple(Statistics(*(field.to(device) for field in level)) for level in self.levels)
        underpainting = self.underpainting and self.underpainting.to(device)
        bank = self.bank and self.bank.to(device)
        larger = tuple(each.to(device) for each in self.larger)
        colors = None if self.colors is None else self.colors.to(device)
        return StyleStatistics(levels, self.model, self.stroke_scale, underpainting, bank, larger, colors)


def _read_levels(path: str | Path, tensors: Mapping[str, torch.Tensor]) -> tuple[Statistics, ...]:
    """Assemble the statistics of all levels from named tensors and check their shapes and values."""
    fields = Statistics._fields
    levels = []
    for level in range(len(tensors) // len(fields)):
        members = [tensors.get(f"{level}.{field}", torch.empty(0)) for field in fields]
        channels = members[0].shape[-1]
        shapes = [(1, channels), (1, channels, channels), (1,)]
        finite = all(bool(torch.isfinite(member).all()) for member in members)
        if [tuple(member.shape) for member in members] != shapes or not finite:
            raise WeightsError(f"{path}: level {level} is not a mean and a covariance", hint="make it again")
        levels.append(Statistics(*members))
    return tuple(levels)


def _read_bank(path: str | Path, tensors: Mapping[str, torch.Tensor]) -> PatchBank:
    """Assemble patches from named tensors and check their shapes and values."""
    parts: dict[str, dict[int, torch.Tensor]] = {PIECES: {}, SHARES: {}}
    for name, tensor in tensors.items():
        prefix, _, number = name.partition(".")
        if not number.isdecimal() or not torch.isfinite(tensor).all() or not len(tensor):
            raise WeightsError(f"{path}: its patches {name} are damaged", hint="make it again")
        parts[f"{prefix}."][int(number)] = tensor
    pieces, shares = parts[PIECES], parts[SHARES]
    for scale, share in shares.items():
        if scale not in pieces or share.ndim != 1 or not (share > 0).all():
            raise WeightsError(f"{path}: its patches of scale {scale} are damaged", hint="make it again")
    for scale, piece in pieces.items():
        coarser = [each for each in shares if each >= scale]
        if piece.ndim != 2 or not coarser or len(piece) != len(shares[min(coarser)]):
            raise WeightsError(f"{path}: its patches of scale {scale} do not match", hint="make it again")
    return PatchBank(pieces, shares)
