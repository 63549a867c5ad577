from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from styletransfer.evaluation.pixel_metrics import clipped, pan_rmse, psnr, spread_directions, ssim, swd_rgb

from .conftest import make_picture


def test_psnr_of_a_known_error(content: Tensor) -> None:
    assert psnr(torch.full((1, 3, 4, 4), 0.6), torch.full((1, 3, 4, 4), 0.5)) == pytest.approx(20, abs=1e-4)
    assert psnr(content, content) == 100


def test_ssim_follows_the_published_formula() -> None:
    """Wang et al. 2004, equation 13, in plain loops over windows and pixels."""
    a, b = make_picture(1, 13, 12), make_picture(2, 13, 12)
    luma = [0.299 * x[0, 0] + 0.587 * x[0, 1] + 0.114 * x[0, 2] for x in (a.double(), b.double())]
    positions = [(row, column) for row in range(11) for column in range(11)]
    weights = [math.exp(-((row - 5) ** 2 + (column - 5) ** 2) / (2 * 1.5**2)) for row, column in positions]
    weights = [weight / sum(weights) for weight in weights]
    values = []
    for top in range(3):
        for left in range(2):
            x, y = ([plane[top + row, left + column].item() for row, column in positions] for plane in luma)
            mean_x, mean_y = (sum(w * v for w, v in zip(weights, z, strict=True)) for z in (x, y))
            centered = [(u - mean_x, v - mean_y) for u, v in zip(x, y, strict=True)]
            var_x = sum(w * u * u for w, (u, _) in zip(weights, centered, strict=True))
            var_y = sum(w * v * v for w, (_, v) in zip(weights, centered, strict=True))
            covariance = sum(w * u * v for w, (u, v) in zip(weights, centered, strict=True))
            values.append(
                (2 * mean_x * mean_y + 1e-4)
                * (2 * covariance + 9e-4)
                / ((mean_x**2 + mean_y**2 + 1e-4) * (var_x + var_y + 9e-4))
            )
    assert ssim(a, b) == pytest.approx(sum(values) / 6, abs=1e-5)


def test_ssim_compares_structure_more_than_brightness(content: Tensor) -> None:
    assert ssim(content, content) == pytest.approx(1)
    assert ssim(1 - content, content) < 0
    assert ssim(content * 0.9, content) > ssim(make_picture(3), content)


def paint(*color: float, size: tuple[int, int] = (8, 8)) -> Tensor:
    return torch.tensor(color)[None, :, None, None].expand(1, 3, *size).float()


@pytest.mark.parametrize("other", [(1, 1, 1), (0.5, 0, 0), (0, 0.3, 0.4)])
def test_distance_of_two_plain_colors_is_half_their_euclidean_distance(
    other: tuple[float, float, float],
) -> None:
    """The mean of |cos| over the sphere is 1/2."""
    distance = sum(channel**2 for channel in other) ** 0.5
    assert swd_rgb(paint(0, 0, 0), paint(*other, size=(3, 5))) == pytest.approx(distance / 2, rel=0.04)


def test_histograms_agree_with_sorting(content: Tensor) -> None:
    other = content.flip(1) * 0.7
    a, b = content[0].flatten(1), other[0].flatten(1)
    directions = spread_directions(32)
    exact = ((directions @ a).sort(dim=1)[0] - (directions @ b).sort(dim=1)[0]).abs().mean().item()
    assert swd_rgb(content, other) == pytest.approx(exact, abs=1e-4)


def test_color_distance_ignores_positions(content: Tensor) -> None:
    assert swd_rgb(content.flip(2), content) == 0
    assert swd_rgb(torch.cat([content, content], dim=2), content) == pytest.approx(0, abs=1e-9)


def test_directions_are_spread_evenly() -> None:
    directions = spread_directions(32)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(32))
    torch.testing.assert_close(directions.mT @ directions / 32, torch.eye(3) / 3, atol=0.02, rtol=0)


def test_clipped_counts_values_that_round_to_black_or_white() -> None:
    values = torch.tensor([0.0, 0.001, 0.003, 0.5, 0.997, 0.9985, 1.0, -0.5, 1.2, 0.25, 0.75, 0.1])
    assert clipped(values.view(1, 3, 2, 2)) == pytest.approx(6 / 12)


def unclipped(content: Tensor) -> Tensor:
    """Keep the picture away from black and white, where the noise would be clipped."""
    return 0.2 + 0.6 * content


def test_unchanged_frames_differ_by_the_noise_of_two_frames(content: Tensor) -> None:
    assert pan_rmse(lambda frame: frame, unclipped(content)) == pytest.approx(2**0.5 * 2 / 255, rel=0.02)


def test_pan_rmse_sees_a_pattern_that_does_not_move_with_the_picture(content: Tensor) -> None:
    """The pattern has period 2 and the pan moves by 3, so every pixel differs by the contrast."""

    def overlay(frame: Tensor) -> Tensor:
        columns = torch.arange(frame.shape[3]) % 2
        return torch.full_like(frame, 0.5) + 0.1 * columns

    assert pan_rmse(overlay, unclipped(content)) == pytest.approx(0.1, rel=1e-4)


def test_pan_rmse_sees_flicker(content: Tensor) -> None:
    shifts = iter([0.0, 0.1, 0.0])
    assert pan_rmse(lambda frame: frame + next(shifts), unclipped(content)) == pytest.approx(0.1, rel=0.02)


def test_pan_noise_depends_only_on_the_seed(content: Tensor) -> None:
    first, again, other = (pan_rmse(lambda frame: frame, content, seed) for seed in (0, 0, 1))
    assert first == again != other
