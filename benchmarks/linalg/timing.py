"""Time of the inverse square root, and of whitening and coloring, on one core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from styletransfer.linalg import inverse_sqrt

from .accuracy import CHANNELS, relative_error
from .features import CASES, make_pair
from .memory import MEBIBYTE, saved_bytes
from .methods import OTHER_TRANSFERS, PACKAGE_TRANSFERS, Transfer, gradients, peer_transfers
from .peers import PEERS, Peer
from .stopwatch import compare
from .tables import Table

SIZES = ((512, 4096), (128, 16384), (32, 65536))


def layer_time(channels: Sequence[int] = CHANNELS, seconds: float = 2.0) -> Table:
    """Time inverse square roots, forward and backward, relative to one `torch.linalg.eigh`."""
    table = Table("Inverse square root, forward + backward", ["method", "dtype", "C", "ms", "of one eigh"])
    for width in channels:
        for dtype in (torch.float32, torch.float64):
            noise = torch.randn(1, width, 4 * width, generator=torch.Generator().manual_seed(0)).to(dtype)
            matrix, upstream = noise @ noise.mT / (4 * width), torch.randn_like(noise[..., :width])
            layers: dict[str, Callable[[Tensor], Tensor]] = {"exact": inverse_sqrt}
            layers |= {name: partial(_invert, peer) for name, peer in PEERS.items()}
            if width > 32:
                del layers["power iteration 19"]
            tasks: dict[str, Callable[[], object]] = {"one eigh": partial(torch.linalg.eigh, matrix)}
            tasks |= {name: partial(_run_layer, layer, matrix, upstream) for name, layer in layers.items()}
            once = sum(compare(tasks, 1).values()) / 1000
            times = compare(tasks, max(7, min(501, int(seconds / once))))
            for name, time in times.items():
                table.add(name, str(dtype).removeprefix("torch."), width, time, time / times["one eigh"])
    return table


def _invert(peer: Peer, matrix: Tensor) -> Tensor:
    return peer(matrix, -0.5)


def _run_layer(layer: Callable[[Tensor], Tensor], matrix: Tensor, upstream: Tensor) -> None:
    point = matrix.detach().requires_grad_()
    torch.autograd.grad(layer(point), point, upstream)


def whole_transfer(sizes: Sequence[tuple[int, int]] = SIZES, repetitions: int = 9) -> Table:
    """Measure time, memory and error of whitening and coloring of deep float32 features."""
    columns = ["method", "C", "N", "ms", "of taylor 9", "MiB kept", "of eigh autograd", "gradient error"]
    table = Table("Whitening and coloring, forward + backward", columns)
    eps = CASES["deep relu+eps"].eps
    for width, samples in sizes:
        inputs = make_pair("deep relu+eps", width, samples)
        content, style, _ = inputs
        double = [x.double() for x in inputs]
        truths = gradients(
            PACKAGE_TRANSFERS["fused, float64 statistics"], double[0], double[1], double[2], eps
        )
        names = ("taylor 9", "eigh autograd", "svd autograd", "newton-schulz 5", "mpa-lya", "cholesky")
        methods = peer_transfers(names) | PACKAGE_TRANSFERS | OTHER_TRANSFERS
        times = compare(
            {name: partial(gradients, m, *inputs, eps) for name, m in methods.items()}, repetitions
        )
        kept = {name: _kept(method, content, style, eps) for name, method in methods.items()}
        for name, method in methods.items():
            found = gradients(method, *inputs, eps)
            errors = [relative_error(g, t) for g, t in zip(found, truths, strict=True)]
            other_map = "cholesky" in name or "monge" in name
            table.add(
                name,
                width,
                samples,
                times[name],
                times[name] / times["taylor 9"],
                kept[name] / MEBIBYTE,
                kept[name] / kept["eigh autograd"],
                "another map" if other_map else float(torch.tensor(errors).max()),
            )
    return table


def _kept(transfer: Transfer, content: Tensor, style: Tensor, eps: float) -> int:
    inputs = (content.detach().requires_grad_(), style.detach().requires_grad_())
    return saved_bytes(partial(transfer, *inputs, eps), inputs)
