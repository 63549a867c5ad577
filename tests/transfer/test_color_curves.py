"""Color curves: distributions that are reached, bounded slopes, continuity, and pictures of one color."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from styletransfer.transfer.color_curves import (
    LARGEST_SLOPE,
    QUANTILES,
    STEP,
    bend_colors,
    blend_quantiles,
    find_curves,
    measure_distribution,
    measure_quantiles,
)


def gaussian(count: int = 4000, seed: int = 0) -> Tensor:
    return torch.randn(3, count, generator=torch.Generator().manual_seed(seed)) * 0.12 + 0.5


def drawing() -> Tensor:
    """Nine parts of white paper and one of dark ink, with the grain of paper."""
    ink = torch.rand(3, 4000, generator=torch.Generator().manual_seed(1)) < 0.1
    return torch.where(ink, 0.15, 0.95) + 0.03 * (gaussian(seed=2) - 0.5)


def give_statistics(colors: Tensor, style: Tensor) -> Tensor:
    """Give every channel the mean and the deviation of a style's."""
    white = (colors - colors.mean(1, keepdim=True)) / colors.std(1, keepdim=True)
    return white * style.std(1, keepdim=True) + style.mean(1, keepdim=True)


def distance(colors: Tensor, style: Tensor) -> float:
    """Return the Wasserstein distance between the channels."""
    return float((measure_quantiles(colors) - measure_quantiles(style)).abs().mean())


def test_quantiles_are_those_of_torch_and_count_weights() -> None:
    colors = gaussian(1001)
    shares = (torch.arange(QUANTILES) + 0.5) / QUANTILES
    expected = torch.quantile(colors, shares, dim=1).T
    torch.testing.assert_close(measure_quantiles(colors)[:, 4:-4], expected[:, 4:-4], atol=5e-3, rtol=0)
    assert (measure_quantiles(colors).diff(dim=1) >= 0).all()
    weights = torch.tensor([1.0, 0.0, 3.0])
    one, twice = torch.tensor([[0.1, 0.9, 0.6]]), torch.tensor([[0.1, 0.6, 0.6, 0.6]])
    weighed, repeated = measure_quantiles(one, weights)[0], measure_quantiles(twice)[0]
    assert weighed[[0, -1]].tolist() == pytest.approx(repeated[[0, -1]].tolist())
    assert measure_quantiles(one, torch.zeros(3)).equal(measure_quantiles(one))
    assert measure_quantiles(one[:, :1]).eq(one[0, 0]).all()


def test_a_distribution_rises_from_zero_to_one_and_counts_weights() -> None:
    found = measure_distribution(gaussian())
    assert (found.diff(dim=1) >= 0).all()
    assert found[:, 0].eq(0).all()
    assert found[:, -1].allclose(torch.ones(3, dtype=torch.float64))
    colors, weights = torch.tensor([[0.2, 0.8]]), torch.tensor([1.0, 3.0])
    repeated = measure_distribution(torch.tensor([[0.2, 0.8, 0.8, 0.8]]))
    torch.testing.assert_close(measure_distribution(colors, weights), repeated)


def test_curves_bring_the_distribution_near_that_of_a_drawing() -> None:
    style = drawing()
    colors = give_statistics(gaussian(), style)
    curves = find_curves(measure_distribution(colors), measure_quantiles(style))
    bent = bend_colors(colors, curves)
    assert distance(bent, style) < 0.5 * distance(colors, style)
    torch.testing.assert_close(bent.mean(1), style.mean(1), atol=5e-3, rtol=0)


def test_quantiles_are_blended_by_their_weights() -> None:
    first, second = measure_quantiles(gaussian()), measure_quantiles(drawing())
    blend = blend_quantiles([first, second], [1, 3])
    assert blend is not None
    torch.testing.assert_close(blend, first.lerp(second, 0.75))
    only = blend_quantiles([None, second], [0, 2])
    assert only is not None
    assert only.equal(second)
    assert blend_quantiles([None, second], [1, 2]) is None


def test_curves_ascend_and_their_slope_is_bounded() -> None:
    style = drawing()
    for colors in (give_statistics(gaussian(), style), torch.full((3, 50), 0.4), torch.rand(3, 5)):
        curves = find_curves(measure_distribution(colors), measure_quantiles(style))
        slopes = 1 + curves.diff(dim=1) / STEP
        assert slopes.min() > 0.1
        assert slopes.max() <= LARGEST_SLOPE + 1e-4


def test_a_picture_of_one_color_keeps_it() -> None:
    colors = torch.tensor([[0.3], [0.5], [0.9]]).expand(3, 40)
    curves = find_curves(measure_distribution(colors), measure_quantiles(drawing()))
    torch.testing.assert_close(bend_colors(colors, curves), colors, atol=0.01, rtol=0)


def test_the_style_itself_hardly_changes() -> None:
    colors = gaussian()
    curves = find_curves(measure_distribution(colors), measure_quantiles(colors))
    assert (bend_colors(colors, curves) - colors).abs().mean() < 2e-3


def test_a_little_noise_changes_the_result_a_little() -> None:
    style = measure_quantiles(drawing())
    colors = give_statistics(gaussian(), drawing()).double()
    noise = 1e-3 * torch.randn(colors.shape, generator=torch.Generator().manual_seed(5)).double()
    first, second = (
        bend_colors(colors.float(), find_curves(measure_distribution(each), style))
        for each in (colors, colors + noise)
    )
    assert (second - first).abs().max() < 1e-3


def test_values_in_0_to_255_are_bent_alike() -> None:
    colors = give_statistics(gaussian(), drawing())
    curves = find_curves(measure_distribution(colors), measure_quantiles(drawing()))
    torch.testing.assert_close(bend_colors(255 * colors, curves, 255) / 255, bend_colors(colors, curves))
    far = torch.tensor([[-9.0], [0.5], [9.0]])
    assert bend_colors(far, curves).isfinite().all()
