"""What a run leaves behind to be read and looked at: metrics of every step, sample pictures."""

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
    """Rows of numbers, one JSON object a line, and the same for TensorBoard if asked.

    Args:
        folder: Of the run.
        step: Steps that the run has done; rows beyond it, which a resumed run writes again, are cut.
        tensorboard: Write event files too.

    Raises:
        StyleTransferError: TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path, step: int, *, tensorboard: bool = False) -> None:
        path = folder / METRICS
        if path.exists():
            rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [row for row in rows if row.endswith("\n") and json.loads(row)["step"] <= step]
            path.write_text("".join(kept), encoding="utf-8")
        self.file = path.open("a", encoding="utf-8")
        self.events = open_events(folder) if tensorboard else None

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        if self.events is not None:
            self.events.close()

    def write(self, row: Mapping[str, Any]) -> None:
        """Write the numbers of one step; nested ones are flattened for TensorBoard."""
        self.file.write(json.dumps(without_nan(row)) + "\n")
        if self.events is not None:
            for name, value in row.items():
                nested = value if isinstance(value, dict) else {"": value}
                for inner, number in nested.items():
                    self.events.add_scalar(f"{name}/{inner}".rstrip("/"), number, row["step"])

    def flush(self) -> None:
        """Bring what was written to the disk."""
        self.file.flush()


def without_nan(value: Any) -> Any:
    """Replace numbers that JSON cannot hold by null."""
    if isinstance(value, Mapping):
        return {name: without_nan(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def open_events(folder: Path) -> Any:
    """Open TensorBoard's event file of a run."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise StyleTransferError(
            "TensorBoard is not installed", hint='pip install "styletransfer[log]"'
        ) from error
    return SummaryWriter(folder)


@torch.no_grad()
def paint_samples(model: Autoencoder, content: Tensor, style: Tensor, path: Path) -> None:
    """Write a sheet of what a network makes of some pairs.

    Args:
        model: The network.
        content: [B, 3, H, W] in 0..1.
        style: [B, 3, H, W] in 0..1.
        path: The picture to write.
    """
    stylized, itself = (soft_clip(model(content, other).float()) for other in (style, content))
    columns = {"content": content, "style": style, "stylized": stylized, "own style": itself}
    rows = [
        [Tile(pictures[index].float().clamp(0, 1).cpu(), name) for name, pictures in columns.items()]
        for index in range(len(content))
    ]
    path.parent.mkdir(exist_ok=True)
    write_picture(Picture.from_float(draw_contact_sheet(rows, None)), path)
