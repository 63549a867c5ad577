"""Means of the moments of contents."""

from __future__ import annotations

import torch
from torch import Tensor

from styletransfer.linalg import Statistics, compute_statistics, merge_statistics
from styletransfer.transfer.content_moments import ContentMoments, merge_moments


def measure(seed: int, samples: int = 50) -> Statistics:
    generator = torch.Generator().manual_seed(seed)
    return compute_statistics(torch.randn(1, 4, samples, generator=generator) + seed)


def moments(seed: int, bias: Tensor | None = None) -> ContentMoments:
    found = [[measure(seed + 10)], [measure(seed + 20)]]
    return ContentMoments(
        [[measure(seed)]], found, {3: [bias]}, [torch.rand(3, 5) + seed], [torch.rand(3, 9)]
    )


def test_the_mean_is_the_union_of_the_samples() -> None:
    parts = [measure(seed, 50 * (seed + 1)) for seed in range(3)]
    mean, wanted = merge_moments(parts, [1, 1, 1]), merge_statistics(*parts)
    torch.testing.assert_close(mean.mean, wanted.mean)
    torch.testing.assert_close(mean.covariance, wanted.covariance)


def test_weights_count_like_repetitions() -> None:
    first, second = measure(0), measure(1)
    mean, wanted = merge_moments([first, second], [2, 1]), merge_statistics(first, first, second)
    torch.testing.assert_close(mean.mean, wanted.mean)
    torch.testing.assert_close(mean.covariance, wanted.covariance)


def test_the_mean_of_equals_is_equal_to_the_bit() -> None:
    part = moments(0, torch.rand(7))
    mean = ContentMoments.mean([part] * 3, [0.1, 0.7, 0.3])
    for found, wanted in zip([*mean.levels, *mean.found], [*part.levels, *part.found], strict=True):
        assert all(map(torch.equal, found[0], wanted[0]))
    assert torch.equal(mean.biases[3][0], part.biases[3][0])  # type: ignore[arg-type]
    assert torch.equal(mean.colors[0], part.colors[0])
    assert torch.equal(mean.quantiles[0], part.quantiles[0])


def test_distributions_of_colors_are_mixed_by_their_weights() -> None:
    parts = [moments(0), moments(1)]
    mean = ContentMoments.mean(parts, [1, 3])
    for found, first, second in (
        (mean.colors, parts[0].colors, parts[1].colors),
        (mean.quantiles, parts[0].quantiles, parts[1].quantiles),
    ):
        torch.testing.assert_close(found[0], first[0].lerp(second[0], 0.75))


def test_biases_have_weights_of_their_own() -> None:
    parts = [moments(0, torch.zeros(7)), moments(1, torch.ones(7)), moments(2, torch.ones(5))]
    mean = ContentMoments.mean(parts, [1, 1, 1], [1, 3, 0])
    bias = mean.biases[3][0]
    assert bias is not None
    torch.testing.assert_close(bias, torch.full((7,), 0.75))
    assert ContentMoments.mean(parts, [1, 1, 1], [0, 0, 0]).biases == {}


def test_regions_without_pixels_count_nothing() -> None:
    empty = compute_statistics(torch.rand(1, 4, 3), torch.zeros(1, 3))
    mean = merge_moments([empty, measure(1)], [5, 1])
    torch.testing.assert_close(mean.mean, measure(1).mean)
    torch.testing.assert_close(mean.covariance, measure(1).covariance)
