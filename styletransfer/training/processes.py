"""The processes of a distributed run: one per GPU, started by `torchrun`."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


class Processes(NamedTuple):
    """This process among all that train one network.

    Attributes:
        rank: Number of this process; number 0 alone writes files.
        total: Number of all processes.
        device: Of this process.
    """

    rank: int
    total: int
    device: torch.device


def join_processes(device: torch.device) -> Processes:
    """Join the processes that `torchrun` started, or be the only one.

    Args:
        device: The kind of device to use; of several GPUs every process takes its own.
    """
    if not dist.is_torchelastic_launched():
        return Processes(0, 1, device)
    if device.type == "cuda":
        device = torch.device("cuda", dist.get_node_local_rank())
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Processes(dist.get_rank(), dist.get_world_size(), device)


def share_gradients(module: nn.Module) -> nn.Module:
    """Have a module's gradients averaged over all processes.

    Its group is its own, as it is never let go of, and threads that still hold a tensor of Python when the
    program ends would abort it: those of the default group, which `any_process` uses, end with it.
    """
    return DistributedDataParallel(module, process_group=dist.new_group())


def any_process(flag: bool, processes: Processes) -> bool:
    """Tell whether a flag is set in any process; all get the same answer."""
    if processes.total == 1:
        return flag
    flags = torch.tensor(float(flag), device=processes.device)
    dist.all_reduce(flags, dist.ReduceOp.MAX)
    return bool(flags)


def leave_processes() -> None:
    """Leave the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()
