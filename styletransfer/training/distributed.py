"""Distributed training: one process per GPU, started by `torchrun`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.distributed as dist

# Optimizers import this module. Its functions have the process group of the time of the import as a default:
# imported after the group is joined, it would keep the group and its threads until the interpreter ends, and
# a thread that then lets go of a tensor aborts the process.
import torch.distributed.nn
from torch import nn


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


def average_gradients(parameters: Iterable[nn.Parameter], processes: Processes) -> None:
    """Replace gradients by their mean over all processes, which must have gradients of the same parameters.

    All gradients travel as one vector in the order of the parameters, so that every sum is taken in the same
    order at every step. `DistributedDataParallel` arranges the gradients anew after its first step, which
    changes the last bits: a run that was restarted would not be the run that went on. Its gain, sending while
    the backward pass still runs, is none for networks of two megabytes.

    Args:
        parameters: The parameters, in the same order in every process. Their gradients change in place.
        processes: All processes.
    """
    if processes.world_size == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    vector = torch.cat([gradient.flatten() for gradient in gradients]) / processes.world_size
    dist.all_reduce(vector)
    parts = torch.split(vector, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))


def share_state(modules: Iterable[nn.Module], processes: Processes) -> None:
    """Give modules the parameters and buffers of process 0, in place. All processes must call this.

    The same seed does not give the same random weights to the bit on processors of different kinds.
    """
    if processes.world_size == 1:
        return
    for module in modules:
        for tensor in module.state_dict().values():
            shared = tensor.contiguous()
            dist.broadcast(shared, 0)
            tensor.copy_(shared)


def share_bytes(data: bytes, processes: Processes) -> bytes:
    """Return the bytes of process 0. All processes must call this.

    Args:
        data: What process 0 shares; what the others pass is ignored.
        processes: All processes.
    """
    if processes.world_size == 1:
        return data
    size = torch.tensor(len(data), device=processes.device)
    dist.broadcast(size, 0)
    shared = torch.zeros(int(size), dtype=torch.uint8, device=processes.device)
    if processes.rank == 0 and data:
        shared = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(processes.device)
    dist.broadcast(shared, 0)
    return shared.cpu().numpy().tobytes()


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
