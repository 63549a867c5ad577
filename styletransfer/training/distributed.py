"""Distributed training: one process per GPU, started by `torchrun`."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


class Processes(NamedTuple):
    """This process among all processes that train one network.

    Attributes:
        rank: Number of this process. Only process 0 writes files.
        world_size: Number of processes.
        device: Device of this process.
    """

    rank: int
    world_size: int
    device: torch.device


def join_processes(device: torch.device) -> Processes:
    """Join the process group if `torchrun` started this program; otherwise this is the only process.

    Args:
        device: The type of device to use. Where there are several GPUs, every process takes its own.
    """
    if not dist.is_torchelastic_launched():
        return Processes(0, 1, device)
    if device.type == "cuda":
        device = torch.device("cuda", dist.get_node_local_rank())
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Processes(dist.get_rank(), dist.get_world_size(), device)


def average_gradients(module: nn.Module) -> nn.Module:
    """Wrap a module so that its gradients are averaged over all processes.

    The wrapper uses a process group of its own, which is never destroyed. Destroying the group of a wrapper
    whose threads still hold Python tensors would abort the program at its end. `any_process` uses the default
    group, and `leave_processes` destroys that.
    """
    return DistributedDataParallel(module, process_group=dist.new_group())


def any_process(flag: bool, processes: Processes) -> bool:
    """Return whether a flag is set in any process. All processes must call this and get the same answer."""
    if processes.world_size == 1:
        return flag
    flags = torch.tensor(float(flag), device=processes.device)
    dist.all_reduce(flags, dist.ReduceOp.MAX)
    return bool(flags)


def leave_processes() -> None:
    """Leave the process group if this process has joined one."""
    if dist.is_initialized():
        dist.destroy_process_group()
