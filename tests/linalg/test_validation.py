"""Checks of inputs, and the messages of their errors."""

from __future__ import annotations

import pytest
import torch

from styletransfer.linalg import NumericalError
from styletransfer.linalg.psd_matrices import require_finite


def test_error_counts_and_locates_nonfinite_values() -> None:
    values = torch.zeros(2, 3, 4)
    values[1, 0, 2], values[1, 2, 3], values[1, 2, 0] = torch.nan, torch.inf, -torch.inf
    message = r"features holds 1 NaN and 2 infinite among 24 values, the first at \(1, 0, 2\)"
    with pytest.raises(NumericalError, match=message):
        require_finite("features", values)


def test_opposite_infinities_raise_and_an_overflowing_sum_does_not() -> None:
    with pytest.raises(NumericalError):
        require_finite("x", torch.tensor([torch.inf, -torch.inf]))
    require_finite("x", torch.full((4,), torch.finfo(torch.float32).max))
