"""Memory that stays allocated between the forward and the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from .features import make_pair
from .methods import OTHER_TRANSFERS, PACKAGE_TRANSFERS, peer_transfers
from .tables import Table

MEBIBYTE = 2**20


def saved_bytes(forward: Callable[[], Tensor], inputs: Iterable[Tensor]) -> int:
    """Return the bytes that a forward pass keeps for its backward pass.

    The inputs are included and the result is not. The bytes are counted at the allocator, so memory that a
    node keeps outside of its saved tensors is included too.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        result = forward()
    kept = sum(event.self_cpu_memory_usage for event in record.events())
    return int(kept) - result.nbytes + sum(x.nbytes for x in inputs)


def memory(sizes: Sequence[tuple[int, int]] = ((512, 4096), (128, 16384))) -> Table:
    """Measure the memory of whitening and coloring with gradients to content and style."""
    table = Table("Memory kept for the backward pass", ["method", "C", "N", "MiB", "of eigh autograd"])
    methods = peer_transfers() | PACKAGE_TRANSFERS | OTHER_TRANSFERS
    del methods["power iteration 19"]  # Its graph holds C deflations.
    for channels, samples in sizes:
        content, style, _ = make_pair("deep relu+eps", channels, samples)
        inputs = (content.requires_grad_(), style.requires_grad_())
        kept = {name: saved_bytes(partial(m, *inputs, 1e-5), inputs) for name, m in methods.items()}
        for name, size in kept.items():
            table.add(name, channels, samples, size / MEBIBYTE, size / kept["eigh autograd"])
    return table
