from __future__ import annotations

import pytest
import torch
from torch import Tensor

from styletransfer.evaluation.stability import warp_rmse


def unclipped(content: Tensor) -> Tensor:
    """Keep away from black and white, where noise is cut off."""
    return 0.2 + 0.6 * content


def test_frames_as_they_are_differ_by_the_noise_of_two(content: Tensor) -> None:
    assert warp_rmse(lambda frame: frame, unclipped(content)) == pytest.approx(2**0.5 * 2 / 255, rel=0.02)


def test_what_sticks_to_the_screen_counts(content: Tensor) -> None:
    """A pattern that stays while the picture moves, of period 2: every pixel is off by its contrast."""

    def overlay(frame: Tensor) -> Tensor:
        columns = torch.arange(frame.shape[3]) % 2
        return torch.full_like(frame, 0.5) + 0.1 * columns

    assert warp_rmse(overlay, unclipped(content)) == pytest.approx(0.1, rel=1e-4)


def test_flicker_counts(content: Tensor) -> None:
    shifts = iter([0.0, 0.1, 0.0])
    assert warp_rmse(lambda frame: frame + next(shifts), unclipped(content)) == pytest.approx(0.1, rel=0.02)


def test_same_noise_every_time(content: Tensor) -> None:
    first, again, other = (warp_rmse(lambda frame: frame, content, seed) for seed in (0, 0, 1))
    assert first == again != other
