from __future__ import annotations

import pytest
import torch
from torch import Tensor

from styletransfer.transfer.gram import gram


@pytest.fixture
def features() -> Tensor:
    return torch.randn(2, 5, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_every_entry_is_the_mean_product_of_two_channels(features: Tensor) -> None:
    expected = torch.tensor(
        [[[(a * b).mean() for b in picture] for a in picture] for picture in features], dtype=torch.float64
    )
    torch.testing.assert_close(gram(features), expected)


def test_order_and_repetition_of_pixels_do_not_matter(features: Tensor) -> None:
    shuffled = features[:, :, torch.randperm(30, generator=torch.Generator().manual_seed(1))]
    torch.testing.assert_close(gram(torch.cat([shuffled, features], dim=2)), gram(features))


def test_permuting_channels_permutes_both_sides(features: Tensor) -> None:
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(gram(features[:, order]), gram(features)[:, order][:, :, order])


def test_gradient() -> None:
    assert torch.autograd.gradcheck(gram, torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True))
