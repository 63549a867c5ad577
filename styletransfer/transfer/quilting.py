"""Quilting: a texture of any size from overlapping pieces of a picture, each as much in use as the others.

The pieces are laid row by row. Each is chosen among those that have been used least, as the one that agrees
best with what lies there already, and is cut along the path on which the two differ least. Where every part
of a picture is used alike, the texture has the colors and the features of the picture in their proportions,
and a network that gives it the statistics of the picture has little to change.

Source: Efros & Freeman 2001 (SIGGRAPH), image quilting. Differs: the texture continues at the opposite edge;
the use of the picture is balanced; pieces are chosen on a copy that is `REDUCTION` times smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# Pieces are placed on a grid of this many pixels, and chosen on a copy that is so many times smaller.
REDUCTION = 4
# Edge of a piece, relative to the shorter edge of its picture; overlap of pieces, relative to a piece.
PIECE, OVERLAP = 0.4, 0.25
# Edge of a piece at most, relative to the shorter edge of the texture, which a single one must not fill.
LARGEST_PIECE = 2 / 3
# Share of the places of a picture, those used least, among which a piece is chosen.
CANDIDATES = 0.08
# Pixels of the small copy at which a piece is compared with what lies there already.
COMPARED = 200
# Use that counts for an invisible pixel, so that only visible parts are taken where there are any.
INVISIBLE = 1e6
# Share of the use that is random, which chooses among places that have been used alike.
JITTER = 1e-3


class QuiltSource(NamedTuple):
    """A picture whose pieces are used.

    Attributes:
        pixels: Samples [3, H, W], both edges at least 4 * REDUCTION.
        alpha: Opacity [1, H, W] in 0..1; None if all pixels are opaque.
        weight: Share of the texture that its pieces are due, relative to those of other pictures.
    """

    pixels: Tensor
    alpha: Tensor | None
    weight: float


def lay_quilt(
    size: tuple[int, int], sources: Sequence[QuiltSource], generator: torch.Generator, *, periodic: bool
) -> Tensor:
    """Make a texture of pieces of pictures.

    Args:
        size: Height and width in pixels; multiples of REDUCTION if it is periodic.
        sources: The pictures, all of one dtype.
        generator: Source of all that is random.
        periodic: Whether the texture continues at the opposite edge.

    Returns:
        [3, H, W], in the dtype of the pictures.
    """
    if periodic:
        return Quilt(size, sources, generator).lay()
    # What continues at the opposite edge is cut off, and the lattice of the pieces starts anywhere.
    beyond = round(PIECE * min(min(each.pixels.shape[1:]) for each in sources))
    height, width = (-(-(edge + beyond) // REDUCTION) * REDUCTION for edge in size)
    return Quilt((height, width), sources, generator).lay()[:, : size[0], : size[1]].clone()


class Quilt:
    """A texture that is laid piece by piece and continues at its opposite edge.

    Args:
        size: Height and width in pixels, multiples of REDUCTION.
        sources: The pictures, all of one dtype.
        generator: Source of all that is random.
    """

    def __init__(
        self, size: tuple[int, int], sources: Sequence[QuiltSource], generator: torch.Generator
    ) -> None:
        self.generator = generator
        shortest = min(min(each.pixels.shape[1:]) for each in sources)
        edge = min(PIECE * shortest, LARGEST_PIECE * min(size))
        self.cells = max(1, round(edge / REDUCTION))  # edge of a piece on the small copy
        self.sources = [_SourceUse(each, self.cells) for each in sources if each.weight > 0]
        self.pixels = sources[0].pixels.new_zeros(3, *size)
        small = size[0] // REDUCTION, size[1] // REDUCTION
        self.small = torch.zeros(3, *small)
        self.laid = torch.zeros(small, dtype=torch.bool)
        step = max(1, round((1 - OVERLAP) * self.cells))
        counts = [-(-length // step) for length in small]
        widest = max(-(-length // count) for length, count in zip(small, counts, strict=True))
        self.overlap = max(0, min(self.cells - widest, self.cells // 2)) * REDUCTION
        shift = [int(torch.randint(length, (1,), generator=generator)) for length in small]
        self.rows, self.columns = (
            [shift_by + round(index * length / count) for index in range(count)]
            for length, count, shift_by in zip(small, counts, shift, strict=True)
        )

    def lay(self) -> Tensor:
        """Lay all pieces and return the texture, [3, H, W]."""
        for top in self.rows:
            for left in self.columns:
                self._lay_piece(top, left)
        return self.pixels

    def _lay_piece(self, top: int, left: int) -> None:
        """Choose a piece for a place of the small copy, cut it and lay it."""
        height, width = self.laid.shape
        cell_rows = (torch.arange(top, top + self.cells) % height)[:, None]
        cell_columns = (torch.arange(left, left + self.cells) % width)[None]
        laid = self.laid[cell_rows, cell_columns]
        source = min(self.sources, key=lambda each: each.count / each.weight)
        piece = source.take(self.small[:, cell_rows, cell_columns], laid, self.generator)
        finer = torch.arange(REDUCTION)
        rows = (cell_rows * REDUCTION + finer).flatten()[:, None]
        columns = (cell_columns.T * REDUCTION + finer).flatten()[None]
        before = self.pixels[:, rows, columns]
        cut = self._cut(piece, before, laid)
        joined = torch.where(cut, piece, before)
        self.pixels[:, rows, columns] = joined
        self.small[:, cell_rows, cell_columns] = _reduce(joined)
        self.laid[cell_rows, cell_columns] = True

    def _cut(self, piece: Tensor, before: Tensor, laid: Tensor) -> Tensor:
        """Return which pixels [P, P] of a piece cover what was laid before."""
        covers = torch.ones(piece.shape[1:], dtype=torch.bool)
        middle = len(laid) // 2
        laid_beside = [laid[middle, 0], laid[middle, -1], laid[0, middle], laid[-1, middle]]
        if self.overlap and any(laid_beside):
            error = (piece.float() - before.float()).square().sum(0)
            # Turned so that what was laid before is on the left.
            views = [(error, covers), (error.flip(1), covers.flip(1)), (error.T, covers.T)]
            views.append((error.flip(0).T, covers.flip(0).T))
            beside = [index for index, laid_there in enumerate(laid_beside) if laid_there]
            starts = cut_paths(torch.stack([views[index][0][:, : self.overlap] for index in beside]))
            inside = torch.arange(piece.shape[2]) >= starts[..., None]  # [sides, P, P]
            for index, side in zip(beside, inside, strict=True):
                turned = side.T if index >= 2 else side
                covers &= turned.flip(0 if index >= 2 else 1) if index % 2 else turned
        unlaid = ~laid.repeat_interleave(REDUCTION, 0).repeat_interleave(REDUCTION, 1)
        return covers | unlaid


class _SourceUse:
    """A picture, its small copy, and how often every part of it has been used."""

    def __init__(self, source: QuiltSource, cells: int) -> None:
        self.weight, self.count = source.weight, 0
        height, width = (edge // REDUCTION * REDUCTION for edge in source.pixels.shape[1:])
        self.pixels = source.pixels[:, :height, :width]
        self.small = _reduce(self.pixels)
        self.cells = cells
        self.use = torch.zeros(self.small.shape[1:], dtype=torch.float64)
        if source.alpha is not None:
            self.use += INVISIBLE * (1 - _reduce(source.alpha[:, :height, :width])[0]).double()

    def take(self, before: Tensor, laid: Tensor, generator: torch.Generator) -> Tensor:
        """Take the piece [3, P, P] that agrees best with what lies there before, among those used least."""
        use = _sum_windows(self.use, self.cells)
        width = use.shape[1]
        jitter = torch.rand(use.numel(), generator=generator, dtype=torch.float64)
        least_used = use.flatten() + JITTER * self.cells**2 * jitter
        places = least_used.topk(max(1, round(CANDIDATES * use.numel())), largest=False).indices
        rows, columns = places // width, places % width
        compared = laid.nonzero()
        if len(compared):
            order = torch.randperm(len(compared), generator=generator)[:COMPARED]
            y, x = compared[order].unbind(1)
            candidates = self.small[:, rows[:, None] + y, columns[:, None] + x]
            best = int((candidates - before[:, None, y, x]).square_().sum((0, 2)).argmin())
        else:
            best = 0
        top, left = int(rows[best]), int(columns[best])
        self.use[top : top + self.cells, left : left + self.cells] += 1
        self.count += 1
        return self.pixels[:, top * REDUCTION :, left * REDUCTION :][
            :, : self.cells * REDUCTION, : self.cells * REDUCTION
        ]


def cut_paths(costs: Tensor) -> Tensor:
    """Find the cheapest path from top to bottom through each of several maps.

    Args:
        costs: Cost of every pixel, [N, H, W].

    Returns:
        The column of the path in every row, [N, H]. From row to row it changes by one at most.
    """
    total = costs.clone()
    for row in range(1, costs.shape[1]):
        total[:, row] += -F.max_pool1d(-total[:, row - 1 : row], 3, 1, 1)[:, 0]
    paths = torch.empty(costs.shape[:2], dtype=torch.long)
    paths[:, -1] = total[:, -1].argmin(1)
    columns = torch.arange(costs.shape[2])
    for row in range(costs.shape[1] - 2, -1, -1):
        far = (columns - paths[:, row + 1, None]).abs() > 1
        paths[:, row] = total[:, row].masked_fill(far, torch.inf).argmin(1)
    return paths


def _reduce(samples: Tensor) -> Tensor:
    """Average blocks of samples, float32."""
    return F.avg_pool2d(samples.float()[None], REDUCTION)[0]


def _sum_windows(values: Tensor, edge: int) -> Tensor:
    """Return the sums over all windows of edge x edge values of a map."""
    sums = F.pad(values.cumsum(0).cumsum(1), (1, 0, 1, 0))
    return sums[edge:, edge:] - sums[:-edge, edge:] - sums[edge:, :-edge] + sums[:-edge, :-edge]
