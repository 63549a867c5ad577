"""`styletransfer train`: make a model of one's own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from ..options import TrainOptions
from .command import ConfiguredCommand
from .fields import field_options
from .parameters import device_option, threads_option
from .report import Report

PATHS = click.Path(exists=True, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=ConfiguredCommand)
@click.option(
    "--content",
    "contents",
    type=PATHS,
    multiple=True,
    required=True,
    help="Folder or tar of photographs; repeatable.",
)
@click.option(
    "--style",
    "styles",
    type=PATHS,
    multiple=True,
    required=True,
    help="Folder or tar of artworks; repeatable.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the run.",
)
@click.option(
    "--network",
    type=FILE,
    show_default="torchvision's, downloaded",
    help="VGG-19 as safetensors, down to relu3_1.",
)
@click.option("--resume", is_flag=True, help="Go on from the folder's checkpoint, if it has one.")
@click.option("--init", type=FILE, show_default="random weights", help="Start from these weights.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MINUTES",
    show_default="none",
    help="Stop and save after this long.",
)
@click.option(
    "--encoder",
    metavar="vgg19|NAME|PATH",
    show_default="a new one",
    help="Start from this encoder, that of --network or of a model, and a new decoder.",
)
@click.option("--tensorboard", is_flag=True, help="Write event files for TensorBoard too.")
@device_option
@threads_option
@field_options(TrainOptions)
@click.pass_obj
def train(
    report: Report,
    /,
    contents: tuple[Path, ...],
    styles: tuple[Path, ...],
    folder: Path,
    network: Path | None,
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

    The run's folder receives model.safetensors (averaged weights, ready for `stylize --model`),
    checkpoint.safetensors, metrics.jsonl and samples. Ctrl-C saves; --resume goes on exactly where a run
    stopped. A recipe is a TOML file for --config with a table [train]. Under `torchrun
    --nproc-per-node N -m styletransfer train ...` N processes share the work, each on a GPU of its own.
    """
    import torch
    from tqdm import tqdm

    from ..model.vgg import load_vgg19
    from ..pipeline.device import resolve_device
    from ..training import (
        PicturePool,
        Trainer,
        TrainingPairs,
        build_network,
        check_folder,
        join_processes,
        leave_processes,
    )

    if threads is not None:
        torch.set_num_threads(threads)
    options = TrainOptions(**recipe)
    check_folder(folder, resume=resume)
    processes = join_processes(resolve_device(device))
    perceptual = load_vgg19(network)
    data = TrainingPairs(
        [PicturePool(path) for path in contents],
        [PicturePool(path) for path in styles],
        options.crop,
        options.seed,
        options.steps * options.batch * processes.total,
    )
    model = build_network(options, init=init, encoder=encoder, perceptual=perceptual)
    trainer = Trainer(folder, model, data, perceptual, options, processes, resume=resume)
    seconds = math.inf if time_limit is None else 60 * time_limit
    reports = trainer.run(seconds=seconds, tensorboard=tensorboard)
    silent = report.quiet or processes.rank > 0
    try:
        with tqdm(
            total=options.steps, initial=trainer.step, unit="step", disable=True if silent else None
        ) as bar:
            for step in reports:
                bar.update()
                bar.set_postfix(
                    loss=f"{step.terms['total']:.3f}",
                    style=f"{step.terms['style']:.3f}",
                    pairs_per_s=f"{step.pairs_per_second:.1f}",
                    refresh=False,
                )
    except KeyboardInterrupt:
        report.note(f"stopped at step {trainer.step}; the same command with --resume goes on")
        raise
    finally:
        reports.close()
        leave_processes()
    if trainer.skipped_files:
        report.note(f"{trainer.skipped_files} times a corrupt picture was passed over")
    if processes.rank == 0:
        report.product(str(folder / "model.safetensors"))
