from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from styletransfer.evaluation.similarity import psnr, ssim

from .conftest import make_picture


def test_psnr_of_a_known_error(content: Tensor) -> None:
    assert psnr(torch.full((1, 3, 4, 4), 0.6), torch.full((1, 3, 4, 4), 0.5)) == pytest.approx(20, abs=1e-4)
    assert psnr(content, content) == 100


def test_ssim_of_every_window_by_the_formula() -> None:
    """Wang et al. 2004, equation 13, with plain loops over windows and pixels."""
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
            centred = [(u - mean_x, v - mean_y) for u, v in zip(x, y, strict=True)]
            var_x = sum(w * u * u for w, (u, _) in zip(weights, centred, strict=True))
            var_y = sum(w * v * v for w, (_, v) in zip(weights, centred, strict=True))
            covariance = sum(w * u * v for w, (u, v) in zip(weights, centred, strict=True))
            values.append(
                (2 * mean_x * mean_y + 1e-4)
                * (2 * covariance + 9e-4)
                / ((mean_x**2 + mean_y**2 + 1e-4) * (var_x + var_y + 9e-4))
            )
    assert ssim(a, b) == pytest.approx(sum(values) / 6, abs=1e-5)


def test_ssim_is_of_structure(content: Tensor) -> None:
    assert ssim(content, content) == pytest.approx(1)
    assert ssim(1 - content, content) < 0
    assert ssim(content * 0.9, content) > ssim(make_picture(3), content)
