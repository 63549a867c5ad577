"""Transforms of `torch.func`, forward-mode differentiation, the meta device and `torch.compile`."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.func import grad, jacfwd, jacrev, jvp, vmap

from styletransfer.linalg import (
    Statistics,
    TransferMethod,
    ZCAWhitening,
    compute_statistics,
    eigh,
    inverse_sqrt,
    matrix_sqrt,
    merge_statistics,
    newton_schulz_roots,
    spectral_function,
    spectral_projector,
    transfer_map,
    wasserstein_barycenter,
    whitening_coloring,
)

from .matrices import CLUSTERS, DISTINCT, random_features, with_eigenvalues

# Forward-mode differentiation in torch itself uses a deprecated function when it is loaded.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

Operation = Callable[[Tensor], Tensor]

OTHER_COVARIANCE = with_eigenvalues((2.0, 1.0, 0.5), seed=5)[None]


def rebuild(matrix: Tensor) -> Tensor:
    """Return a matrix function of eigenvalues and eigenvectors, which does not depend on their signs."""
    eigenvalues, vectors = eigh(matrix, backward="exact")
    return (vectors * eigenvalues.sqrt().unsqueeze(-2)) @ vectors.mT


def map_matrix(method: TransferMethod) -> Operation:
    """Return the operation that maps a covariance [C, C] to the matrix of a transfer map [C, C]."""

    def operation(covariance: Tensor) -> Tensor:
        zero, one = torch.zeros(1, 3, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        style = Statistics(zero, OTHER_COVARIANCE, one)
        content = Statistics(zero, (covariance + covariance.mT)[None] / 2, one)
        return transfer_map(content, style, method=method)[0][0]

    return operation


def style_matrix(covariance: Tensor) -> Tensor:
    """Return the matrix of the map to a style whose covariance is the argument."""
    zero, one = torch.zeros(1, 3, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    content = Statistics(zero, OTHER_COVARIANCE, one)
    return transfer_map(content, Statistics(zero, covariance[None], one))[0][0]


MATRIX_OPERATIONS: dict[str, Operation] = {
    "eigh": rebuild,
    "sqrt": matrix_sqrt,
    "inverse sqrt + eps": lambda a: inverse_sqrt(a, eps=0.1),
    "truncated": lambda a: inverse_sqrt(a, rtol=0.2),
    "exp": lambda a: spectral_function(a, torch.exp),
    "projector": lambda a: spectral_projector(a, 2),
    "newton-schulz root": lambda a: newton_schulz_roots(a)[0],
    "newton-schulz inverse": lambda a: newton_schulz_roots(a)[1],
    "map eigh": map_matrix("eigh"),
    "map to style": style_matrix,
    "map newton_schulz": map_matrix("newton_schulz"),
    "map cholesky": map_matrix("cholesky"),
    "map adain": map_matrix("adain"),
    "map monge": map_matrix("monge"),
}
WEIGHTS = torch.rand(1, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
STYLE = random_features(1, 3, 8, seed=1)
FEATURE_OPERATIONS: dict[str, Operation] = {
    "covariance": lambda x: compute_statistics(x[None]).covariance[0],
    "weighted covariance": lambda x: compute_statistics(x[None], WEIGHTS).covariance[0],
    "weighted mean": lambda x: compute_statistics(x[None], WEIGHTS).mean[0],
    "weights": lambda x: compute_statistics(STYLE[..., :6], x[:1].square()).covariance[0],
    "merge": lambda x: merge_statistics(compute_statistics(x[None]), compute_statistics(STYLE)).covariance[0],
    "content": lambda x: whitening_coloring(x[None], STYLE, content_weights=WEIGHTS, alpha=0.7, eps=0.1)[0],
    "style": lambda x: whitening_coloring(STYLE, x[None], eps=0.1)[0],
    "style statistics": lambda x: whitening_coloring(STYLE, compute_statistics(x[None]), method="monge")[0],
}
MATRICES = torch.stack([with_eigenvalues(x, seed=i) for i, x in enumerate(((3.0, 2, 0.1), (1.5, 1, 0.1)))])
FEATURES = random_features(2, 3, 6)
OPERATIONS = {name: (operation, MATRICES) for name, operation in MATRIX_OPERATIONS.items()} | {
    name: (operation, FEATURES) for name, operation in FEATURE_OPERATIONS.items()
}
every_operation = pytest.mark.parametrize(("operation", "batch"), OPERATIONS.values(), ids=OPERATIONS.keys())


def autograd_jacobian(operation: Operation, point: Tensor) -> Tensor:
    """Return the Jacobian, row by row with `torch.autograd.grad`."""
    point = point.clone().requires_grad_()
    result = operation(point)
    rows = [torch.autograd.grad(entry, point, retain_graph=True)[0] for entry in result.flatten()]
    return torch.stack(rows).view(*result.shape, *point.shape)


def autograd_hessian(loss: Operation, point: Tensor) -> Tensor:
    """Return the Hessian of a loss, row by row with `torch.autograd.grad`."""
    point = point.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(point), point, create_graph=True)
    rows = [torch.autograd.grad(entry, point, retain_graph=True)[0] for entry in gradient.flatten()]
    return torch.stack(rows).view(*point.shape, *point.shape)


@every_operation
@pytest.mark.parametrize("with_grad", [True, False])
def test_vmap_equals_a_loop(operation: Operation, batch: Tensor, with_grad: bool) -> None:
    with torch.set_grad_enabled(with_grad):
        together = vmap(operation)(batch)
        torch.testing.assert_close(together, torch.stack([operation(x) for x in batch]))
        moved = vmap(operation, in_dims=-1)(batch.movedim(0, -1))
        torch.testing.assert_close(moved, together)


@every_operation
def test_jacobians(operation: Operation, batch: Tensor) -> None:
    expected = [autograd_jacobian(operation, x) for x in batch]
    for x, truth in zip(batch, expected, strict=True):
        torch.testing.assert_close(jacrev(operation)(x), truth)
        torch.testing.assert_close(jacfwd(operation)(x), truth)
    torch.testing.assert_close(vmap(jacrev(operation))(batch), torch.stack(expected))
    torch.testing.assert_close(vmap(jacfwd(operation))(batch), torch.stack(expected))


@every_operation
def test_gradients_and_products(operation: Operation, batch: Tensor) -> None:
    def loss(x: Tensor) -> Tensor:
        return operation(x).square().sum()

    point = batch[0].clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(point), point)
    torch.testing.assert_close(grad(loss)(batch[0]), expected)
    torch.testing.assert_close(vmap(grad(loss))(batch)[0], expected)
    tangent = torch.randn(batch[0].shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    value, product, *_ = jvp(loss, (batch[0],), (tangent,))
    torch.testing.assert_close(value, loss(batch[0]))
    torch.testing.assert_close(product, (expected * tangent).sum())


@every_operation
def test_forward_mode(operation: Operation, batch: Tensor) -> None:
    point = batch[0].clone().requires_grad_()
    assert gradcheck(operation, point, check_forward_ad=True)


@every_operation
def test_hessian(operation: Operation, batch: Tensor) -> None:
    def loss(x: Tensor) -> Tensor:
        return operation(x).square().sum()

    expected = autograd_hessian(loss, batch[0])
    torch.testing.assert_close(jacfwd(jacrev(loss))(batch[0]), expected)
    torch.testing.assert_close(jacrev(jacrev(loss))(batch[0]), expected)


def test_hessian_at_equal_eigenvalues() -> None:
    def loss(x: Tensor) -> Tensor:
        return inverse_sqrt(x)[0, 1] ** 2 + matrix_sqrt(x)[1, 2]

    matrix = with_eigenvalues(CLUSTERS)
    expected = autograd_hessian(loss, matrix)
    torch.testing.assert_close(jacfwd(jacrev(loss))(matrix), expected)


def test_third_derivative_raises() -> None:
    def loss(x: Tensor) -> Tensor:
        return matrix_sqrt(x).square().sum()

    matrix = with_eigenvalues(DISTINCT).requires_grad_()
    (first,) = torch.autograd.grad(loss(matrix), matrix, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), matrix, create_graph=True)
    with pytest.raises(NotImplementedError, match="twice"):
        torch.autograd.grad(second.sum(), matrix)


def test_vmap_of_a_barycenter_and_of_a_layer() -> None:
    one = torch.ones(1, dtype=torch.float64)
    mean = torch.zeros(1, 3, dtype=torch.float64)

    def blend(covariance: Tensor) -> Tensor:
        others = [Statistics(mean, matrix[None], one) for matrix in MATRICES]
        return wasserstein_barycenter(
            [Statistics(mean, covariance[None], one), *others], [1, 1, 1]
        ).covariance

    torch.testing.assert_close(vmap(blend)(MATRICES), torch.stack([blend(x) for x in MATRICES]))
    layer = ZCAWhitening(3).double().eval()
    torch.testing.assert_close(
        vmap(layer)(FEATURES[:, None]), torch.stack([layer(x[None]) for x in FEATURES])
    )


def flatten(result: Tensor | tuple[Tensor, ...]) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


META_CALLS: dict[str, Callable[[Tensor, Tensor], Tensor | tuple[Tensor, ...]]] = {
    "eigh": lambda features, matrices: eigh(matrices),
    "inverse sqrt": lambda features, matrices: inverse_sqrt(matrices),
    "exp": lambda features, matrices: spectral_function(matrices, torch.exp),
    "projector": lambda features, matrices: spectral_projector(matrices, 2),
    "newton-schulz": lambda features, matrices: newton_schulz_roots(matrices),
    "statistics": lambda features, matrices: compute_statistics(features, features[:, 0].square()),
    "transfer map": lambda features, matrices: transfer_map(
        compute_statistics(features), compute_statistics(features), method="cholesky"
    ),
    "whitening and coloring": lambda features, matrices: whitening_coloring(
        features, features, style_weights=features[:, 0]
    ),
    "layer": lambda features, matrices: ZCAWhitening(4).to("meta")(features),
    "barycenter": lambda features, matrices: wasserstein_barycenter(
        [compute_statistics(features)] * 3, [1, 1, 1]
    ),
}


@pytest.mark.parametrize("name", META_CALLS)
def test_meta_device(name: str) -> None:
    features = torch.zeros(2, 4, 9, device="meta", requires_grad=True)
    matrices = torch.zeros(2, 4, 4, device="meta", requires_grad=True)
    outputs = flatten(META_CALLS[name](features, matrices))
    assert all(output.is_meta for output in outputs)
    torch.stack([output.sum() for output in outputs]).sum().backward()  # type: ignore[no-untyped-call]
    assert any(x.grad is not None and x.grad.is_meta for x in (features, matrices))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("training", [True, False])
def test_compile_a_layer_without_graph_breaks(training: bool) -> None:
    torch.compiler.reset()
    layer, compiled = (ZCAWhitening(6, groups=2).train(training) for _ in range(2))
    run: Operation = torch.compile(compiled, fullgraph=True, backend="aot_eager")
    features = [random_features(4, 6, 10).float().requires_grad_() for _ in range(2)]
    results = [layer(features[0]), run(features[1])]
    torch.testing.assert_close(*results)
    for result in results:
        result.square().mul(torch.linspace(0, 1, 10)).sum().backward()
    torch.testing.assert_close(features[0].grad, features[1].grad)
    for name, value in layer.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], value)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", get_args(TransferMethod))
def test_compile_whitening_and_coloring(method: TransferMethod) -> None:
    torch.compiler.reset()

    def transfer(content: Tensor, style: Tensor) -> Tensor:
        return whitening_coloring(content, style, method=method)

    run = torch.compile(transfer, fullgraph=True, backend="aot_eager")
    content, style = (random_features(1, 3, n, seed=n).requires_grad_() for n in (9, 8))
    results = [operation(content, style) for operation in (transfer, run)]
    torch.testing.assert_close(*results)
    expected, found = (torch.autograd.grad(result.square().sum(), (content, style)) for result in results)
    for part, truth in zip(found, expected, strict=True):
        torch.testing.assert_close(part, truth)
