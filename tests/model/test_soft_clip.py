"""The compression near black and white: in range, in order, nothing cut, little changed."""

from __future__ import annotations

import torch

from styletransfer.model import soft_clip
from styletransfer.model.autoencoder import KNEE


def test_everything_between_the_knees_stays() -> None:
    values = torch.linspace(KNEE, 1 - KNEE, 1001, dtype=torch.float64)
    torch.testing.assert_close(soft_clip(values), values, atol=1e-15, rtol=0)


def test_any_value_ends_in_range_in_the_order_it_had() -> None:
    values = torch.linspace(-3, 4, 7001, dtype=torch.float64)
    compressed = soft_clip(values)
    assert compressed.min() > 0
    assert compressed.max() < 1
    assert (compressed.diff() > 0).all()


def test_black_and_white_move_by_half_a_knee() -> None:
    compressed = soft_clip(torch.tensor([0.0, 255.0]), white=255)
    torch.testing.assert_close(compressed, 255 * torch.tensor([KNEE / 2, 1 - KNEE / 2]))


def test_both_ends_are_alike() -> None:
    values = torch.linspace(-1, 2, 301, dtype=torch.float64)
    torch.testing.assert_close(soft_clip(1 - values), 1 - soft_clip(values))


def test_gradient_is_continuous_and_never_zero() -> None:
    values = torch.linspace(-0.5, 1.5, 20001, dtype=torch.float64, requires_grad=True)
    soft_clip(values).sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert values.grad.min() > 0
    assert values.grad.max() <= 1
    assert values.grad.diff().abs().max() < 0.02
    torch.autograd.gradcheck(
        soft_clip, torch.tensor([-0.3, 0.01, 0.5, 1.2], dtype=torch.float64).requires_grad_()
    )
