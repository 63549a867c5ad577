from __future__ import annotations

import pytest
import torch
from torch import Tensor

from styletransfer.evaluation.colors import clip, spread_directions, swd_rgb


def paint(*color: float, size: tuple[int, int] = (8, 8)) -> Tensor:
    return torch.tensor(color)[None, :, None, None].expand(1, 3, *size).float()


@pytest.mark.parametrize("other", [(1, 1, 1), (0.5, 0, 0), (0, 0.3, 0.4)])
def test_two_plain_colors_are_half_their_distance_apart(other: tuple[float, float, float]) -> None:
    """The mean of |cos| over the sphere is 1/2."""
    distance = sum(channel**2 for channel in other) ** 0.5
    assert swd_rgb(paint(0, 0, 0), paint(*other, size=(3, 5))) == pytest.approx(distance / 2, rel=0.04)


def test_sorting_gives_the_same(content: Tensor) -> None:
    other = content.flip(1) * 0.7
    a, b = content[0].flatten(1), other[0].flatten(1)
    directions = spread_directions(32)
    exact = ((directions @ a).sort(dim=1)[0] - (directions @ b).sort(dim=1)[0]).abs().mean().item()
    assert swd_rgb(content, other) == pytest.approx(exact, abs=1e-4)


def test_where_colors_are_does_not_matter(content: Tensor) -> None:
    assert swd_rgb(content.flip(2), content) == 0
    assert swd_rgb(torch.cat([content, content], dim=2), content) == pytest.approx(0, abs=1e-9)


def test_directions_are_even() -> None:
    directions = spread_directions(32)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(32))
    torch.testing.assert_close(directions.mT @ directions / 32, torch.eye(3) / 3, atol=0.02, rtol=0)


def test_clip_counts_what_eight_bits_cannot_tell_from_black_and_white() -> None:
    values = torch.tensor([0.0, 0.001, 0.003, 0.5, 0.997, 0.9985, 1.0, -0.5, 1.2, 0.25, 0.75, 0.1])
    assert clip(values.view(1, 3, 2, 2)) == pytest.approx(6 / 12)
