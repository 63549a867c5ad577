"""Transfers of feature maps and blends of statistics."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from styletransfer.model import measure_levels
from styletransfer.transfer import blend_statistics, transfer_features
from styletransfer.transfer.feature_transform import METHODS


def features(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    # Eigenvalues far above the EPS of the transfer, which keeps back what is far below the mean one.
    mixing = 2 * torch.eye(shape[1]) + 0.5 * torch.randn(shape[1], shape[1], generator=generator)
    return torch.einsum("dc,bchw->bdhw", mixing, torch.randn(*shape, generator=generator)) + 3


@pytest.mark.parametrize("transform", METHODS)
def test_statistics_become_the_targets(transform: str) -> None:
    content, style = features(2, 6, 20, 30), features(1, 6, 17, 19, seed=1)
    target = measure_levels([style])[0]
    reached = measure_levels([transfer_features(content, target, transform)])[0]
    torch.testing.assert_close(reached.mean, target.mean.expand(2, -1), atol=1e-3, rtol=1e-3)
    variances = torch.diagonal(reached.covariance, dim1=1, dim2=2)
    torch.testing.assert_close(
        variances, torch.diagonal(target.covariance, dim1=1, dim2=2).expand(2, -1), atol=1e-2, rtol=1e-2
    )
    if transform != "adain":
        torch.testing.assert_close(
            reached.covariance, target.covariance.expand(2, -1, -1), atol=1e-2, rtol=1e-2
        )


@pytest.mark.parametrize("transform", METHODS)
def test_own_statistics_change_nothing(transform: str) -> None:
    content = features(1, 6, 20, 30)
    moved = transfer_features(content, measure_levels([content])[0], transform)
    torch.testing.assert_close(moved, content, atol=1e-3, rtol=1e-3)


def test_type_and_shape_stay() -> None:
    content = features(2, 4, 5, 6).to(torch.bfloat16)
    moved = transfer_features(content, measure_levels([features(1, 4, 9, 9)])[0])
    assert moved.dtype == torch.bfloat16
    assert moved.shape == content.shape


def test_blend_needs_no_normalised_weights() -> None:
    one, two = measure_levels([features(1, 4, 9, 9)]), measure_levels([features(1, 4, 9, 9, seed=2)])
    small, large = blend_statistics([one, two], [1, 3]), blend_statistics([one, two], [10, 30])
    torch.testing.assert_close(small[0].covariance, large[0].covariance)
    torch.testing.assert_close(small[0].mean, 0.25 * one[0].mean + 0.75 * two[0].mean)


def test_blend_moves_from_one_end_to_the_other() -> None:
    one, two = measure_levels([features(1, 4, 9, 9)]), measure_levels([features(1, 4, 9, 9, seed=2)])
    distances = [
        (blend_statistics([one, two], [1 - share, share])[0].covariance - two[0].covariance).norm().item()
        for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] == 0
