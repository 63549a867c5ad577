"""The training loop: schedule, clipped steps, averaged weights, checkpoints, resuming."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from ..errors import StyleTransferError
from ..model import Architecture, Autoencoder, load_model, save_model
from ..model.vgg import VGG19
from ..options import TrainOptions
from .checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from .data import PicturePool, TrainingPairs
from .losses import LossTerms, TransferLoss

METRICS = "metrics.jsonl"
WEIGHTS = "model.safetensors"


class TrainingReport(NamedTuple):
    """What one step did.

    Attributes:
        step: Steps done so far, this one included.
        terms: The unweighted terms of the loss and their weighted total.
        gradient_norm: Before clipping; not finite if the step was skipped.
        learning_rate: Of this step.
        skipped_steps: Steps skipped so far for gradients that were not finite.
        skipped_files: Corrupt pictures passed over so far.
        pairs_per_second: Of this step.
    """

    step: int
    terms: dict[str, float]
    gradient_norm: float
    learning_rate: float
    skipped_steps: int
    skipped_files: int
    pairs_per_second: float


class Trainer:
    """A training run in a folder.

    Args:
        folder: Receives the checkpoint, the metrics and the averaged model; made if missing.
        contents: Pools of content pictures.
        styles: Pools of style pictures.
        perceptual: Frozen VGG-19 with the style layers.
        options: The recipe.
        device: Where to compute.
        resume: Go on from the folder's checkpoint; without one, begin.
        init: Weights to start from instead of random ones.

    Raises:
        StyleTransferError: The folder holds a run already and `resume` is off, or the run that is to be
            resumed had another recipe.
    """

    def __init__(
        self,
        folder: Path,
        contents: list[PicturePool],
        styles: list[PicturePool],
        perceptual: VGG19,
        options: TrainOptions,
        *,
        device: torch.device,
        resume: bool = False,
        init: Path | None = None,
    ) -> None:
        self.folder = folder
        self.options = options
        self.device = device
        self.data = TrainingPairs(contents, styles, options.crop, options.seed, options.steps * options.batch)
        torch.manual_seed(options.seed)
        if init is None:
            model = Autoencoder(Architecture(options.widths, options.convolutions))
        else:
            model = load_model(init).train().requires_grad_(True)
        self.model = model.to(device, memory_format=torch.channels_last)
        self.average = AveragedModel(self.model, multi_avg_fn=make_average(options.ema))
        self.loss = TransferLoss(
            self.model, perceptual.to(device, memory_format=torch.channels_last), options
        )
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=options.learning_rate)
        self.step, self.skipped_steps, self.skipped_files, self.seconds = 0, 0, 0, 0.0
        self._open_folder(resume)

    def _open_folder(self, resume: bool) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint = self.folder / CHECKPOINT
        if not checkpoint.exists():
            return
        if not resume:
            raise StyleTransferError(f"{self.folder}: holds a run already", hint="add --resume or choose another folder")
        progress = load_checkpoint(
            checkpoint, model=self.model, average=self.average, optimizer=self.optimizer, options=self.options
        )
        self.step, self.skipped_steps = progress["step"], progress["skipped_steps"]
        self.skipped_files, self.seconds = progress["skipped_files"], progress["seconds"]
        drop_rows_after(self.folder / METRICS, self.step)

    def run(self) -> Iterator[TrainingReport]:
        """Train to the last step, yielding after each; save when done, due or abandoned.

        Closing the iterator, or an exception at the place where it is consumed, saves a checkpoint first.
        """
        loader = DataLoader(
            self.data,
            self.options.batch,
            sampler=range(self.step * self.options.batch, len(self.data)),
            num_workers=self.options.workers,
            persistent_workers=self.options.workers > 0,
        )
        with (self.folder / METRICS).open("a", encoding="utf-8") as metrics:
            try:
                start = time.monotonic()
                for content, style, skipped in loader:
                    self.skipped_files += int(skipped.sum())
                    report = self._take_step(content, style, start)
                    start = time.monotonic()
                    metrics.write(json.dumps(report._asdict()) + "\n")
                    if self.step % self.options.checkpoint_every == 0:
                        metrics.flush()
                        self.save()
                    yield report
            finally:
                metrics.flush()
                self.save()

    def _take_step(self, content: Tensor, style: Tensor, start: float) -> TrainingReport:
        rate = compute_learning_rate(self.step, self.options)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        low = self.options.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            terms: LossTerms = self.loss(self._place(content), self._place(style))
        self.optimizer.zero_grad()
        terms.total.backward()  # type: ignore[no-untyped-call]
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip))
        if math.isfinite(norm):
            self.optimizer.step()
            self.average.update_parameters(self.model)
        else:
            self.skipped_steps += 1
        self.step += 1
        elapsed = time.monotonic() - start
        self.seconds += elapsed
        return TrainingReport(
            self.step,
            {name: value.item() for name, value in terms._asdict().items()},
            norm,
            rate,
            self.skipped_steps,
            self.skipped_files,
            len(content) / elapsed,
        )

    def _place(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.device, memory_format=torch.channels_last)

    def save(self) -> None:
        """Write the checkpoint and the averaged model."""
        progress = {
            "step": self.step,
            "skipped_steps": self.skipped_steps,
            "skipped_files": self.skipped_files,
            "seconds": self.seconds,
        }
        save_checkpoint(
            self.folder / CHECKPOINT,
            model=self.model,
            average=self.average,
            optimizer=self.optimizer,
            options=self.options,
            progress=progress,
        )
        save_model(self.average.module, self.folder / WEIGHTS, progress)


def make_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """Return the update of exponentially averaged weights for `AveragedModel`.

    Early on the decay is smaller, (1 + n) / (10 + n) at the n-th update, so that the average forgets the
    random weights it began with.
    """

    @torch.no_grad()
    def update(averages: list[Tensor], currents: list[Tensor], updates: Tensor) -> None:
        n = float(updates)
        share = 1 - min(decay, (1 + n) / (10 + n))
        for average, current in zip(averages, currents, strict=True):
            average.lerp_(current, share)

    return update


def compute_learning_rate(step: int, options: TrainOptions) -> float:
    """Return the learning rate of a step: a linear warm-up, then half a cosine down to zero."""
    if step < options.warmup:
        return options.learning_rate * (step + 1) / options.warmup
    done = (step - options.warmup) / max(1, options.steps - options.warmup)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def drop_rows_after(path: Path, step: int) -> None:
    """Cut from a metrics file the rows of steps that a resumed run will take again."""
    if path.exists():
        rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(row for row in rows if json.loads(row)["step"] <= step), encoding="utf-8")
