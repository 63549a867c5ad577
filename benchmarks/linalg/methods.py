"""The methods of whitening and coloring that the tables compare, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from styletransfer.linalg import whitening_coloring

from .peers import PEERS, whiten_and_color

Transfer = Callable[[Tensor, Tensor, float], Tensor]  # content, style, eps -> result


def package_transfer(
    content: Tensor, style: Tensor, eps: float, *, dtype: torch.dtype, method: str = "eigh"
) -> Tensor:
    """Apply `whitening_coloring` of the package."""
    return whitening_coloring(content, style, eps=eps, statistics_dtype=dtype, method=method)  # type: ignore[arg-type]


def peer_transfer(content: Tensor, style: Tensor, eps: float, *, name: str) -> Tensor:
    """Apply whitening and coloring with the matrix square roots of a published method."""
    return whiten_and_color(content, style, PEERS[name], eps)


PACKAGE_TRANSFERS: dict[str, Transfer] = {
    "fused, float32 statistics": partial(package_transfer, dtype=torch.float32),
    "fused, float64 statistics": partial(package_transfer, dtype=torch.float64),
}
OTHER_TRANSFERS: dict[str, Transfer] = {
    "fused, newton-schulz": partial(package_transfer, dtype=torch.float64, method="newton_schulz"),
    "fused, cholesky": partial(package_transfer, dtype=torch.float64, method="cholesky"),
    "fused, monge": partial(package_transfer, dtype=torch.float64, method="monge"),
}


def peer_transfers(names: Iterable[str] = PEERS) -> dict[str, Transfer]:
    """Return published methods by name."""
    return {name: partial(peer_transfer, name=name) for name in names}


def gradients(
    transfer: Transfer, content: Tensor, style: Tensor, upstream: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Return the gradients of <upstream, result> to content and style."""
    content, style = content.detach().requires_grad_(), style.detach().requires_grad_()
    result = transfer(content, style, eps)
    to_content, to_style = torch.autograd.grad(result, (content, style), upstream)
    return to_content, to_style
