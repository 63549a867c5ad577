"""Load the model that a command works with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..options import RuntimeOptions
from .configuration import find_weights_folder
from .report import Report

if TYPE_CHECKING:
    from ..api import Stylizer

# Each has a picture in memory; threads beyond these help inside the pictures.
MOST_WORKERS = 4


def load_stylizer(report: Report, model: str, runtime: RuntimeOptions) -> Stylizer:
    """Load a model, and say once which one it is and where it computes.

    Raises:
        WeightsError: Its weights are missing or damaged.
        OptionError: The machine lacks the device.
    """
    import torch

    from ..api import Stylizer
    from ..pipeline.memory import hold_freed_memory

    hold_freed_memory()
    torch.manual_seed(runtime.seed)
    stylizer = Stylizer(model, runtime=runtime, weights_folder=find_weights_folder())
    report.note(f"model {stylizer.model_name} on {stylizer.device}, {stylizer.precision}")
    return stylizer


def share_threads(runtime: RuntimeOptions, jobs: int) -> tuple[int, RuntimeOptions]:
    """Divide the processor's threads among pictures that are made at once.

    Two pictures on a thread each take less time than one after the other on two threads, and one of them
    is read or written while the other is computed. A limit of memory is kept for one picture at a time.

    Returns:
        The number of workers, and the options under which each of them computes.
    """
    import torch

    threads = runtime.threads or torch.get_num_threads()
    workers = 1 if runtime.max_memory is not None else min(threads, jobs, MOST_WORKERS)
    return workers, runtime if workers == 1 else replace(runtime, threads=threads // workers)
