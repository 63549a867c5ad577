"""Tiles: pictures that continue at their opposite edge, so that copies of them join without a seam."""

from __future__ import annotations

import torch
from torch import Tensor

STRIP_VALUES = 2**20  # float32 numbers of a strip: 4 MiB, several times at once


def continue_periodically(tile: Tensor, margin: int) -> Tensor:
    """Continue a tile [C, H, W] by a margin on every side, which may be wider than the tile itself."""
    rows, columns = (torch.arange(-margin, length + margin) % length for length in tile.shape[1:])
    return tile[:, rows[:, None], columns[None]]


def cut_tile(samples: Tensor, margin: int, blended: int = 0) -> Tensor:
    """Cut a tile out of a picture that continues it by a margin on every side.

    Args:
        samples: [C, H + 2 * margin, W + 2 * margin].
        margin: Width of the margin.
        blended: Width over which the left and the upper edge of the tile are blended with what lies beyond
            the opposite edge, for pictures that repeat only nearly; at most the margin.

    Returns:
        [C, H, W].
    """
    for dim in (2, 1):
        length = samples.shape[dim] - 2 * margin
        tile = samples.narrow(dim, margin, length)
        if width := min(blended, length):
            beyond = samples.narrow(dim, margin + length, width).float()
            share = (torch.arange(width) + 0.5) / width
            share = share if dim == 2 else share[:, None]
            tile = tile.clone()
            mixed = beyond.lerp(tile.narrow(dim, 0, width).float(), share)
            tile.narrow(dim, 0, width).copy_(mixed.round())
        samples = tile
    return samples.contiguous()


def resample_tile(tile: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample a tile to another size, a little larger or smaller, as a tile.

    Args:
        tile: Integer samples [C, H, W].
        size: The height and the width to reach.

    Source: Keys 1981 (IEEE TASSP 29(6)), cubic convolution with a = -1/2. Differs: the picture is periodic.
    """
    for dim, length in ((1, size[0]), (2, size[1])):
        if tile.shape[dim] != length:
            tile = _resample(tile, dim, length)
    return tile


def _resample(tile: Tensor, dim: int, length: int) -> Tensor:
    """Resample one dimension, channel by channel and strip by strip."""
    old = tile.shape[dim]
    positions = (torch.arange(length, dtype=torch.float64) + 0.5) * old / length - 0.5
    first = positions.floor().long() - 1
    taps = first[:, None] + torch.arange(4)  # [length, 4]
    distance = (positions[:, None] - taps).abs()
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = torch.where(distance <= 1, near, far).float()
    result = tile.new_empty([length if each == dim else tile.shape[each] for each in range(3)])
    other = 3 - dim
    step = max(1, STRIP_VALUES // (len(tile) * max(old, length)))
    for start in range(0, tile.shape[other], step):
        strip = tile.narrow(other, start, min(step, tile.shape[other] - start)).float()
        resampled = torch.zeros(())
        for tap in range(4):
            weight = weights[:, tap] if dim == 2 else weights[:, tap, None]
            resampled = resampled + strip.index_select(dim, taps[:, tap] % old) * weight
        white = torch.iinfo(tile.dtype).max
        result.narrow(other, start, strip.shape[other]).copy_(resampled.round_().clamp_(0, white))
    return result
