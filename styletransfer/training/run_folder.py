"""The files of a training run: its checkpoint, the metrics of every step, and sheets of sample pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import torch
from torch import Tensor, nn

from ..errors import StyleTransferError
from ..files import parse_tensors, write_tensors
from ..media import Picture, write_picture
from ..media.contact_sheet import Tile, draw_contact_sheet
from ..model import Network, soft_clip

FORMAT = "styletransfer-checkpoint-2"
CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.jsonl"
SAMPLES = "samples"
# Options that a resumed run may increase.
INCREASABLE_OPTIONS = frozenset({"steps"})


def save_checkpoint(
    path: Path,
    *,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    run: Mapping[str, Any],
    progress: Mapping[str, Any],
) -> None:
    """Write everything that a run needs to continue as if it had never stopped.

    Args:
        path: The file, which is replaced atomically.
        modules: Modules whose state changes, by name: the network, its averaged weights, the spectral
            penalty.
        optimizer: The optimizer. The state of each parameter is saved; its settings follow from the options
            and the step.
        run: Options and data of the run, as JSON values. They are compared when the run is resumed.
        progress: Counters, as JSON values: steps, skipped steps, seconds.

    Raises:
        StyleTransferError: The file cannot be written.
    """
    tensors = {
        f"{part}.{name}": tensor
        for part, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    metadata = {"format": FORMAT, "run": json.dumps(run), "progress": json.dumps(progress)}
    write_tensors(path, {name: tensor.detach().cpu() for name, tensor in tensors.items()}, metadata)


def load_checkpoint(
    path: Path,
    data: bytes,
    *,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    run: Mapping[str, Any],
) -> dict[str, Any]:
    """Restore the state that `save_checkpoint` wrote.

    Args:
        path: The file, for messages.
        data: Its bytes.
        modules: The modules by the names under which they were saved.
        optimizer: An optimizer of the same kind over the same parameters.
        run: Options and data of the present run, as JSON values.

    Returns:
        The saved progress.

    Raises:
        WeightsError: The file is corrupt.
        StyleTransferError: The file is not a checkpoint of this program, or the run was started with other
            options or other data; the message names the first difference.
    """
    tensors, metadata, _ = parse_tensors(data, path)
    if metadata.get("format") != FORMAT:
        raise StyleTransferError(f"{path}: not a checkpoint of this program")
    check_run(path, saved=json.loads(metadata["run"]), present=json.loads(json.dumps(run)))
    for part, module in modules.items():
        module.load_state_dict(select_tensors(tensors, part))
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in select_tensors(tensors, "optimizer").items():
        index, _, field = name.partition(".")
        state.setdefault(int(index), {})[field] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    progress: dict[str, Any] = json.loads(metadata["progress"])
    return progress


def check_run(path: Path, *, saved: Mapping[str, Any], present: Mapping[str, Any]) -> None:
    """Check that a checkpoint belongs to the present run.

    Args:
        path: The checkpoint, for the message.
        saved: Options and data in the checkpoint, as JSON gives them back (lists, not tuples).
        present: Options and data of the present run, likewise.

    Raises:
        StyleTransferError: The names of the options differ, or the value of one of them does.
    """
    if saved.keys() != present.keys():
        unknown, missing = sorted(saved.keys() - present.keys()), sorted(present.keys() - saved.keys())
        parts = [f"has the unknown option {name}" for name in unknown]
        parts += [f"lacks the option {name}" for name in missing]
        raise StyleTransferError(
            f"{path}: the checkpoint {' and '.join(parts)}",
            hint="resume with the version that wrote it, or start a new run from its weights with --init",
        )
    for name, value in present.items():
        if name in INCREASABLE_OPTIONS and saved[name] <= value:
            continue
        if saved[name] != value:
            raise StyleTransferError(
                f"{path}: the run was started with {name} {saved[name]}, not {value}",
                hint="resume with the same options, or start a new run from its weights with --init",
            )


def select_tensors(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix and a dot, named without them."""
    start = prefix + "."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


class MetricsLog:
    """A file with one JSON object per step, and optionally TensorBoard's event files with the same numbers.

    Args:
        folder: The run's folder.
        step: Number of steps that the run has done. Rows of later steps are removed, because a resumed run
            writes them again.
        tensorboard: Whether event files are written too.

    Raises:
        StyleTransferError: TensorBoard is requested and not installed, or another process is training in the
            folder.
    """

    def __init__(self, folder: Path, step: int, *, tensorboard: bool = False) -> None:
        self.events = open_event_file(folder) if tensorboard else None  # may raise, so before a file is open
        self.file = (folder / METRICS).open("a+", encoding="utf-8")
        try:
            lock_run(self.file, folder)
        except StyleTransferError:
            self.file.close()
            raise
        self.file.seek(0)
        rows = self.file.readlines()
        self.file.truncate(0)
        self.file.writelines(row for row in rows if row.endswith("\n") and json.loads(row)["step"] <= step)
        self.file.flush()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        if self.events is not None:
            self.events.close()

    def write(self, row: Mapping[str, Any]) -> None:
        """Write the metrics of one step. TensorBoard gets nested ones as "outer/inner"."""
        self.file.write(json.dumps(replace_nonfinite(row)) + "\n")
        if self.events is not None:
            for name, value in row.items():
                nested = value if isinstance(value, dict) else {"": value}
                for inner, number in nested.items():
                    self.events.add_scalar(f"{name}/{inner}".rstrip("/"), number, row["step"])

    def flush(self) -> None:
        """Write the buffered rows to the file."""
        self.file.flush()


def lock_run(file: TextIO, folder: Path) -> None:
    """Keep other processes from training in a folder as long as a file in it is open.

    Two runs in one folder would overwrite each other's checkpoints. The lock ends with the process, however
    that ends. Windows and some network file systems have no such locks; there, nothing is locked.

    Args:
        file: The file, which every run opens.
        folder: The folder.

    Raises:
        StyleTransferError: Another process holds the lock.
    """
    try:
        import fcntl
    except ModuleNotFoundError:
        return
    try:
        # A lock of the process, which the processes that read pictures do not inherit and keep.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise StyleTransferError(
            f"{folder}: another process is training there", hint="wait until it ends, or give another -o"
        ) from error
    except OSError:
        return


def replace_nonfinite(value: Any) -> Any:
    """Replace NaN and infinities, which JSON does not have, by None."""
    if isinstance(value, Mapping):
        return {name: replace_nonfinite(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def open_event_file(folder: Path) -> Any:
    """Open TensorBoard's event file of a run.

    Raises:
        StyleTransferError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise StyleTransferError(
            "TensorBoard is not installed", hint='pip install "styletransfer[log]"'
        ) from error
    return SummaryWriter(folder)


@torch.no_grad()
def write_samples(model: Network, content: Tensor, style: Tensor, path: Path) -> None:
    """Write a contact sheet with a row per pair: content, style, the stylized picture, the reconstruction.

    Args:
        model: The network.
        content: [B, 3, H, W] in 0..1.
        style: [B, 3, H, W] in 0..1.
        path: The picture file to write.
    """
    stylized, reconstruction = (soft_clip(model(content, other).float()) for other in (style, content))
    columns = {"content": content, "style": style, "stylized": stylized, "own style": reconstruction}
    rows = [
        [Tile(pictures[index].float().clamp(0, 1).cpu(), name) for name, pictures in columns.items()]
        for index in range(len(content))
    ]
    path.parent.mkdir(exist_ok=True)
    write_picture(Picture.from_float(draw_contact_sheet(rows, None)), path)
