"""`styletransfer train`: train a model of one's own."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import click

from ...options import ProcessOptions, TrainOptions
from ..click_options import (
    dataclass_options,
    device_option,
    threads_option,
    vgg16_option,
    vgg_option,
)
from ..configured_command import ConfiguredCommand
from ..console import Console
from ..thread_pool import set_threads

PATHS = click.Path(exists=True, path_type=Path)
SECONDS_PER_LINE = 60  # of the log of a run whose stderr is no terminal
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=ConfiguredCommand)
@click.option(
    "--content",
    "contents",
    type=PATHS,
    multiple=True,
    required=True,
    help="Folder or tar archive of photographs. The option can be repeated.",
)
@click.option(
    "--style",
    "styles",
    type=PATHS,
    multiple=True,
    required=True,
    help="Folder or tar archive of artworks. The option can be repeated.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the run.",
)
@vgg_option
@vgg16_option
@click.option("--resume", is_flag=True, help="Continue from the checkpoint in the folder, if there is one.")
@click.option("--init", type=FILE, show_default="random weights", help="Start from these weights.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MINUTES",
    show_default="none",
    help="Stop and save after this many minutes.",
)
@click.option(
    "--encoder",
    metavar="vgg19|NAME|PATH",
    show_default="a new one",
    help="Start from a trained encoder, VGG-19's or that of a model, and a new decoder.",
)
@click.option("--tensorboard", is_flag=True, help="Also write event files for TensorBoard.")
@device_option
@threads_option
@dataclass_options(TrainOptions)
@click.pass_obj
def train(
    console: Console,
    /,
    contents: tuple[Path, ...],
    styles: tuple[Path, ...],
    folder: Path,
    vgg: Path | None,
    vgg16: Path | None,
    resume: bool,
    init: Path | None,
    encoder: str | None,
    time_limit: float | None,
    tensorboard: bool,
    device: str,
    threads: int | None,
    **recipe: Any,
) -> None:
    """Train a network end to end through its transfers.

    The folder of the run receives model.safetensors (averaged weights, ready for `stylize --model`),
    checkpoint.safetensors, metrics.jsonl and samples. Ctrl-C saves a checkpoint, and --resume continues
    exactly where a run stopped. A recipe is a TOML file for --config with a table [train]. With `torchrun
    --nproc-per-node N -m styletransfer train ...`, N processes share the work, each on its own GPU.
    """
    from tqdm import tqdm

    from ...model.vgg import load_vgg16, load_vgg19
    from ...pipeline.device import resolve_device
    from ...training import (
        PicturePool,
        Trainer,
        TrainingPairs,
        build_network,
        check_folder,
        join_processes,
        leave_processes,
    )

    set_threads(ProcessOptions(threads=threads))
    options = TrainOptions(**recipe)
    check_folder(folder, resume=resume)
    processes = join_processes(resolve_device(device))
    click.get_current_context().call_on_close(leave_processes)
    perceptual = load_vgg19(vgg)
    data = TrainingPairs(
        [PicturePool(path) for path in contents],
        [PicturePool(path) for path in styles],
        options.crop,
        options.seed,
        options.steps * options.batch * processes.world_size,
    )
    model = build_network(options, init=init, encoder=encoder, perceptual=perceptual)
    deep_network = None if vgg16 is None else load_vgg16(vgg16)
    trainer = Trainer(
        folder, model, data, perceptual, options, processes, deep_network=deep_network, resume=resume
    )
    seconds = math.inf if time_limit is None else 60 * time_limit
    reports = trainer.run(seconds=seconds, tensorboard=tensorboard)
    silent = console.quiet or processes.rank > 0
    try:
        with tqdm(
            total=options.steps, initial=trainer.step, unit="step", disable=True if silent else None
        ) as bar:
            next_line = -math.inf  # the first step is logged at once
            for step in reports:
                bar.update()
                losses = f"loss={step.terms['total']:.3f}, style={step.terms['style']:.3f}"
                speed = f"pairs_per_s={step.pairs_per_second:.1f}"
                bar.set_postfix_str(f"{losses}, {speed}", refresh=False)
                if bar.disable and not silent and time.monotonic() >= next_line:
                    console.note(f"step {trainer.step} of {options.steps}, {losses}, {speed}")
                    next_line = time.monotonic() + SECONDS_PER_LINE
    except KeyboardInterrupt:
        console.note(f"stopped at step {trainer.step}; the same command with --resume continues")
        raise
    finally:
        reports.close()
    if trainer.skipped_files:
        console.note(f"{trainer.skipped_files} corrupt pictures were skipped")
    if processes.rank == 0:
        console.result(str(folder / "model.safetensors"))
