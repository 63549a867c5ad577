"""Maps between statistics: every method reaches its target."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from styletransfer.linalg import (
    NumericalError,
    Statistics,
    TransferMethod,
    compute_statistics,
    transfer_map,
)

from .matrices import CLUSTERS, DISTINCT, IDENTITY, SPECTRA, gradient, random_features, with_eigenvalues

every_method = pytest.mark.parametrize("method", get_args(TransferMethod))
COVARIANCE_METHODS = [method for method in get_args(TransferMethod) if method != "adain"]


def make_statistics(*seeds: int, channels: int = 4) -> Statistics:
    """Return statistics of random features, one batch entry per seed."""
    return compute_statistics(torch.cat([random_features(1, channels, 50, seed=seed) for seed in seeds]))


@every_method
@pytest.mark.parametrize(("content", "style"), [((0, 1), (2, 3)), ((0, 1), (2,)), ((0,), (2, 3))], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_batches_broadcast_and_dtype_is_kept(
    method: TransferMethod,
    content: tuple[int, ...],
    style: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    a, b = (Statistics(*(x.to(device, dtype) for x in make_statistics(*seeds))) for seeds in (content, style))
    matrix, offset = transfer_map(a, b, method=method)
    assert matrix.shape == (2, 4, 4)
    assert offset.shape == (2, 4)
    assert matrix.dtype == offset.dtype == dtype
    for i in range(2):
        one = Statistics(*(x[i : i + 1] if len(content) > 1 else x for x in a))
        other = Statistics(*(x[i : i + 1] if len(style) > 1 else x for x in b))
        single, _ = transfer_map(one, other, method=method)
        torch.testing.assert_close(single[0], matrix[i])


@pytest.mark.parametrize("method", COVARIANCE_METHODS)
def test_reaches_mean_and_covariance(method: TransferMethod, device: torch.device) -> None:
    content, style = (Statistics(*(x.to(device) for x in make_statistics(seed))) for seed in (0, 1))
    matrix, offset = transfer_map(content, style, eps=0.0, method=method)
    torch.testing.assert_close(matrix @ content.covariance @ matrix.mT, style.covariance)
    torch.testing.assert_close((matrix @ content.mean.unsqueeze(-1)).squeeze(-1) + offset, style.mean)


def test_adain_reaches_the_variances() -> None:
    content, style = make_statistics(0), make_statistics(1)
    matrix, _ = transfer_map(content, style, eps=0.0, method="adain")
    reached = matrix @ content.covariance @ matrix.mT
    torch.testing.assert_close(reached.diagonal(dim1=1, dim2=2), style.covariance.diagonal(dim1=1, dim2=2))
    assert torch.equal(matrix[0], torch.diag(matrix[0].diagonal()))


def test_properties_of_the_methods() -> None:
    content, style = make_statistics(0), make_statistics(1)
    matrices = {m: transfer_map(content, style, eps=0.0, method=m)[0][0] for m in COVARIANCE_METHODS}
    torch.testing.assert_close(matrices["newton_schulz"], matrices["eigh"])
    assert not matrices["cholesky"].triu(1).any()
    torch.testing.assert_close(matrices["monge"], matrices["monge"].mT)
    # The Monge map moves the samples least, so its trace of the cross-covariance is the largest.
    traces = {m: float((matrix @ content.covariance[0]).trace()) for m, matrix in matrices.items()}
    assert max(traces, key=traces.__getitem__) == "monge"
    assert len({round(trace, 6) for trace in traces.values()}) == 3


@every_method
def test_alpha_0_is_the_identity(method: TransferMethod) -> None:
    matrix, offset = transfer_map(make_statistics(0), make_statistics(1), alpha=0.0, method=method)
    assert torch.equal(matrix[0], torch.eye(4, dtype=torch.float64))
    assert not offset.any()


@every_method
def test_content_as_its_own_style_gives_the_identity(method: TransferMethod) -> None:
    statistics = make_statistics(0)
    matrix, offset = transfer_map(statistics, statistics, method=method)
    torch.testing.assert_close(matrix[0], torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-11)
    torch.testing.assert_close(offset, torch.zeros_like(offset), rtol=0, atol=1e-11)


def test_alpha_interpolates_the_root_of_the_target() -> None:
    content, style = make_statistics(0), make_statistics(1)
    matrix, _ = transfer_map(content, style, eps=0.0, alpha=0.3)
    target = matrix @ content.covariance @ matrix.mT
    roots = [torch.linalg.eigh(s.covariance) for s in (content, style)]
    first, second = ((u * values.sqrt().unsqueeze(-2)) @ u.mT for values, u in roots)
    blend = 0.7 * first + 0.3 * second
    torch.testing.assert_close(target, blend @ blend)


@every_method
@pytest.mark.parametrize(
    "spectra", [(DISTINCT, CLUSTERS), (CLUSTERS, CLUSTERS), (IDENTITY, IDENTITY)], ids=str
)
def test_first_and_second_derivatives(method: TransferMethod, spectra: tuple[tuple[float, ...], ...]) -> None:
    def mapped(a: Tensor, b: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        count = torch.ones(1, dtype=torch.float64)
        zero = torch.zeros_like(mean)
        # Cholesky reads one triangle only, so differentiate along symmetric matrices.
        a, b = (a + a.mT) / 2, (b + b.mT) / 2
        return transfer_map(
            Statistics(mean, a, count), Statistics(zero, b, count), eps=1e-3, alpha=0.8, method=method
        )

    mean = torch.ones(1, 4, dtype=torch.float64).requires_grad_()
    a, b = (with_eigenvalues(s, seed=i)[None].requires_grad_() for i, s in enumerate(spectra))
    assert gradcheck(mapped, (a, b, mean))
    assert gradgradcheck(mapped, (a, b, mean), fast_mode=True)


@every_method
@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_content_without_variance_gets_the_mean_only(method: TransferMethod, eps: float) -> None:
    style = make_statistics(1)
    flat = Statistics(torch.ones(1, 4).double(), torch.zeros(1, 4, 4).double().requires_grad_(), style.count)
    if method == "newton_schulz" and eps == 0.0:
        eps = 1e-5  # It needs a positive definite style.
    matrix, offset = transfer_map(flat, style, eps=eps, method=method)
    assert not matrix.any()
    torch.testing.assert_close(offset, style.mean)
    assert torch.isfinite(gradient(matrix, flat.covariance)).all()


@every_method
def test_style_without_variance_gives_a_constant(method: TransferMethod) -> None:
    content = make_statistics(0)
    flat = Statistics(torch.ones(1, 4).double(), torch.zeros(1, 4, 4).double(), content.count)
    matrix, offset = transfer_map(content, flat, method=method)
    assert not matrix.any()
    torch.testing.assert_close(offset, flat.mean)


def test_dead_channels_are_left_out_if_eps_is_0() -> None:
    features, style = random_features(1, 4, 50), make_statistics(1)
    features[:, 1] = 2.0
    features[:, 3] = features[:, 0]
    content = compute_statistics(features)
    methods: tuple[TransferMethod, ...] = ("eigh", "monge")
    for method in methods:
        matrix, _ = transfer_map(content, style, eps=0.0, method=method)
        assert torch.linalg.matrix_rank(matrix[0]) == 2
        assert matrix.abs().max() < 100
        torch.testing.assert_close(matrix[0, :, 1], torch.zeros(4).double(), rtol=0, atol=1e-9)


def test_cholesky_of_a_singular_covariance_raises() -> None:
    singular = compute_statistics(random_features(1, 4, 2))
    with pytest.raises(NumericalError, match=r"content covariance is not positive definite.*eps > 0"):
        transfer_map(singular, make_statistics(1), eps=0.0, method="cholesky")


@every_method
@pytest.mark.parametrize("which", ["content", "style"])
def test_nonfinite_covariance_raises(method: TransferMethod, which: str) -> None:
    statistics = {"content": make_statistics(0), "style": make_statistics(1)}
    statistics[which].covariance[0, 2, 2] = torch.nan
    with pytest.raises(NumericalError, match="NaN"):
        transfer_map(statistics["content"], statistics["style"], method=method)


def test_options_out_of_range_raise() -> None:
    content, style = make_statistics(0), make_statistics(1)
    with pytest.raises(ValueError, match="eigh, newton_schulz, cholesky, adain, monge"):
        transfer_map(content, style, method="zca")  # type: ignore[arg-type]
    for alpha in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="alpha"):
            transfer_map(content, style, alpha=alpha)
    with pytest.raises(ValueError, match="eps"):
        transfer_map(content, style, eps=-1.0)


@pytest.mark.parametrize("eigenvalues", SPECTRA.values(), ids=SPECTRA.keys())
def test_newton_schulz_gradient_is_exact(eigenvalues: tuple[float, ...]) -> None:
    gradients = []
    methods: tuple[TransferMethod, ...] = ("eigh", "newton_schulz")
    for method in methods:
        a = with_eigenvalues(eigenvalues)[None].requires_grad_()
        one = torch.ones(1, dtype=torch.float64)
        mean = torch.zeros(1, 4, dtype=torch.float64)
        target = Statistics(mean, with_eigenvalues(DISTINCT, seed=5)[None], one)
        matrix, _ = transfer_map(Statistics(mean, a, one), target, method=method)
        gradients.append(gradient(matrix.square().sum(), a))
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)
