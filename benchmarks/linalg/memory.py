"""Memory that stays allocated between forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from styletransfer.linalg import whitening_coloring

from .features import make_pair
from .peers import PEERS, whiten_and_color
from .tables import Table

MEBIBYTE = 2**20


def saved_bytes(forward: Callable[[], Tensor], inputs: Iterable[Tensor]) -> int:
    """Return the bytes that a forward pass keeps for its backward pass, inputs included and the result not.

    Counted at the allocator, so that no node can hide what it keeps.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        result = forward()
    kept = sum(event.self_cpu_memory_usage for event in record.events())
    return int(kept) - result.nbytes + sum(x.nbytes for x in inputs)


def memory() -> Table:
    """Measure the whole whitening and coloring at the sizes of a large and a small network."""
    table = Table("Memory kept for the backward pass", ["method", "C", "N", "MiB", "of eigh autograd"])
    for channels, samples in ((512, 4096), (128, 16384)):
        content, style, _ = make_pair("deep relu+eps", channels, samples)
        inputs = (content.requires_grad_(), style.requires_grad_())
        methods: dict[str, Callable[[], Tensor]] = {
            name: (lambda peer=PEERS[name]: whiten_and_color(*inputs, peer, 1e-5))
            for name in ("eigh autograd", "svd autograd", "taylor 9", "newton-schulz 10", "mpa-lya")
        }
        for dtype in (torch.float32, torch.float64):
            name = f"fused, {str(dtype).removeprefix('torch.')} statistics"
            methods[name] = lambda dtype=dtype: whitening_coloring(*inputs, statistics_dtype=dtype)
        methods["fused, newton-schulz"] = lambda: whitening_coloring(*inputs, method="newton_schulz")
        base = saved_bytes(methods["eigh autograd"], inputs)
        for name, forward in methods.items():
            kept = saved_bytes(forward, inputs)
            table.add(name, channels, samples, kept / MEBIBYTE, kept / base)
    return table
