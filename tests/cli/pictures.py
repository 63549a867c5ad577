"""Pictures of random pixels, and their sizes when read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image

from styletransfer.media import Picture, read_picture, write_picture


def make_picture(size: tuple[int, int], *, alpha: bool = False, bit_depth: int = 8, seed: int = 0) -> Picture:
    """Make a picture of width x height random pixels."""
    width, height = size
    samples = torch.rand(4, height, width, generator=torch.Generator().manual_seed(seed))
    opacity = (samples[3:] * 255).to(torch.uint8) if alpha else None
    return Picture.from_float(samples[:3], opacity, bit_depth)


def write_content(path: Path, size: tuple[int, int], *, seed: int = 0) -> Path:
    """Write an opaque picture of 8 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(make_picture(size, seed=seed), path)
    return path


def read_info(path: Path | str) -> dict[str, Any]:
    """Return the texts that a file holds beside its pixels."""
    with Image.open(path) as image:
        image.load()
        return {str(key): value for key, value in image.info.items()}


def read_size(path: Path | str) -> tuple[int, int]:
    """Decode a whole file and return its width and height."""
    picture = read_picture(path)
    return picture.width, picture.height
