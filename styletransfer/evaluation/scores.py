"""The scores of one stylized picture, their mean over many, and the table of several methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import fmean
from typing import Any

DECIBELS = {"reconstruction", "identity"}


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How good a stylized picture is; the last three need the model that made it, and are None without.

    Attributes:
        style_gram: Distance from the style by Gram matrices, 0 is the style; lower is better.
        style_pyr: The same over a pyramid of three octaves; lower is better.
        content_in: Distance of the structure from the content's, 0 is the content; lower is better.
        ssim: Structural similarity with the content, 1 is the content; higher is better.
        swd_rgb: How far the colors are from the style's, in 0..1; lower is better.
        clip: Share of channel values at 0 or 255; lower is better.
        reconstruction: PSNR in dB of the content stylized at alpha 0; higher is better.
        identity: PSNR in dB of the content stylized in its own style; higher is better.
        warp: Root mean square change from frame to frame of a pan, motion undone; lower is better.
    """

    style_gram: float
    style_pyr: float
    content_in: float
    ssim: float
    swd_rgb: float
    clip: float
    reconstruction: float | None = None
    identity: float | None = None
    warp: float | None = None


NAMES = tuple(field.name for field in fields(Scores))


def average_scores(scores: Sequence[Scores]) -> Scores:
    """Return the mean of every score; None where one of them has none.

    The mean of `warp`, a root mean square within a pair, is one over the pairs, too: the square root of the
    mean square. Decibels are averaged as they are.

    Args:
        scores: At least one.
    """
    means: dict[str, Any] = {}
    for name in NAMES:
        column = [getattr(each, name) for each in scores]
        power = 2 if name == "warp" else 1
        means[name] = None if None in column else fmean(value**power for value in column) ** (1 / power)
    return Scores(**means)


def format_scores(rows: Mapping[str, Scores]) -> str:
    """Write scores as a Markdown table, one row per method, without columns that are empty throughout."""
    shown = [name for name in NAMES if any(getattr(scores, name) is not None for scores in rows.values())]
    cells = [["method", *shown]]
    for method, scores in rows.items():
        values = asdict(scores)
        cells.append([method, *(format_score(name, values[name]) for name in shown)])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [_join([cell.ljust(width) for cell, width in zip(row, widths, strict=True)]) for row in cells]
    lines.insert(1, _join(["-" * width for width in widths]))
    return "\n".join(lines)


def format_score(name: str, value: float | None) -> str:
    """Write one score with the digits that mean something."""
    if value is None:
        return "-"
    return f"{value:.1f}" if name in DECIBELS else f"{value:.3f}"


def _join(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
