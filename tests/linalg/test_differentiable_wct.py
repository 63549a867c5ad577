"""Whitening and coloring as one node: equal to its parts, with exact gradients for any features."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import mpmath
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from benchmarks.linalg.features import CASES, make_pair
from benchmarks.linalg.fuzz import count_failures
from benchmarks.linalg.memory import saved_bytes
from benchmarks.linalg.methods import PACKAGE_TRANSFERS
from benchmarks.linalg.peers import PEERS, whiten_and_color
from benchmarks.linalg.reference import reference_gradients
from styletransfer.linalg import (
    NumericalError,
    Statistics,
    TransferMethod,
    compute_statistics,
    inverse_sqrt,
    matrix_sqrt,
    statistics,
    transfer_map,
    whitening_coloring,
)

from .matrices import exact_gradient, exact_root, exact_sum, random_features, relative_error

every_method = pytest.mark.parametrize("method", get_args(TransferMethod))


def gradients_of(
    content: Tensor, style: Tensor, upstream: Tensor, transfer: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the result and its gradients to content and style."""
    content, style = content.clone().requires_grad_(), style.clone().requires_grad_()
    result = transfer(content, style)
    to_content, to_style = torch.autograd.grad(result, (content, style), upstream.expand_as(result))
    return result.detach(), to_content, to_style


@every_method
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("content", "style"), [(1, 1), (3, 3), (3, 1), (1, 3)])
def test_shape_and_dtype_are_kept(
    method: TransferMethod, dtype: torch.dtype, content: int, style: int, device: torch.device
) -> None:
    x, z = (random_features(b, 4, n, seed=n).to(device, dtype) for b, n in ((content, 9), (style, 7)))
    result = whitening_coloring(x, z, method=method)
    assert result.shape == (max(content, style), 4, 9)
    assert result.dtype == dtype
    assert result.device.type == device.type
    for i in range(len(result)):
        alone = whitening_coloring(x[i % content][None], z[i % style][None], method=method)
        torch.testing.assert_close(result[i], alone[0])


@every_method
def test_the_result_has_the_statistics_of_the_style(method: TransferMethod, device: torch.device) -> None:
    x, z = (random_features(2, 4, n, seed=n).to(device) for n in (50, 40))
    found, target = (
        compute_statistics(whitening_coloring(x, z, eps=1e-12, method=method)),
        compute_statistics(z),
    )
    torch.testing.assert_close(found.mean, target.mean)
    reached, wanted = found.covariance, target.covariance
    if method == "adain":
        reached, wanted = (c.diagonal(dim1=1, dim2=2) for c in (reached, wanted))
    torch.testing.assert_close(reached, wanted, rtol=1e-6, atol=1e-6)


@every_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_alpha_0_and_content_as_style_return_the_content(method: TransferMethod, dtype: torch.dtype) -> None:
    x, z = (random_features(1, 4, n, seed=n).to(dtype) for n in (50, 40))
    assert torch.equal(whitening_coloring(x, z, alpha=0.0, method=method), x)
    same = whitening_coloring(x, x, method=method)
    torch.testing.assert_close(same, x, rtol=1e-5, atol=1e-5)


@every_method
def test_features_and_their_statistics_are_the_same_style(method: TransferMethod) -> None:
    x, z = random_features(2, 4, 9), random_features(1, 4, 7, seed=1)
    found = whitening_coloring(x, compute_statistics(z), method=method)
    torch.testing.assert_close(found, whitening_coloring(x, z, method=method))


@every_method
def test_equals_the_transfer_map(method: TransferMethod) -> None:
    x, z = random_features(2, 4, 9), random_features(2, 4, 7, seed=1)
    matrix, offset = transfer_map(compute_statistics(x), compute_statistics(z), alpha=0.6, method=method)
    expected = matrix @ x + offset.unsqueeze(-1)
    torch.testing.assert_close(whitening_coloring(x, z, alpha=0.6, method=method), expected)


@every_method
def test_first_and_second_derivatives_of_everything(method: TransferMethod, device: torch.device) -> None:
    def transfer(x: Tensor, z: Tensor, w: Tensor, v: Tensor) -> Tensor:
        return whitening_coloring(
            x, z, content_weights=w, style_weights=v, alpha=0.7, eps=1e-2, method=method
        )

    x, z = (random_features(b, 3, n, seed=n).to(device).requires_grad_() for b, n in ((2, 6), (1, 5)))
    w, v = (
        torch.rand(b, n, dtype=torch.float64, device=device).add(0.1).requires_grad_()
        for b, n in ((1, 6), (1, 5))
    )
    assert gradcheck(transfer, (x, z, w, v))
    assert gradgradcheck(transfer, (x, z, w, v), fast_mode=True)


@every_method
def test_derivatives_to_given_statistics(method: TransferMethod) -> None:
    count = torch.ones(1, dtype=torch.float64)

    def transfer(x: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
        covariance = (covariance + covariance.mT) / 2
        return whitening_coloring(x, Statistics(mean, covariance, count), eps=1e-2, method=method)

    style = compute_statistics(random_features(1, 3, 8, seed=1))
    inputs = (random_features(2, 3, 6), style.mean, style.covariance)
    assert gradcheck(transfer, tuple(x.clone().requires_grad_() for x in inputs))
    assert gradgradcheck(transfer, tuple(x.clone().requires_grad_() for x in inputs), fast_mode=True)


@pytest.mark.parametrize("frozen", ["content", "style"])
def test_gradient_to_one_side_only(frozen: str) -> None:
    x, z = random_features(1, 3, 6), random_features(1, 3, 5, seed=1)
    (x if frozen == "style" else z).requires_grad_()
    whitening_coloring(x, z).square().sum().backward()  # type: ignore[no-untyped-call]
    assert (x.grad is None) == (frozen == "content")
    assert (z.grad is None) == (frozen == "style")


def test_backward_twice_and_without_a_graph() -> None:
    x, z = random_features(1, 3, 6).requires_grad_(), random_features(1, 3, 5, seed=1)
    result = whitening_coloring(x, z)
    first, second = (torch.autograd.grad(result.sum(), x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    with torch.no_grad():
        assert not whitening_coloring(x, z).requires_grad
    torch.testing.assert_close(whitening_coloring(x.detach(), z), result.detach())


def test_one_node_in_the_graph() -> None:
    x, z = random_features(1, 3, 6).requires_grad_(), random_features(1, 3, 5).requires_grad_()
    node = whitening_coloring(x, z).grad_fn
    assert node is not None
    leaves = [parent for parent, _ in node.next_functions if parent is not None]
    assert {type(leaf).__name__ for leaf in leaves} == {"AccumulateGrad"}


@pytest.mark.parametrize("channels", [16, 64])
@pytest.mark.parametrize("name", CASES)
def test_gradient_against_80_bits(name: str, channels: int, device: torch.device) -> None:
    """The relative error is at most 1e-4 for float32 features (2e-4 if rank-deficient), 2e-7 for float64."""
    content, style, upstream = make_pair(name, channels, 512)
    eps = CASES[name].eps
    arrays = [x[0].double().numpy() for x in (content, style, upstream)]
    truth = reference_gradients(arrays[0], arrays[1], arrays[2], eps)
    single = 2e-4 if "deficient" in name else 1e-4
    for dtype, tolerance in ((torch.float32, single), (torch.float64, 2e-7)):
        x, z, r = (x.to(device, dtype) for x in (content, style, upstream))
        found = gradients_of(x, z, r, lambda x, z: whitening_coloring(x, z, eps=eps))
        for part, exact in zip(found, truth, strict=True):
            assert relative_error(part[0], torch.from_numpy(exact)) < tolerance


# Rows of a Hadamard matrix have mean 0 and the identity as covariance, exactly. Scaled rows give equal
# eigenvalues in clusters.
HADAMARD = torch.tensor(
    [
        [1, -1, 1, -1, 1, -1, 1, -1],
        [1, 1, -1, -1, 1, 1, -1, -1],
        [1, -1, -1, 1, 1, -1, -1, 1],
        [1, 1, 1, 1, -1, -1, -1, -1],
    ]
)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-7)], ids=str)
@pytest.mark.parametrize("scales", [(2, 2, 2, 2), (4, 4, 1, 1)], ids=str)
def test_exact_ties_against_50_digits(
    scales: tuple[int, ...], dtype: torch.dtype, tolerance: float, device: torch.device
) -> None:
    content = HADAMARD.double() * torch.tensor(scales)[:, None]
    style = HADAMARD[[1, 0, 3, 2]].double() * torch.tensor([[3], [3], [1], [1]])
    upstream = torch.arange(32.0).reshape(4, 8).remainder(7) - 3

    def covariance(features: mpmath.matrix) -> mpmath.matrix:
        mean = mpmath.matrix([mpmath.fsum(features[i, j] for j in range(8)) / 8 for i in range(4)])
        ones = mpmath.ones(1, 8)
        return (features - mean * ones) * (features - mean * ones).T / 8, mean, ones

    def loss(x: mpmath.matrix, z: mpmath.matrix) -> mpmath.mpf:
        a, mean_x, ones = covariance(x)
        b, mean_z, _ = covariance(z)
        result = exact_root(b, 0.5) * exact_root(a, -0.5) * (x - mean_x * ones) + mean_z * ones
        return exact_sum(upstream, result)

    with mpmath.workdps(60):
        fixed_x, fixed_z = (mpmath.matrix(x.tolist()) for x in (content, style))
        truth = (
            exact_gradient(lambda x: loss(x, fixed_z), content),
            exact_gradient(lambda z: loss(fixed_x, z), style),
        )
    x, z, r = (part.to(device, dtype)[None] for part in (content, style, upstream))
    _, *found = gradients_of(x, z, r, lambda x, z: whitening_coloring(x, z, eps=0.0))
    for part, exact in zip(found, truth, strict=True):
        assert relative_error(part[0], exact) < tolerance


def test_soft_masks_restrict_the_statistics() -> None:
    x, z = random_features(1, 3, 20), random_features(1, 3, 20, seed=1)
    inside = torch.arange(20) < 12
    mask = inside.double()[None]
    found = whitening_coloring(x, z, content_weights=mask, style_weights=mask)
    expected = whitening_coloring(x[..., inside], z[..., inside])
    torch.testing.assert_close(found[..., inside], expected)
    assert torch.isfinite(found).all()


def test_empty_style_mask_raises_but_empty_content_mask_does_not() -> None:
    x, z = random_features(1, 3, 5), random_features(1, 3, 5, seed=1)
    result = whitening_coloring(x, z, content_weights=torch.zeros(1, 5))
    torch.testing.assert_close(result, z.mean(-1, keepdim=True).expand_as(result))
    with pytest.raises(NumericalError, match="style weights"):
        whitening_coloring(x, z, style_weights=torch.zeros(1, 5))


@every_method
@pytest.mark.parametrize("samples", [1, 2])
def test_fewer_samples_than_channels(method: TransferMethod, samples: int) -> None:
    x, z = random_features(1, 4, samples).float(), random_features(1, 4, 9, seed=1).float()
    found = gradients_of(x, z, torch.ones(1), lambda x, z: whitening_coloring(x, z, method=method))
    assert all(torch.isfinite(part).all() for part in found)
    if samples == 1:
        torch.testing.assert_close(found[0], z.mean(-1, keepdim=True))


def test_scale_of_content_and_style(device: torch.device) -> None:
    x, z = (random_features(1, 4, 50, seed=s).float().to(device) for s in (0, 1))
    upstream = torch.randn_like(x)
    transfer = whitening_coloring
    result, to_content, to_style = gradients_of(x, z, upstream, transfer)
    for a, b in ((1e-15, 1e15), (1e15, 1e-15), (1e-12, 1e-12)):
        scaled = gradients_of(x * a, z * b, upstream, transfer)
        for found, expected in zip(scaled, (result * b, to_content * (b / a), to_style), strict=True):
            assert relative_error(found, expected.double()) < 1e-5


def test_large_common_offset_keeps_accuracy() -> None:
    """Features are 1e5 standard deviations from zero, and their float32 values are transferred exactly."""
    x, z = ((random_features(1, 4, 50, seed=s) + 1e5).float() for s in (0, 1))
    upstream = random_features(1, 4, 50, seed=2)
    found = gradients_of(x, z, upstream.float(), whitening_coloring)
    exact = gradients_of(x.double(), z.double(), upstream, whitening_coloring)
    assert relative_error(found[0], exact[0]) < 1e-7
    for part, truth in zip(found[1:], exact[1:], strict=True):
        assert relative_error(part, truth) < 1e-5


@pytest.mark.parametrize("eps", [1e-5, 0.0])
def test_random_trials_stay_finite(eps: float) -> None:
    raised, not_finite = count_failures(
        PACKAGE_TRANSFERS["fused, float64 statistics"], eps, trials=200, seed=1
    )
    assert (raised, not_finite) == (0, 0)


def test_permuting_channels_commutes() -> None:
    x, z, order = random_features(1, 4, 9), random_features(1, 4, 7, seed=1), torch.tensor([2, 0, 3, 1])
    for method in ("eigh", "newton_schulz", "adain", "monge"):
        found = whitening_coloring(x[:, order], z[:, order], method=method)
        torch.testing.assert_close(found, whitening_coloring(x, z, method=method)[:, order])


def test_float32_statistics_are_float32(device: torch.device) -> None:
    x, z = (random_features(1, 4, 50, seed=s).float().to(device) for s in (0, 1))
    found = whitening_coloring(x, z, statistics_dtype=torch.float32)
    exact = whitening_coloring(x, z)
    assert 0 < relative_error(found, exact) < 1e-4


def test_autocast_does_not_lower_the_precision() -> None:
    x, z = random_features(1, 4, 9).float().requires_grad_(), random_features(1, 4, 7, seed=1).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = whitening_coloring(x, z)
    assert torch.equal(result, whitening_coloring(x, z))


def test_saves_less_memory_than_the_chain_of_parts() -> None:
    x, z = (random_features(1, 64, 512, seed=s).float().requires_grad_() for s in (0, 1))
    ours = saved_bytes(lambda: whitening_coloring(x, z), (x, z))
    chain = saved_bytes(lambda: whiten_and_color(x, z, PEERS["eigh autograd"], 1e-5), (x, z))
    assert ours < 0.62 * chain


@pytest.mark.slow
def test_newton_schulz_exports_without_an_eigendecomposition() -> None:
    class Transfer(torch.nn.Module):
        def forward(self, content: Tensor, style: Tensor) -> Tensor:
            return whitening_coloring(content, style, method="newton_schulz")

    x, z = random_features(1, 3, 9).float(), random_features(1, 3, 7, seed=1).float()
    with torch.no_grad():
        program = torch.export.export(Transfer(), (x, z))
    names = {str(node.target) for node in program.graph.nodes}
    assert not any("eigh" in name or "svd" in name for name in names)
    torch.testing.assert_close(program.module()(x, z), whitening_coloring(x, z), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("which", ["content", "style"])
def test_nonfinite_input_raises(which: str) -> None:
    features = {"content": random_features(1, 3, 5), "style": random_features(1, 3, 5, seed=1)}
    features[which][0, 1, 2] = torch.inf
    for grad in (False, True):
        features["content"].requires_grad_(grad)
        with pytest.raises(NumericalError, match=rf"{which}.* 1 infinite .*\(0, 1, 2\)"):
            whitening_coloring(features["content"], features["style"])


def test_invalid_input_raises() -> None:
    x = random_features(2, 3, 5)
    with pytest.raises(ValueError, match="content must be real"):
        whitening_coloring(x[0], x)
    with pytest.raises(ValueError, match="style must be real"):
        whitening_coloring(x, x[0])
    with pytest.raises(ValueError, match="channels must be equal"):
        whitening_coloring(x, random_features(2, 4, 5))
    with pytest.raises(ValueError, match="batches must be equal or 1"):
        whitening_coloring(x, random_features(3, 3, 5))
    with pytest.raises(ValueError, match="style_weights require style features"):
        whitening_coloring(x, compute_statistics(x), style_weights=torch.ones(2, 5))
    with pytest.raises(ValueError, match="alpha"):
        whitening_coloring(x, x, alpha=2.0)
    with pytest.raises(ValueError, match="eps"):
        whitening_coloring(x, x, eps=-1.0)


def test_the_node_equals_its_parts() -> None:
    """A chain of separate nodes for roots and products gives the same value and gradient."""
    x, z, upstream = (random_features(1, 4, 30, seed=s) for s in range(3))

    def chain(x: Tensor, z: Tensor) -> Tensor:
        a, b = compute_statistics(x), compute_statistics(z)
        matrix = matrix_sqrt(b.covariance, eps=1e-5) @ inverse_sqrt(a.covariance, eps=1e-5)
        return matrix @ (x - a.mean.unsqueeze(-1)) + b.mean.unsqueeze(-1)

    for found, expected in zip(
        gradients_of(x, z, upstream, whitening_coloring), gradients_of(x, z, upstream, chain), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_statistics_may_be_on_another_device(
    second_device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features stay on a device without float64, such as MPS; statistics and C x C matrices go to the CPU."""
    monkeypatch.setattr(statistics, "supports_dtype", lambda placement: placement.device.type == "cpu")
    x, z, upstream = (random_features(1, 4, 30, seed=s).float() for s in range(3))
    expected = gradients_of(x, z, upstream, whitening_coloring)
    assert compute_statistics(x.to(second_device)).mean.device.type == "cpu"
    x, z, upstream = (part.to(second_device) for part in (x, z, upstream))
    found = gradients_of(x, z, upstream, whitening_coloring)
    for part, truth in zip(found, expected, strict=True):
        assert part.device.type == "lazy"
        torch.testing.assert_close(part.cpu(), truth, rtol=1e-5, atol=1e-5)
