"""Tables of colors: interpolation, fits, and slopes."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest
import torch
from torch import Tensor

from styletransfer.transfer.color_lut import apply_lut, bound_slopes, fit_lut, identity_lut


def random_colors(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))


def random_table(size: int) -> Tensor:
    return torch.rand(size, size, size, 3, generator=torch.Generator().manual_seed(1))


def test_nodes_get_their_own_values() -> None:
    table = random_table(5)
    torch.testing.assert_close(apply_lut(table, identity_lut(5).view(-1, 3)), table.view(-1, 3))


def test_affine_maps_are_exact() -> None:
    matrix, offset = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0.1, 0, -1])
    colors = random_colors(1000)
    torch.testing.assert_close(
        apply_lut(identity_lut(7) @ matrix + offset, colors), colors @ matrix + offset, atol=1e-5, rtol=0
    )


def test_interpolation_is_tetrahedral() -> None:
    """Inside each of the six tetrahedra of a cell, the value is the mean of its corners by definition."""
    table = random_table(2)
    for order in permutations(range(3)):
        corners = [torch.zeros(3)]
        for channel in order:
            corners.append(corners[-1].clone())
            corners[-1][channel] = 1
        weights = torch.tensor([0.1, 0.2, 0.3, 0.4])
        color = sum(weight * corner for weight, corner in zip(weights, corners, strict=True))
        assert isinstance(color, Tensor)
        nodes = [table[tuple(corner.int().tolist())] for corner in corners]
        expected = sum(weight * node for weight, node in zip(weights, nodes, strict=True))
        torch.testing.assert_close(apply_lut(table, color[None])[0], expected)


def test_colors_outside_count_as_the_nearest_end() -> None:
    table = random_table(3)
    assert apply_lut(table, torch.tensor([[-3.0, 0.5, 7.0]])).equal(
        apply_lut(table, torch.tensor([[0.0, 0.5, 1.0]]))
    )


def test_a_fit_reaches_its_targets_and_goes_on_straight() -> None:
    colors = random_colors(2000) * 0.5 + 0.25
    targets = colors @ torch.tensor([[0.5, 0.2, 0], [0, 0.7, 0], [0.1, 0, 0.4]]) + 0.1
    table = fit_lut(
        identity_lut(9), colors, torch.full((2000,), 1 / 2000), targets, smoothness=1e-6, steps=300
    )
    assert (apply_lut(table, colors) - targets).abs().max() < 1e-3
    assert (table[0, 0, 0] - 0.1).abs().max() < 0.02  # no color is near the corner


def test_smoothness_is_exchanged_for_errors() -> None:
    colors = random_colors(2000)
    targets = (colors * 20).sin()
    bends, errors = [], []
    for smoothness in (1e-6, 1e-3, 1):
        weights = torch.full((2000,), 1 / 2000)
        table = fit_lut(identity_lut(9), colors, weights, targets, smoothness=smoothness, steps=300)
        bends.append(sum(float(table.diff(2, dim=axis).square().sum()) for axis in range(3)))
        errors.append(float((apply_lut(table, colors) - targets).square().mean()))
    assert bends[0] > 2 * bends[1] > 4 * bends[2]
    assert errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize(
    "step", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1)]
)
def test_slopes_are_bounded_along_all_ramps(step: tuple[int, int, int]) -> None:
    table = bound_slopes(random_table(17), 2.0, 200)
    positions = torch.linspace(0, 1, 200)[:, None]
    start = torch.tensor([0.31, 0.52, 0.11]) * (1 - torch.tensor(step))
    ramp = apply_lut(table, start + positions * torch.tensor(step))
    assert (ramp.diff(dim=0).abs() * 199).max() < 2.1


def test_a_table_within_the_bound_stays_as_it_is() -> None:
    assert bound_slopes(identity_lut(9), 1.01, 50).equal(identity_lut(9))


def test_the_mean_of_a_table_does_not_change_with_its_slopes() -> None:
    table = random_table(9)
    torch.testing.assert_close(bound_slopes(table, 0.5, 20).mean((0, 1, 2)), table.mean((0, 1, 2)))


def test_interpolation_is_continuous() -> None:
    table, size = random_table(4), 1000
    ramp = torch.linspace(0, 1, size)
    colors = torch.stack([ramp, ramp.flip(0), (ramp * 7).sin() * 0.5 + 0.5], 1)
    values = apply_lut(table, colors)
    largest = max(float((after - before).abs().max()) for before, after in pairwise(values))
    assert largest < 20 * 3 / size  # slopes of a random table of 4 nodes are below 3, channels move 7 times
