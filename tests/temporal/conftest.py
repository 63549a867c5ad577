"""A Stylizer in float32, a style, and frames of short clips."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import grid_sample

from styletransfer import Stylizer
from styletransfer.media import Picture, read_picture, resize_picture
from styletransfer.options import RuntimeOptions

EXAMPLES = Path(__file__).parents[2] / "examples"
HEIGHT, WIDTH = 48, 64


@pytest.fixture(scope="package")
def stylizer() -> Stylizer:
    return Stylizer("default", runtime=RuntimeOptions(precision="fp32"))


@pytest.fixture(scope="package")
def styles() -> list[Picture]:
    names = ("mosaic", "watercolor")
    return [resize_picture(read_picture(EXAMPLES / "style" / f"{name}.jpg"), 96) for name in names]


class Camera:
    """A camera that looks at a photograph.

    Args:
        name: Name of an example content.
        noise: Standard deviation of the sensor's noise, in 0..1.
    """

    def __init__(self, name: str, noise: float = 0.0) -> None:
        picture = read_picture(EXAMPLES / "content" / f"{name}.jpg")
        self.photograph = resize_picture(picture, 160).to_float()
        self.noise, self.random = noise, torch.Generator().manual_seed(0)

    def look(self, x: float = 0.0, y: float = 0.0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Picture:
        """Return a frame; x and y are pixels from the middle of the photograph."""
        height, width = size
        rows, columns = (torch.arange(edge) - (edge - 1) / 2 for edge in size)
        columns = (columns + x)[None] * 2 / self.photograph.shape[3]
        rows = (rows + y)[:, None] * 2 / self.photograph.shape[2]
        grid = torch.stack([columns.expand(size), rows.expand(size)], 2)
        seen = grid_sample(self.photograph, grid[None], "bicubic", "reflection", align_corners=False)
        noise = torch.randn(1, 3, height, width, generator=self.random)
        return Picture.from_float(seen + self.noise * noise)
