"""Colors of one picture given to another."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from styletransfer.evaluation import swd_rgb
from styletransfer.linalg import compute_statistics
from styletransfer.transfer.color_lut import apply_lut, identity_lut
from styletransfer.transfer.color_transfer import (
    LARGEST_SLOPE,
    ColorDistribution,
    ColorHistogram,
    compress_gamut,
    fit_color_lut,
    gaussian_color_map,
)


def random_colors(count: int, seed: int) -> Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))


def summarize(colors: Tensor, weights: Tensor | None = None) -> ColorDistribution:
    histogram = ColorHistogram()
    for start in range(0, len(colors), 1000):
        part = slice(start, start + 1000)
        histogram.add(colors[part], None if weights is None else weights[part])
    distribution = histogram.summarize()
    assert distribution is not None
    return distribution


@pytest.fixture
def photograph() -> Tensor:
    """Bright and bluish colors."""
    return (random_colors(4000, 0) ** 0.5 * torch.tensor([0.8, 0.9, 1.0])).contiguous()


@pytest.fixture
def painting() -> Tensor:
    """Dark and reddish colors, more of them near black than near white."""
    return (random_colors(4000, 1) ** 1.5 * torch.tensor([0.9, 0.7, 0.6])).contiguous()


def as_picture(colors: Tensor) -> Tensor:
    return colors.T[None, :, None]


def test_a_histogram_keeps_mean_and_weights(photograph: Tensor) -> None:
    weights = torch.rand(4000, generator=torch.Generator().manual_seed(3))
    distribution = summarize(photograph, weights)
    expected = compute_statistics(photograph.T[None], weights[None])
    found = distribution.compute_statistics()
    torch.testing.assert_close(found.mean, expected.mean, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.covariance, expected.covariance, atol=4e-4, rtol=0)
    assert distribution.weights.sum().item() == pytest.approx(1)
    assert ColorHistogram().summarize() is None


def test_the_gaussian_map_reaches_mean_and_covariance(photograph: Tensor, painting: Tensor) -> None:
    content, style = (compute_statistics(colors.double().T[None]) for colors in (photograph, painting))
    matrix, offset = gaussian_color_map(content, style)
    mapped = compute_statistics((photograph.double() @ matrix.mT + offset).T[None])
    torch.testing.assert_close(mapped.mean, style.mean)
    torch.testing.assert_close(mapped.covariance, style.covariance, atol=1e-5, rtol=1e-3)
    assert torch.linalg.eigvalsh(gaussian_color_map(content, style, 0.5)[0]).max() < 0.5001


def test_colors_are_those_of_the_style(photograph: Tensor, painting: Tensor) -> None:
    content, style = summarize(photograph), summarize(painting)
    graded = apply_lut(fit_color_lut(content, [style], [1]), photograph)
    statistics = content.compute_statistics(), style.compute_statistics()
    matrix, offset = gaussian_color_map(*statistics)
    gaussian = (photograph @ matrix.float().mT + offset.float()).clamp(0, 1)
    distances = [swd_rgb(as_picture(each), as_picture(painting)) for each in (photograph, gaussian, graded)]
    assert distances[0] > 0.2
    assert distances[2] < 0.5 * distances[1]


def test_own_colors_change_hardly(photograph: Tensor) -> None:
    content = summarize(photograph)
    graded = apply_lut(fit_color_lut(content, [content], [1]), photograph)
    assert (graded - photograph).abs().max() < 0.02


def test_a_blend_is_between_its_styles(photograph: Tensor, painting: Tensor) -> None:
    content, first, second = summarize(photograph), summarize(painting), summarize(1 - painting)
    alone = fit_color_lut(content, [first], [1])
    assert fit_color_lut(content, [first, second], [2, 0]).equal(alone)
    torch.testing.assert_close(fit_color_lut(content, [first, first], [2, 1]), alone, atol=2e-3, rtol=0)
    blend = apply_lut(fit_color_lut(content, [first, second], [3, 1]), photograph)
    expected = 0.75 * painting.mean(0) + 0.25 * (1 - painting).mean(0)
    assert (blend.mean(0) - expected).abs().max() < 0.02


def test_slopes_are_bounded(photograph: Tensor, painting: Tensor) -> None:
    foggy = photograph * 0.1 + 0.4
    table = fit_color_lut(summarize(foggy), [summarize(painting)], [1])
    assert table.min() >= 0
    assert table.max() <= 1
    for axis in range(3):
        assert table.diff(dim=axis).abs().max() * 32 < 1.02 * LARGEST_SLOPE


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_colors(painting: Tensor, count: int) -> None:
    colors = torch.tensor([[0.2, 0.5, 0.7], [1, 1, 1], [0, 0, 0]])[:count]
    few = summarize(colors)
    onto_few = fit_color_lut(summarize(painting), [few], [1])
    from_few = apply_lut(fit_color_lut(few, [summarize(painting)], [1]), colors)
    assert onto_few.isfinite().all()
    assert from_few.isfinite().all()
    if count == 1:
        assert (from_few - painting.mean(0)).abs().max() < 0.02
        assert (apply_lut(onto_few, painting) - colors).abs().max() < 0.02


def test_gray_stays_gray() -> None:
    gray = random_colors(2000, 0)[:, :1].expand(-1, 3).contiguous()
    table = fit_color_lut(summarize(random_colors(2000, 1)), [summarize(gray**2)], [1])
    graded = apply_lut(table, random_colors(2000, 1))
    assert (graded.amax(1) - graded.amin(1)).max() < 0.004
    assert graded.std() > 0.1


def test_colors_are_brought_into_the_range_smoothly() -> None:
    colors = torch.randn(10_000, 3, generator=torch.Generator().manual_seed(0)).double()
    inside = compress_gamut(colors)
    assert inside.min() >= 0
    assert inside.max() <= 1
    moderate = identity_lut(9).view(-1, 3).double() * 0.4 + 0.3
    torch.testing.assert_close(compress_gamut(moderate), moderate)
    luma = torch.tensor([0.299, 0.587, 0.114]).double()
    direction = torch.tensor([0.5, 0.1, -0.4]).double()
    direction -= direction @ luma
    ramp = compress_gamut(0.5 + torch.linspace(0, 3, 301).double()[:, None] * direction)
    assert (ramp.diff(dim=0) * direction.sign() > 0).all()  # it never stops where a hard edge would
    assert ramp.diff(dim=0).diff(dim=0).abs().max() < 1e-3  # 4e-3 at a hard edge
    chroma = ramp - (ramp @ luma)[:, None]
    cosines = torch.nn.functional.cosine_similarity(chroma[1:], chroma[1:2])
    assert cosines.min() > 0.9999  # hues stay
