"""Quilting: pieces of a picture, alike in use, cut where they differ least."""

from __future__ import annotations

import pytest
import torch

from styletransfer.transfer.quilting import QuiltSource, cut_paths, lay_quilt


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_paths_are_the_cheapest_ones() -> None:
    costs = torch.rand(2, 5, 4, generator=generator())

    def cheapest(map_: torch.Tensor, row: int, column: int) -> float:
        here = float(map_[row, column])
        if row == 0:
            return here
        return here + min(cheapest(map_, row - 1, c) for c in range(column - 1, column + 2) if 0 <= c < 4)

    for map_, path in zip(costs, cut_paths(costs), strict=True):
        assert path.diff().abs().max() <= 1
        cost = float(map_[torch.arange(5), path].sum())
        assert cost == pytest.approx(min(cheapest(map_, 4, column) for column in range(4)))


def test_every_part_of_a_picture_is_used_alike() -> None:
    levels = torch.arange(16).repeat_interleave(10).to(torch.uint8) * 16
    quilt = lay_quilt(
        (256, 256), [QuiltSource(levels.expand(3, 64, 160), None, 1)], generator(), periodic=True
    )
    shares = torch.bincount(quilt[0].flatten().long() // 16, minlength=16) / quilt[0].numel()
    assert shares[2:-2].max() < 3 * shares[2:-2].min()


def test_a_periodic_quilt_has_no_edge_where_it_is_closed() -> None:
    ramp = torch.sin(torch.arange(128) * 0.3).add(1).mul(100).to(torch.uint8).expand(3, 128, 128)
    source = QuiltSource(ramp.contiguous(), None, 1)
    jumps = []
    for periodic in (True, False):
        quilt = lay_quilt((128, 120), [source], generator(), periodic=periodic).int()
        jumps.append(float((quilt[..., 0] - quilt[..., -1]).abs().float().mean()))
    assert jumps[0] < 30
    assert jumps[1] > 1.2 * jumps[0]


def test_weights_share_the_area() -> None:
    white, black = (torch.full((3, 64, 64), level, dtype=torch.uint8) for level in (255, 0))
    sources = [QuiltSource(white, None, 3), QuiltSource(black, None, 1)]
    quilt = lay_quilt((256, 256), sources, generator(), periodic=True)
    assert float(quilt.float().mean()) / 255 == pytest.approx(0.75, abs=0.1)
