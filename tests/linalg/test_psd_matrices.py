"""Operations on symmetric and positive semi-definite matrices."""

from __future__ import annotations

import pytest
import torch

from styletransfer.linalg.psd_matrices import PANEL_ROWS, power_of_four_scale, symmetric_product

from .matrices import random_features


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_power_of_four_is_near_the_mean_eigenvalue(dtype: torch.dtype) -> None:
    means = torch.tensor([1e-30, 0.3, 1.0, 4.0, 5.0, 1e20, 0.0], dtype=dtype)
    scale = power_of_four_scale(means[:, None, None] * torch.eye(3, dtype=dtype)).flatten()
    exponents = scale.double().log2()
    assert torch.equal(exponents, exponents.round())
    assert not (exponents % 2).any()
    assert ((means / scale)[:-1] > 0.2).all()
    assert ((means / scale)[:-1] < 4.1).all()
    assert scale[-1] == 1


@pytest.mark.parametrize("channels", [1, PANEL_ROWS, PANEL_ROWS + 1, 2 * PANEL_ROWS + 7])
def test_symmetric_product_is_the_product(channels: int) -> None:
    factor = random_features(2, channels, 5)
    result = symmetric_product(factor, factor.mT)
    torch.testing.assert_close(result, factor @ factor.mT)
    assert torch.equal(result, result.mT)
