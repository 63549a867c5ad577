"""`styletransfer train`: make a model of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..options import TrainOptions
from .fields import field_options

PATHS = click.Path(exists=True, path_type=Path)


@click.command()
@click.option("--content", "contents", type=PATHS, multiple=True, required=True, help="Folder or tar of photographs; repeatable.")
@click.option("--style", "styles", type=PATHS, multiple=True, required=True, help="Folder or tar of artworks; repeatable.")
@click.option("-o", "--output", "folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the run.")
@click.option("--network", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="VGG-19 as safetensors, down to relu3_1.  [default: torchvision's, downloaded]")
@click.option("--resume", is_flag=True, help="Go on from the folder's checkpoint, if it has one.")
@click.option("--init", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Start from these weights.")
@click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="MINUTES", help="Stop and save after this long.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--threads", type=click.IntRange(1), help="Processor threads.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@field_options(TrainOptions)
def train(
    contents: tuple[Path, ...],
    styles: tuple[Path, ...],
    folder: Path,
    network: Path | None,
    resume: bool,
    init: Path | None,
    time_limit: float | None,
    device: str,
    threads: int | None,
    quiet: bool,
    **recipe: Any,
) -> None:
    """Train a network end to end through its transfers.

    The run's folder receives model.safetensors (averaged weights, ready for `stylize --model`),
    checkpoint.safetensors and metrics.jsonl. Ctrl-C saves; --resume goes on exactly where a run stopped.
    """
    import time

    import torch
    from tqdm import tqdm

    from ..model.vgg import load_vgg19
    from ..pipeline.device import resolve_device
    from ..training import PicturePool, Trainer

    started = time.monotonic()
    if threads is not None:
        torch.set_num_threads(threads)
    options = TrainOptions(**recipe)
    trainer = Trainer(
        folder,
        [PicturePool(path) for path in contents],
        [PicturePool(path) for path in styles],
        load_vgg19(network),
        options,
        device=resolve_device(device),
        resume=resume,
        init=init,
    )
    reports = trainer.run()
    try:
        with tqdm(
            total=options.steps, initial=trainer.step, unit="step", disable=True if quiet else None
        ) as bar:
            for report in reports:
                bar.update()
                bar.set_postfix(loss=f"{report.terms['total']:.3f}", style=f"{report.terms['style']:.3f}", refresh=False)
                if time_limit is not None and time.monotonic() - started > 60 * time_limit:
                    break
    except KeyboardInterrupt:
        click.echo(f"stopped at step {trainer.step}; the same command with --resume goes on", err=True)
        raise
    finally:
        reports.close()
    click.echo(folder / "model.safetensors")
