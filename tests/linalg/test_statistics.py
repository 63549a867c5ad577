"""Mean and covariance of features: accuracy, merging, gradients and errors."""

from __future__ import annotations

import itertools
import re

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from styletransfer.linalg import NumericalError, Statistics, compute_statistics, merge_statistics, moments

from .matrices import gradient, random_features, relative_error


def assert_statistics_close(found: Statistics, truth: Statistics, tolerance: float = 1e-12) -> None:
    for part, expected in zip(found, truth, strict=True):
        torch.testing.assert_close(part, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("features_dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 50), (1, 300, 40)], ids=str)
def test_against_the_definition(
    shape: tuple[int, int, int], dtype: torch.dtype, features_dtype: torch.dtype, device: torch.device
) -> None:
    features = random_features(*shape).to(device, features_dtype)
    found = compute_statistics(features, dtype=dtype)
    exact = features.double()
    centered = exact - exact.mean(-1, keepdim=True)
    covariance = centered @ centered.mT / shape[2]
    assert found.mean.device.type == found.covariance.device.type == device.type
    assert found.mean.dtype == torch.promote_types(dtype, features.dtype)
    tolerance = 1e-12 if found.mean.dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found.mean.double(), exact.mean(-1), rtol=tolerance, atol=tolerance)
    assert (found.covariance - covariance).norm() <= tolerance * covariance.norm()
    assert torch.equal(found.covariance, found.covariance.mT)
    assert torch.equal(found.count.cpu(), torch.full(shape[:1], shape[2], dtype=found.count.dtype))


def test_integer_weights_are_repeated_samples() -> None:
    features = random_features(2, 3, 5)
    repeats = torch.tensor([2, 0, 1, 3, 1])
    found = compute_statistics(features, repeats.double()[None])
    assert_statistics_close(found, compute_statistics(features.repeat_interleave(repeats, dim=-1)))


def test_zero_weights_give_the_neutral_element() -> None:
    features = random_features(1, 3, 5)
    nothing = compute_statistics(features, torch.zeros(1, 5))
    assert not any(part.any() for part in nothing)
    something = compute_statistics(features)
    assert_statistics_close(merge_statistics(nothing, something), something)
    assert_statistics_close(merge_statistics(something, nothing), something)
    assert not any(part.any() for part in merge_statistics(nothing, nothing))


@pytest.mark.parametrize("weighted", [False, True])
def test_merged_tiles_equal_the_whole(weighted: bool, device: torch.device) -> None:
    features = random_features(2, 4, 1000, dtype=torch.float32).to(device) * 3 + 1000
    weights = torch.rand(2, 1000, generator=torch.Generator().manual_seed(0)).to(device) if weighted else None
    whole = compute_statistics(features, weights)
    cuts = [0, 1, 17, 500, 999, 1000]
    tiles = [
        compute_statistics(features[..., a:b], None if weights is None else weights[:, a:b])
        for a, b in itertools.pairwise(cuts)
    ]
    for order in (tiles, tiles[::-1]):
        merged = merge_statistics(*order)
        for part, expected in zip(merged, whole, strict=True):
            assert relative_error(part, expected) < 1e-13


def test_block_size_does_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    features = random_features(2, 3, 5000, dtype=torch.float32)
    assert len(list(moments.iterate_blocks(features))) == 1
    whole = compute_statistics(features)
    monkeypatch.setattr(moments, "CPU_BLOCK_VALUES", 1)
    assert len(list(moments.iterate_blocks(features))) == 5
    assert_statistics_close(compute_statistics(features), whole)


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_large_common_offset_keeps_accuracy(offset: float) -> None:
    features = (random_features(1, 4, 1000) + offset).float()
    exact = features.double()
    centered = exact - exact.mean(-1, keepdim=True)
    assert relative_error(compute_statistics(features).covariance, centered @ centered.mT / 1000) < 1e-10
    point = features.requires_grad_()
    found = gradient(compute_statistics(point).covariance[0, 0, 1], point)
    truth = torch.zeros_like(centered)
    truth[0, 0], truth[0, 1] = centered[0, 1] / 1000, centered[0, 0] / 1000
    assert relative_error(found, truth) < 1e-6


def test_values_near_the_end_of_float32_do_not_overflow() -> None:
    features = random_features(1, 3, 1000).float() * 3e37
    assert torch.isfinite(compute_statistics(features).covariance).all()


def test_gradients() -> None:
    features = random_features(2, 3, 6).requires_grad_()
    weights = torch.rand(2, 6, dtype=torch.float64).requires_grad_()
    assert gradcheck(compute_statistics, (features,))
    assert gradcheck(compute_statistics, (features, weights))
    assert gradgradcheck(compute_statistics, (features, weights))


def test_merging_is_differentiable() -> None:
    def merged(first: Tensor, second: Tensor) -> Statistics:
        return merge_statistics(compute_statistics(first), compute_statistics(second))

    assert gradcheck(merged, tuple(random_features(1, 2, n).requires_grad_() for n in (3, 4)))


def test_float32_gradient_is_near_float64() -> None:
    upstream = random_features(1, 4, 4)
    gradients = []
    for dtype in (torch.float64, torch.float32):
        features = random_features(1, 4, 200).to(dtype).requires_grad_()
        gradients.append(gradient(compute_statistics(features).covariance, features, upstream))
    assert relative_error(gradients[1], gradients[0]) < 1e-6


@pytest.mark.parametrize("index", [(0, 1, 2), (1, 0, 0)])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_nonfinite_features_raise(value: float, index: tuple[int, int, int]) -> None:
    features = random_features(2, 3, 4)
    features[index] = value
    with pytest.raises(NumericalError, match=re.escape(f"among 24 values, the first at {index}")):
        compute_statistics(features)


def test_overflow_of_finite_features_raises() -> None:
    with pytest.raises(NumericalError, match="covariance of finite features"):
        compute_statistics(random_features(1, 3, 4) * 1e200)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (torch.ones(2, 3), r"weights must be \[2 or 1, 4\], got \[2, 3\]"),
        (torch.ones(4), "weights must be"),
        (-torch.ones(2, 4), "negative"),
    ],
)
def test_invalid_weights_raise(weights: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compute_statistics(random_features(2, 3, 4), weights)


def test_nonfinite_weights_raise() -> None:
    with pytest.raises(NumericalError, match="weights holds 1 NaN"):
        compute_statistics(random_features(1, 3, 2), torch.tensor([[1.0, torch.nan]]))


@pytest.mark.parametrize("bad", [torch.ones(3, 4), torch.ones(1, 3, 0), torch.ones(1, 3, 4).int()], ids=str)
def test_features_of_another_form_raise(bad: Tensor) -> None:
    with pytest.raises(ValueError, match="features must be real"):
        compute_statistics(bad)
