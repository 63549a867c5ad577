"""Every way to whiten and color that the tables compare, under the names they print."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from styletransfer.linalg import whitening_coloring

from .peers import PEERS, whiten_and_color

Transfer = Callable[[Tensor, Tensor, float], Tensor]  # content, style, eps -> result


def ours(content: Tensor, style: Tensor, eps: float, *, dtype: torch.dtype, method: str = "eigh") -> Tensor:
    """Apply the package's node."""
    return whitening_coloring(content, style, eps=eps, statistics_dtype=dtype, method=method)  # type: ignore[arg-type]


def theirs(content: Tensor, style: Tensor, eps: float, *, name: str) -> Tensor:
    """Apply a peer's chain."""
    return whiten_and_color(content, style, PEERS[name], eps)


OURS: dict[str, Transfer] = {
    "fused, float32 statistics": partial(ours, dtype=torch.float32),
    "fused, float64 statistics": partial(ours, dtype=torch.float64),
}
OTHERS: dict[str, Transfer] = {
    "fused, newton-schulz": partial(ours, dtype=torch.float64, method="newton_schulz"),
    "fused, cholesky": partial(ours, dtype=torch.float64, method="cholesky"),
    "fused, monge": partial(ours, dtype=torch.float64, method="monge"),
}


def theirs_by_name(names: Iterable[str] = PEERS) -> dict[str, Transfer]:
    """Return peers by name."""
    return {name: partial(theirs, name=name) for name in names}


def gradients(
    transfer: Transfer, content: Tensor, style: Tensor, upstream: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Return the gradients of <upstream, result> to content and style."""
    content, style = content.detach().requires_grad_(), style.detach().requires_grad_()
    result = transfer(content, style, eps)
    to_content, to_style = torch.autograd.grad(result, (content, style), upstream)
    return to_content, to_style
