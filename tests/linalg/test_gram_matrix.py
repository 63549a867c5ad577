from __future__ import annotations

import pytest
import torch
from torch import Tensor

from styletransfer.linalg import gram_matrix


@pytest.fixture
def features() -> Tensor:
    return torch.randn(2, 5, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_every_entry_is_the_mean_product_of_two_channels(features: Tensor) -> None:
    expected = torch.tensor(
        [[[(a * b).mean() for b in picture] for a in picture] for picture in features], dtype=torch.float64
    )
    torch.testing.assert_close(gram_matrix(features), expected)


def test_order_and_repetition_of_pixels_do_not_matter(features: Tensor) -> None:
    shuffled = features[:, :, torch.randperm(30, generator=torch.Generator().manual_seed(1))]
    torch.testing.assert_close(gram_matrix(torch.cat([shuffled, features], dim=2)), gram_matrix(features))


def test_permuting_channels_permutes_both_sides(features: Tensor) -> None:
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(gram_matrix(features[:, order]), gram_matrix(features)[:, order][:, :, order])


def test_sums_of_half_precision_are_single(features: Tensor) -> None:
    low = features.bfloat16().requires_grad_()
    matrix = gram_matrix(low)
    assert matrix.dtype == torch.float32
    torch.testing.assert_close(matrix, gram_matrix(low.detach().float()))
    exact = low.detach().float().requires_grad_()
    weights = torch.randn(matrix.shape, generator=torch.Generator().manual_seed(2))
    for each in (low, exact):
        (gram_matrix(each) * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert low.grad is not None
    assert exact.grad is not None
    torch.testing.assert_close(low.grad.float(), exact.grad, atol=2e-3, rtol=2e-2)


def test_gradient() -> None:
    features = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gram_matrix, features)
