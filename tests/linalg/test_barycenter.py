"""The Wasserstein barycenter of Gaussians."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from styletransfer.linalg import (
    NumericalError,
    Statistics,
    compute_statistics,
    matrix_sqrt,
    transfer_map,
    wasserstein_barycenter,
)

from .matrices import CLUSTERS, DISTINCT, random_features, relative_error, with_eigenvalues


def gaussian(covariance: Tensor, seed: int = 0) -> Statistics:
    """Return statistics with the covariance [C, C] and a random mean."""
    mean = random_features(1, len(covariance), 1, seed=seed)[..., 0]
    return Statistics(mean, covariance[None], torch.ones(1, dtype=torch.float64))


def members(count: int) -> list[Statistics]:
    return [compute_statistics(random_features(1, 4, 30, seed=seed)) for seed in range(count)]


def test_one_weight_returns_that_member_itself() -> None:
    a, b, c = members(3)
    assert wasserstein_barycenter([a, b, c], [0, 5, 0]) is b


def test_two_members_lie_on_the_geodesic_of_the_monge_map() -> None:
    content, style = members(2)
    for alpha in (0.25, 0.5):
        blend = wasserstein_barycenter([content, style], [1 - alpha, alpha])
        matrix, offset = transfer_map(content, style, eps=0.0, alpha=alpha, method="monge")
        torch.testing.assert_close(matrix @ content.covariance @ matrix.mT, blend.covariance)
        moved = (matrix @ content.mean.unsqueeze(-1)).squeeze(-1) + offset
        torch.testing.assert_close(moved, blend.mean)


def test_order_and_scale_of_weights_do_not_matter() -> None:
    a, b, c = members(3)
    found = wasserstein_barycenter([a, b, c], [1, 2, 3])
    for same in (
        wasserstein_barycenter([c, a, b], [3, 1, 2]),
        wasserstein_barycenter([a, b, c], [0.1, 0.2, 0.3]),
    ):
        for part, expected in zip(same, found, strict=True):
            torch.testing.assert_close(part, expected, rtol=1e-9, atol=1e-9)


def test_iteration_agrees_with_the_geodesic() -> None:
    a, b = members(2)
    two = wasserstein_barycenter([a, b], [0.4, 0.6])
    three = wasserstein_barycenter([a, b, b], [0.4, 0.3, 0.3])
    assert relative_error(three.covariance, two.covariance) < 1e-9


def test_the_barycenter_is_stationary() -> None:
    """The barycenter S satisfies S = sum_i w_i (S^(1/2) C_i S^(1/2))^(1/2), which defines it."""
    parts, weights = members(4), [0.1, 0.2, 0.3, 0.4]
    center = wasserstein_barycenter(parts, weights).covariance
    root = matrix_sqrt(center)
    pulled = [w * matrix_sqrt(root @ part.covariance @ root) for w, part in zip(weights, parts, strict=True)]
    assert relative_error(sum(pulled[1:], pulled[0]), center) < 1e-9


def test_commuting_covariances_average_their_square_roots() -> None:
    spectra = torch.tensor([DISTINCT, CLUSTERS, (1.0, 4.0, 0.0, 9.0)], dtype=torch.float64)
    blend = wasserstein_barycenter([gaussian(torch.diag(s)) for s in spectra], [1, 1, 2])
    deviation = (spectra.sqrt() * torch.tensor([[0.25], [0.25], [0.5]])).sum(0)
    torch.testing.assert_close(blend.covariance[0], torch.diag(deviation**2), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_singular_covariances_blend_in_either_order(weight: float) -> None:
    """The blend is defined even if a channel is dead in one style, from which no map leads to the other."""
    dead_first = gaussian(torch.diag(torch.tensor([0.0, 1.0, 4.0])).double())
    dead_last = gaussian(torch.diag(torch.tensor([9.0, 1.0, 0.0])).double(), seed=1)
    there = wasserstein_barycenter([dead_first, dead_last], [1 - weight, weight])
    back = wasserstein_barycenter([dead_last, dead_first], [weight, 1 - weight])
    deviation = (1 - weight) * torch.tensor([0.0, 1.0, 2.0]) + weight * torch.tensor([3.0, 1.0, 0.0])
    for blend in (there, back):
        torch.testing.assert_close(blend.covariance[0], torch.diag(deviation.double() ** 2))


def test_channel_permutation_commutes() -> None:
    order = torch.tensor([2, 0, 3, 1])
    parts = members(3)
    moved = [Statistics(p.mean[:, order], p.covariance[:, order][:, :, order], p.count) for p in parts]
    found = wasserstein_barycenter(moved, [1, 2, 3]).covariance
    expected = wasserstein_barycenter(parts, [1, 2, 3]).covariance[:, order][:, :, order]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_batches_broadcast() -> None:
    a = compute_statistics(random_features(2, 4, 30))
    (b,) = members(1)
    blend = wasserstein_barycenter([a, b], [1, 1])
    assert blend.mean.shape == (2, 4)
    assert blend.covariance.shape == (2, 4, 4)
    assert blend.count.shape == (2,)


@pytest.mark.parametrize("count", [2, 3])
def test_gradients(count: int) -> None:
    def blended(*covariances: Tensor) -> Tensor:
        parts = [gaussian(covariance) for covariance in covariances]
        return wasserstein_barycenter(parts, range(1, count + 1)).covariance

    spectra = (DISTINCT, CLUSTERS, DISTINCT)[:count]
    points = tuple(with_eigenvalues(s, seed=i).requires_grad_() for i, s in enumerate(spectra))
    assert gradcheck(blended, points, fast_mode=True)


def test_float32_is_near_float64() -> None:
    parts = members(3)
    single = [Statistics(*(x.float() for x in part)) for part in parts]
    found = wasserstein_barycenter(single, [1, 2, 3]).covariance
    assert relative_error(found, wasserstein_barycenter(parts, [1, 2, 3]).covariance) < 1e-4


def test_invalid_input_raises() -> None:
    a, b = members(2)
    with pytest.raises(ValueError, match="need as many weights"):
        wasserstein_barycenter([a, b], [1])
    for weights in ([0, 0], [1, -1], [float("nan"), 1], [float("inf"), 1]):
        with pytest.raises(ValueError, match="weights must be"):
            wasserstein_barycenter([a, b], weights)
    with pytest.raises(ValueError, match="weights"):
        wasserstein_barycenter([], [])
    a.covariance[0, 0, 0] = torch.nan
    with pytest.raises(NumericalError, match="NaN"):
        wasserstein_barycenter([a, b], [1, 1])
