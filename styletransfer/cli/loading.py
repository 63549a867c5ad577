"""Load the model that a command works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..options import RuntimeOptions
from .configuration import find_weights_folder
from .report import Report

if TYPE_CHECKING:
    from ..api import Stylizer


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
