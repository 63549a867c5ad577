from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d

from styletransfer.evaluation.gaussian_filter import build_gaussian_pyramid, filter_separably, sample_gaussian


def test_taps_sum_to_one_and_have_the_variance_of_the_gaussian() -> None:
    taps = sample_gaussian(sigma=1.5, radius=8)
    positions = torch.arange(-8.0, 9.0)
    assert taps.sum().item() == pytest.approx(1)
    assert (taps * positions**2).sum().item() == pytest.approx(1.5**2, rel=1e-3)


def test_separable_filter_equals_the_filter_of_two_dimensions() -> None:
    pictures = torch.rand(2, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    taps = torch.tensor([0.2, 0.5, 0.3])
    whole = torch.outer(taps, taps).expand(3, 1, 3, 3)
    torch.testing.assert_close(filter_separably(pictures, taps), conv2d(pictures, whole, groups=3))


def test_octaves_halve_the_sides_and_keep_a_plain_color() -> None:
    gray = torch.full((1, 3, 13, 8), 0.4)
    octaves = build_gaussian_pyramid(gray, 3)
    assert [tuple(octave.shape[2:]) for octave in octaves] == [(13, 8), (7, 4), (4, 2)]
    torch.testing.assert_close(octaves[2], torch.full((1, 3, 4, 2), 0.4))


def test_the_finest_checkerboard_is_gray_an_octave_up() -> None:
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    board = ((rows + columns) % 2).float().expand(1, 3, 16, 16)
    _, octave = build_gaussian_pyramid(board, 2)
    torch.testing.assert_close(octave, torch.full((1, 3, 8, 8), 0.5))
