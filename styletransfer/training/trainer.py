"""The training loop: clipped steps, averaged weights, checkpoints, resuming, several processes."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim.swa_utils import AveragedModel

from ..errors import StyleTransferError
from ..model import Autoencoder, CouplingNetwork, save_model
from ..model.vgg import VGG16, VGG19
from ..options import TrainOptions
from ..spectrum import state_dict_without_norm_caps
from .data import TrainingPairs, load_batches
from .distributed import Processes, any_process, average_gradients, share_bytes, share_state
from .photorealistic_loss import PhotorealisticLoss, PhotorealisticTerms
from .run_folder import CHECKPOINT, SAMPLES, MetricsLog, load_checkpoint, save_checkpoint, write_samples
from .soap import SOAP
from .transfer_loss import LossTerms, TransferLoss

WEIGHTS = "model.safetensors"
# Options that do not change the result, so that a resumed run may have other values.
OPTIONS_WITHOUT_EFFECT = frozenset({"workers", "checkpoint_every", "sample_every"})
SAMPLE_PAIRS = 4  # rows of a sheet of samples
OPTIMIZERS = {"soap": SOAP, "adam": torch.optim.Adam}

Terms = LossTerms | PhotorealisticTerms
ModelT = TypeVar("ModelT", bound=Autoencoder | CouplingNetwork)
Tensors = tuple[Tensor, ...] | list[Tensor]


class TrainingReport(NamedTuple):
    """Metrics of one step.

    Attributes:
        step: Number of steps done so far, including this one.
        terms: Terms of the loss, not weighted, and their weighted total, in this process.
        gradient_norm: Norm of the gradient before clipping. It is not finite if the step was skipped.
        learning_rate: Learning rate of this step.
        skipped_steps: Number of steps skipped so far because the gradient was not finite.
        skipped_files: Number of times so far that this process drew a corrupt picture.
        pairs_per_second: Speed of this step, over all processes.
    """

    step: int
    terms: dict[str, float]
    gradient_norm: float
    learning_rate: float
    skipped_steps: int
    skipped_files: int
    pairs_per_second: float


class Trainer(Generic[ModelT]):
    """A training run in a folder.

    Args:
        folder: Folder for the checkpoint, the metrics, the samples and the averaged model. It is created if
            it does not exist.
        model: The network to train. Parameters that require no gradient stay as they are.
        data: Numbered pairs, at least `options.steps * options.batch` per process.
        perceptual: Frozen VGG-19 with the style layers.
        deep_network: Frozen VGG-16 with deeper style layers; None leaves their term out.
        options: The options of the run.
        processes: This process and the number of processes. Each takes `options.batch` pairs per step.
        resume: Continue from the folder's checkpoint if it has one. More `steps` than before extend the run.

    Raises:
        StyleTransferError: The folder holds a run and `resume` is off, or the run to resume has other options
            or other data.
    """

    def __init__(
        self,
        folder: Path,
        model: ModelT,
        data: TrainingPairs,
        perceptual: VGG19,
        options: TrainOptions,
        processes: Processes,
        *,
        deep_network: VGG16 | None = None,
        resume: bool = False,
    ) -> None:
        self.folder = folder
        self.options = options
        self.processes = processes
        self.data = data
        self.model: ModelT = model.to(processes.device).to(memory_format=torch.channels_last)  # type: ignore[assignment]
        self.average = AveragedModel(self.model, multi_avg_fn=make_average(options.ema))
        perceptual = perceptual.to(processes.device).to(memory_format=torch.channels_last)
        if deep_network is not None:
            deep_network = deep_network.to(processes.device).to(memory_format=torch.channels_last)
        self.loss: TransferLoss | PhotorealisticLoss
        if isinstance(self.model, CouplingNetwork):
            self.loss = PhotorealisticLoss(self.model, perceptual, options)
        else:
            self.loss = TransferLoss(self.model, perceptual, options, deep_network)
        self.penalty = self.loss.penalty
        self.has_deep_network = deep_network is not None
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = OPTIMIZERS[options.optimizer](trained, lr=options.learning_rate)
        self.step, self.skipped_steps, self.skipped_files, self.seconds = 0, 0, 0, 0.0
        self._updating = False
        self._open_folder(resume)

    def _open_folder(self, resume: bool) -> None:
        """Create the run's folder, or restore the state of the run in it."""
        check_folder(self.folder, resume=resume)
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint = self.folder / CHECKPOINT
        # Process 0 reads for all: the others may see an older file, or none, through their file systems.
        first = self.processes.rank == 0
        data = share_bytes(checkpoint.read_bytes() if first and checkpoint.exists() else b"", self.processes)
        if not data:
            share_state(self._modules.values(), self.processes)
            return
        progress = load_checkpoint(
            checkpoint,
            data,
            modules=self._modules,
            optimizer=self.optimizer,
            run=self._describe_run(),
        )
        self.step, self.skipped_steps = progress["step"], progress["skipped_steps"]
        self.skipped_files, self.seconds = progress["skipped_files"], progress["seconds"]

    def run(
        self, *, seconds: float = math.inf, tensorboard: bool = False
    ) -> Generator[TrainingReport, None, None]:
        """Train to the last step and yield a report after each step.

        The run is saved at regular intervals and at its end. Closing the iterator, or an exception where it
        is consumed, saves a checkpoint too.

        Args:
            seconds: Time limit. The run stops at the end of the step in which it passes.
            tensorboard: Whether TensorBoard's event files are written beside the metrics.

        Yields:
            The metrics of each step.
        """
        batches = load_batches(
            self.data,
            self._plan_batches(),
            self.options.workers,
            pin_memory=self.processes.device.type == "cuda",
        )
        first = self.processes.rank == 0
        with (
            closing(batches),
            MetricsLog(self.folder, self.step, tensorboard=tensorboard) if first else nullcontext() as log,
        ):
            first_step = self.step
            try:
                start = time.monotonic()
                deadline = start + seconds
                for content, style, skipped in batches:
                    terms, norm = self._compute_gradient(content, style)
                    with delay_interrupts():
                        report = self._update(terms, norm, skipped, start)
                        if log is not None:
                            log.write(report._asdict())
                    start = time.monotonic()
                    if log is not None:
                        if self.step % self.options.checkpoint_every == 0:
                            log.flush()
                            self.save()
                        if self.step % self.options.sample_every == 0:
                            self.sample()
                    yield report
                    if any_process(time.monotonic() > deadline, self.processes):
                        break
            finally:
                # A step that failed halfway is not saved; the checkpoint before it stays valid.
                if first and self.step > first_step and not self._updating:
                    with delay_interrupts():
                        self.save()

    @property
    def averaged_model(self) -> ModelT:
        """The network with the averaged weights and without norm caps, which is the result of the run."""
        model = cast(ModelT, self.average.module)
        with torch.device("meta"):  # draws no random numbers
            plain = type(model)(model.architecture)  # type: ignore[arg-type]  # each kind has its own
        plain.load_state_dict(state_dict_without_norm_caps(model), assign=True)
        return plain

    @property
    def _modules(self) -> dict[str, nn.Module]:
        """The modules whose state changes from step to step."""
        modules: dict[str, nn.Module] = {"model": self.model, "average": self.average}
        return modules | ({"penalty": self.penalty} if self.penalty else {})

    def _plan_batches(self) -> list[list[int]]:
        """List the numbers of the pairs in each of this process's batches, from the current step on."""
        batch, (rank, world_size, _) = self.options.batch, self.processes
        starts = ((step * world_size + rank) * batch for step in range(self.step, self.options.steps))
        return [list(range(start, start + batch)) for start in starts]

    def _compute_gradient(self, content: Tensor, style: Tensor) -> tuple[Terms, float]:
        """Compute the loss and the clipped gradient of a batch.

        Args:
            content: [B, 3, H, W] in 0..1.
            style: [B, 3, H, W] in 0..1.

        Returns:
            The terms of the loss, and the norm of the gradient before clipping.
        """
        device, low_precision = self.processes.device, self.options.precision == "bf16"
        # With the cache a capped weight is computed once a step instead of once a pass.
        with torch.autocast(device.type, torch.bfloat16, enabled=low_precision), parametrize.cached():
            terms: Terms = self.loss(self._to_device(content), self._to_device(style), self.step)
        self.optimizer.zero_grad()
        terms.total.backward()  # type: ignore[no-untyped-call]
        average_gradients(self.model.parameters(), self.processes)
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.gradient_clip))
        return terms, norm

    def _update(self, terms: Terms, norm: float, skipped: int, start: float) -> TrainingReport:
        """Take a step along the gradient, or skip the step if the gradient is not finite.

        Args:
            terms: The terms of the loss.
            norm: Norm of the gradient.
            skipped: Number of corrupt pictures drawn for this batch.
            start: Monotonic time at which the loading of the batch began.
        """
        self._updating = True
        rate = compute_learning_rate(self.step, self.options)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if math.isfinite(norm):
            self.optimizer.step()
            self.average.update_parameters(self.model)
        else:
            self.skipped_steps += 1
        self.step += 1
        self.skipped_files += skipped
        elapsed = time.monotonic() - start
        self.seconds += elapsed
        self._updating = False
        return TrainingReport(
            self.step,
            {name: value.item() for name, value in terms._asdict().items()},
            norm,
            rate,
            self.skipped_steps,
            self.skipped_files,
            self.options.batch * self.processes.world_size / elapsed,
        )

    def _to_device(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.processes.device, memory_format=torch.channels_last, non_blocking=True)

    def _describe_progress(self) -> dict[str, Any]:
        """Return the counters of the run as JSON values."""
        return {
            "step": self.step,
            "pairs": self.step * self.options.batch * self.processes.world_size,
            "skipped_steps": self.skipped_steps,
            "skipped_files": self.skipped_files,
            "seconds": round(self.seconds, 1),
        }

    def _describe_run(self) -> dict[str, Any]:
        """Return everything on which the result depends, as JSON values. A resumed run must have the same."""
        contents, styles = (
            [f"{pool.path.name} ({len(pool)})" for pool in pools] for pools in self.data.pools
        )
        options = asdict(self.options)
        options = {name: value for name, value in options.items() if name not in OPTIONS_WITHOUT_EFFECT}
        return {
            "content": contents,
            "style": styles,
            "processes": self.processes.world_size,
            "vgg16": self.has_deep_network,
            **options,
        }

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
        """Write a sheet of samples. Its pairs are always the same and are not used in training."""
        pairs = [self.data[-1 - index] for index in range(SAMPLE_PAIRS)]
        content, style = (self._to_device(torch.stack([pair[side] for pair in pairs])) for side in (0, 1))  # type: ignore[misc]
        write_samples(self.averaged_model, content, style, self.folder / SAMPLES / f"{self.step:06d}.png")


@contextmanager
def delay_interrupts() -> Iterator[None]:
    """Delay the first Ctrl-C in a block to the end of the block. A second Ctrl-C interrupts at once."""
    handler = signal.getsignal(signal.SIGINT)
    # Python runs signal handlers in the main thread alone. A handler of None was not installed by Python.
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    interrupted = False

    def remember(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, handler)

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if interrupted:
        signal.raise_signal(signal.SIGINT)


def check_folder(folder: Path, *, resume: bool) -> None:
    """Check that a run would not overwrite another one. Call this before data is loaded.

    Raises:
        StyleTransferError: The folder holds a run and `resume` is off.
    """
    if (folder / CHECKPOINT).exists() and not resume:
        hint = "add --resume or choose another folder"
        raise StyleTransferError(f"{folder}: holds a run already", hint=hint)


def compute_learning_rate(step: int, options: TrainOptions) -> float:
    """Return the learning rate of a step: a linear warm-up, then half a cosine that ends at zero.

    The warm-up takes at most half of the run. Otherwise short runs would never reach the learning rate.
    """
    warmup = min(options.warmup, options.steps // 2)
    if step < warmup:
        return options.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, options.steps - warmup)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def make_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return the update of exponentially averaged weights for `torch.optim.swa_utils.AveragedModel`.

    At the n-th update the decay is at most (1 + n) / (10 + n), so that the average soon forgets the random
    initial weights.

    Args:
        decay: Decay per step, 0..1.
    """

    @torch.no_grad()
    def update(averages: Tensors, currents: Tensors, updates: Tensor | int) -> None:
        n = float(updates)
        share = 1 - min(decay, (1 + n) / (10 + n))
        for average, current in zip(averages, currents, strict=True):
            average.lerp_(current, share)

    return update
