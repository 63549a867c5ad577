"""The training loop: clipped steps, averaged weights, checkpoints, resuming, several processes."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from ..errors import StyleTransferError
from ..model import Autoencoder, save_model
from ..model.vgg import VGG19
from ..options import TrainOptions
from ..spectrum import state_dict_without_norm_caps
from .checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from .data import TrainingPairs
from .losses import LossTerms, TransferLoss
from .processes import Processes, any_process, share_gradients
from .records import SAMPLES, MetricsLog, paint_samples
from .schedule import compute_learning_rate, make_average
from .soap import SOAP

WEIGHTS = "model.safetensors"
# Options that may change from one part of a run to the next without changing its results.
HARMLESS = frozenset({"workers", "checkpoint_every", "sample_every"})
SAMPLE_PAIRS = 4
OPTIMIZERS = {"soap": SOAP, "adam": torch.optim.Adam}


class TrainingReport(NamedTuple):
    """What one step did.

    Attributes:
        step: Steps done so far, this one included.
        terms: The unweighted terms of the loss and their weighted total, of this process.
        gradient_norm: Before clipping; not finite if the step was skipped.
        learning_rate: Of this step.
        skipped_steps: Steps skipped so far for gradients that were not finite.
        skipped_files: Corrupt pictures passed over so far, by this process.
        pairs_per_second: Of this step, over all processes.
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
        folder: Receives the checkpoint, the metrics, the samples and the averaged model; made if missing.
        model: The network to train; parameters that need no gradient stay as they are.
        data: Pairs by number, at least `options.steps * options.batch` per process.
        perceptual: Frozen VGG-19 with the style layers.
        options: The recipe.
        processes: This process and how many share the work; every one takes `options.batch` pairs a step.
        resume: Go on from the folder's checkpoint; without one, begin.

    Raises:
        StyleTransferError: The folder holds a run already and `resume` is off, or the run that is to be
            resumed had another recipe.
    """

    def __init__(
        self,
        folder: Path,
        model: Autoencoder,
        data: TrainingPairs,
        perceptual: VGG19,
        options: TrainOptions,
        processes: Processes,
        *,
        resume: bool = False,
    ) -> None:
        self.folder = folder
        self.options = options
        self.processes = processes
        self.data = data
        self.model = model.to(processes.device).to(memory_format=torch.channels_last)
        self.average = AveragedModel(self.model, multi_avg_fn=make_average(options.ema))
        perceptual = perceptual.to(processes.device).to(memory_format=torch.channels_last)
        loss = TransferLoss(self.model, perceptual, options)
        self.penalty = loss.penalty
        self.loss = share_gradients(loss) if processes.total > 1 else loss
        learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = OPTIMIZERS[options.optimizer](learning, lr=options.learning_rate)
        self.step, self.skipped_steps, self.skipped_files, self.seconds = 0, 0, 0, 0.0
        self._changing = False
        self._open_folder(resume)

    def _open_folder(self, resume: bool) -> None:
        check_folder(self.folder, resume=resume)
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint = self.folder / CHECKPOINT
        if not checkpoint.exists():
            return
        progress = load_checkpoint(
            checkpoint,
            modules=self._modules,
            optimizer=self.optimizer,
            run=self._describe_run(),
        )
        self.step, self.skipped_steps = progress["step"], progress["skipped_steps"]
        self.skipped_files, self.seconds = progress["skipped_files"], progress["seconds"]

    def run(
        self, *, seconds: float = math.inf, tensorboard: bool = False
    ) -> Generator[TrainingReport, None, None]:
        """Train to the last step, yielding after each; save when done, due or abandoned.

        Closing the iterator, or an exception at the place where it is consumed, saves a checkpoint first.

        Args:
            seconds: Stop after this long, at the end of a step.
            tensorboard: Write TensorBoard's event files beside the metrics.
        """
        loader = DataLoader(
            self.data,
            batch_sampler=self._plan_batches(),
            num_workers=self.options.workers,
            persistent_workers=self.options.workers > 0,
            pin_memory=self.processes.device.type == "cuda",
        )
        first = self.processes.rank == 0
        with MetricsLog(self.folder, self.step, tensorboard=tensorboard) if first else nullcontext() as log:
            begun = self.step
            try:
                start = time.monotonic()
                due = start + seconds
                for content, style, skipped in loader:
                    report = self._take_step(content, style, int(skipped.sum()), start)
                    start = time.monotonic()
                    if log is not None:
                        log.write(report._asdict())
                        if self.step % self.options.checkpoint_every == 0:
                            log.flush()
                            self.save()
                        if self.step % self.options.sample_every == 0:
                            self.sample()
                    yield report
                    if any_process(time.monotonic() > due, self.processes):
                        break
            finally:
                # A step cut in half by Ctrl-C is not saved: the checkpoint before it is whole.
                if first and self.step > begun and not self._changing:
                    self.save()

    @property
    def averaged_model(self) -> Autoencoder:
        """The network with the averaged weights and without norm caps: the one to keep."""
        model = self.average.module
        assert isinstance(model, Autoencoder)
        if self.options.spectral_cap is None:
            return model
        # Removing a cap would break the deep copies of the model, so a plain network is made beside it.
        with torch.device("meta"):  # draws no random numbers
            plain = Autoencoder(model.architecture)
        plain.load_state_dict(state_dict_without_norm_caps(model), assign=True)
        return plain

    @property
    def _modules(self) -> dict[str, nn.Module]:
        """What changes from step to step, beside the optimiser."""
        modules: dict[str, nn.Module] = {"model": self.model, "average": self.average}
        return modules | ({"penalty": self.penalty} if self.penalty else {})

    def _plan_batches(self) -> list[list[int]]:
        """List the numbers of the pairs of this process's batches, from the current step on."""
        batch, (rank, count, _) = self.options.batch, self.processes
        starts = ((step * count + rank) * batch for step in range(self.step, self.options.steps))
        return [list(range(start, start + batch)) for start in starts]

    def _take_step(self, content: Tensor, style: Tensor, skipped: int, start: float) -> TrainingReport:
        rate = compute_learning_rate(self.step, self.options)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        device, low = self.processes.device, self.options.precision == "bf16"
        # A capped weight is computed once a step, not once a pass.
        with torch.autocast(device.type, torch.bfloat16, enabled=low), parametrize.cached():
            terms: LossTerms = self.loss(self._place(content), self._place(style))
        self.optimizer.zero_grad()
        terms.total.backward()  # type: ignore[no-untyped-call]
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.gradient_clip))
        self._changing = True
        if math.isfinite(norm):
            self.optimizer.step()
            self.average.update_parameters(self.model)
        else:
            self.skipped_steps += 1
        self.step += 1
        self.skipped_files += skipped
        elapsed = time.monotonic() - start
        self.seconds += elapsed
        self._changing = False
        return TrainingReport(
            self.step,
            {name: value.item() for name, value in terms._asdict().items()},
            norm,
            rate,
            self.skipped_steps,
            self.skipped_files,
            len(content) * self.processes.total / elapsed,
        )

    def _place(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.processes.device, memory_format=torch.channels_last, non_blocking=True)

    def _describe_progress(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "pairs": self.step * self.options.batch * self.processes.total,
            "skipped_steps": self.skipped_steps,
            "skipped_files": self.skipped_files,
            "seconds": round(self.seconds, 1),
        }

    def _describe_run(self) -> dict[str, Any]:
        """Describe what makes this run this run: a resumed one must have the same."""
        contents, styles = (
            [f"{pool.path.name} ({len(pool)})" for pool in pools] for pools in self.data.pools
        )
        recipe = {name: value for name, value in asdict(self.options).items() if name not in HARMLESS}
        return {"content": contents, "style": styles, "processes": self.processes.total, **recipe}

    def save(self) -> None:
        """Write the checkpoint and the averaged model."""
        progress = self._describe_progress()
        save_checkpoint(
            self.folder / CHECKPOINT,
            modules=self._modules,
            optimizer=self.optimizer,
            run=self._describe_run(),
            progress=progress,
        )
        save_model(self.averaged_model, self.folder / WEIGHTS, self._describe_run() | progress)

    def sample(self) -> None:
        """Paint a sheet of a few pairs that the run itself never sees, always the same."""
        pairs = [self.data[len(self.data) + index] for index in range(SAMPLE_PAIRS)]
        content, style = (self._place(torch.stack([pair[side] for pair in pairs])) for side in (0, 1))  # type: ignore[misc]
        paint_samples(self.averaged_model, content, style, self.folder / SAMPLES / f"{self.step:06d}.png")


def check_folder(folder: Path, *, resume: bool) -> None:
    """Raise StyleTransferError if a run would overwrite another; call it before data is loaded."""
    if (folder / CHECKPOINT).exists() and not resume:
        hint = "add --resume or choose another folder"
        raise StyleTransferError(f"{folder}: holds a run already", hint=hint)
