"""Products of matrices that are known to be symmetric: only panels on and below the diagonal are computed."""

from __future__ import annotations

import torch
from torch import Tensor

# Rows of a panel: tall enough for the processor's full speed; at C = 512 three eighths of the work are saved.
PANEL = 128


def symmetrize(matrix: Tensor) -> Tensor:
    """Return the symmetric part of [..., C, C]; eigensolvers read one triangle only."""
    return 0.5 * (matrix + matrix.mT)


def symmetric_product(left: Tensor, right: Tensor) -> Tensor:
    """Return left @ right, [..., C, K] times [..., K, C], where it is known to be symmetric; no gradient."""
    channels = left.shape[-2]
    if channels <= PANEL:
        return left @ right
    lefts, rights = left.reshape(-1, *left.shape[-2:]), right.reshape(-1, *right.shape[-2:])
    result = left.new_empty(len(lefts), channels, channels)
    for rows, columns in panels(channels):
        torch.bmm(lefts[:, rows], rights[..., columns], out=result[:, rows, columns])
    return mirror(result).view(*left.shape[:-1], channels)


def panels(channels: int) -> list[tuple[slice, slice]]:
    """Return rows and columns of the panels that cover the lower triangle."""
    starts = range(0, channels, PANEL)
    return [(slice(start, start + PANEL), slice(0, min(start + PANEL, channels))) for start in starts]


def mirror(matrix: Tensor) -> Tensor:
    """Copy what `panels` covers to the rest of [..., C, C], in place; returns it."""
    for start in range(PANEL, matrix.shape[-1], PANEL):
        rows, below = slice(start, start + PANEL), slice(0, start)
        matrix[..., below, rows] = matrix[..., rows, below].mT
    return matrix
