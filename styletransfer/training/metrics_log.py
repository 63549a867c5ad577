"""The log of a training run: metrics of every step, and sheets of sample pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from ..errors import StyleTransferError
from ..media import Picture, write_picture
from ..media.contact_sheet import Tile, draw_contact_sheet
from ..model import Autoencoder, soft_clip

METRICS = "metrics.jsonl"
SAMPLES = "samples"


class MetricsLog:
    """A file with one JSON object per step, and optionally TensorBoard's event files with the same numbers.

    Args:
        folder: The run's folder.
        step: Number of steps that the run has done. Rows of later steps are removed, because a resumed run
            writes them again.
        tensorboard: Whether event files are written too.

    Raises:
        StyleTransferError: TensorBoard is requested and not installed.
    """

    def __init__(self, folder: Path, step: int, *, tensorboard: bool = False) -> None:
        path = folder / METRICS
        if path.exists():
            rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [row for row in rows if row.endswith("\n") and json.loads(row)["step"] <= step]
            path.write_text("".join(kept), encoding="utf-8")
        self.file = path.open("a", encoding="utf-8")
        self.events = open_event_file(folder) if tensorboard else None

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
def write_samples(model: Autoencoder, content: Tensor, style: Tensor, path: Path) -> None:
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
