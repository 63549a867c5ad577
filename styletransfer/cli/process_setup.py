"""Set up this process for computing: the model, its folders, the threads and the allocator."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from ..errors import WeightsError
from ..options import ProcessOptions, RuntimeOptions
from .configured_command import PREFIX
from .console import Console

if TYPE_CHECKING:
    from ..api import Stylizer

# Each worker has a picture in memory. More threads than these help within the pictures.
MAX_WORKERS = 4


def load_stylizer(
    console: Console,
    model: str,
    runtime: RuntimeOptions,
    *,
    stop: Event | None = None,
    style_folder: Path | None = None,
) -> Stylizer:
    """Load a model, and say once which one it is and where it computes.

    Args:
        console: Output of the command.
        model: Name of the model or path of its weights.
        runtime: Device, precision and memory.
        stop: An event that ends all work once it is set.
        style_folder: A folder in which the statistics of styles are kept; None keeps them in memory.

    Raises:
        WeightsError: The weights are missing or damaged.
        OptionError: The machine lacks the device.
    """
    from ..api import Stylizer
    from ..pipeline.memory import tune_allocator

    tune_allocator()
    stylizer = Stylizer(
        model, runtime=runtime, weights_folder=find_weights_folder(), style_folder=style_folder, stop=stop
    )
    console.note(f"model {stylizer.model_name} on {stylizer.device}, {stylizer.precision}")
    return stylizer


def set_threads(options: ProcessOptions) -> None:
    """Set the number of processor threads that each picture uses."""
    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)


def divide_threads(options: ProcessOptions, runtime: RuntimeOptions, jobs: int) -> int:
    """Divide the processor's threads among pictures that are computed at once, and return their number.

    Two pictures on one thread each take less time than one after the other on two threads, and one of them is
    read or written while the other is computed. A memory limit allows one picture at a time.
    """
    import torch

    threads = options.threads or torch.get_num_threads()
    workers = 1 if runtime.max_memory is not None else min(threads, jobs, MAX_WORKERS)
    set_threads(options if workers == 1 else ProcessOptions(threads=threads // workers))
    return workers


def find_style_folder() -> Path:
    """Return the folder in which --cache-styles keeps statistics, which need not exist and may be deleted."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("styletransfer", appauthor=False)) / "styles"


def find_weights_folder() -> Path | None:
    """Return the folder that STYLETRANSFER_WEIGHTS names, which is searched for models first.

    Raises:
        WeightsError: The folder does not exist.
    """
    text = os.environ.get(f"{PREFIX}_WEIGHTS")
    if not text:
        return None
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"{PREFIX}_WEIGHTS is {text}, which is not a folder", hint="correct or unset it")
    return folder
