"""Files that look alike but hide different colors under transparent pixels give the same visible pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from styletransfer import Stylizer

from .conftest import Run

SIZE = 48
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("RGBA", {}),
    "la.png": ("LA", {}),
    "webp": ("RGBA", {"lossless": True, "exact": True}),
    "tiff": ("RGBA", {}),
    "avif": ("RGBA", {"quality": 100, "subsampling": "4:4:4"}),
}
Save = Callable[[Path, int], Path]


def make_pixels(hidden: int, *, gray: bool = False) -> np.ndarray[Any, Any]:
    """Return RGBA: colors, opaque but for a hole with a soft edge and a corner."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE]
    colors = generator.integers(0, 256, (6, 6, 3)).repeat(8, 0).repeat(8, 1)
    if gray:
        colors = colors[:, :, :1].repeat(3, 2)
    alpha = np.clip(255 - 60 * (14 - np.hypot(y - 20, x - 26)), 0, 255).astype(np.uint8)
    alpha[:9, :9] = 0
    colors[alpha == 0] = hidden
    return np.dstack([colors, alpha]).astype(np.uint8)


def save(path: Path, hidden: int) -> Path:
    """Write a picture with hidden colors in the format of a name."""
    suffix = path.name.partition(".")[2]
    if suffix in {"gif", "p.png"}:
        return save_palette(path, hidden)
    mode, options = FORMATS[suffix]
    Image.fromarray(make_pixels(hidden, gray=mode == "LA"), "RGBA").convert(mode).save(path, **options)
    return path


def save_palette(path: Path, hidden: int) -> Path:
    """Write a picture with a palette, one entry of which is transparent and has a hidden color."""
    pixels = make_pixels(0)
    index = (np.add.outer(np.arange(SIZE) // 5, np.arange(SIZE) // 7) % 7 + 1).astype(np.uint8)
    index[pixels[:, :, 3] == 0] = 0
    colors = np.random.default_rng(1).integers(0, 256, (8, 3))
    colors[0] = hidden
    image = Image.fromarray(index, "P")
    image.putpalette(colors.astype(np.uint8).tobytes())
    image.save(path, transparency=0)
    return path


def read_visible(path: Path) -> np.ndarray[Any, Any]:
    """Return the visible pixels of a result, [N, 3]."""
    pixels = np.asarray(Image.open(path).convert("RGBA")).astype(int)
    visible: np.ndarray[Any, Any] = pixels[pixels[:, :, 3] > 0][:, :3]
    return visible


@pytest.mark.parametrize("suffix", [*FORMATS, "gif", "p.png"])
@pytest.mark.parametrize("options", [[], ["--stroke-scale", "2"], ["--content-statistics", "thumbnail"]])
def test_contents_that_look_alike_become_alike(
    run: Run, folder: Path, style: Path, suffix: str, options: list[str]
) -> None:
    results = []
    for hidden in (0, 255):
        content = save(folder / f"content{hidden}.{suffix}", hidden)
        run("stylize", str(content), str(style), "-o", f"{hidden}.png", *options)
        results.append(read_visible(folder / f"{hidden}.png"))
    # A lossy format changes visible pixels too.
    assert np.abs(results[0] - results[1]).mean() <= (4 if suffix == "avif" else 0)


@pytest.mark.parametrize("suffix", [*FORMATS, "gif", "p.png"])
@pytest.mark.parametrize("options", [[], ["--stroke-scale", "2"]])
def test_styles_that_look_alike_do_the_same(
    run: Run, folder: Path, content: Path, suffix: str, options: list[str]
) -> None:
    results = []
    for hidden in (0, 255):
        style = save(folder / f"style{hidden}.{suffix}", hidden)
        run("stylize", str(content), str(style), "-o", f"{hidden}.png", *options)
        results.append(read_visible(folder / f"{hidden}.png"))
    assert np.abs(results[0] - results[1]).mean() <= (1.5 if suffix == "avif" else 0)


def test_the_interface_does_not_see_hidden_colors(folder: Path, style: Path) -> None:
    stylizer = Stylizer("default")
    black, white = (Image.fromarray(make_pixels(hidden), "RGBA") for hidden in (0, 255))
    first, second = (np.asarray(stylizer.stylize(each, style)) for each in (black, white))
    assert np.array_equal(first[first[..., 3] > 0], second[second[..., 3] > 0])
    assert np.array_equal(first[..., 3], make_pixels(0)[..., 3])
    means = [stylizer.measure_style(each).levels[0].mean for each in (black, white)]
    assert means[0].equal(means[1])


def test_ink_in_the_alpha_channel_is_ink_on_paper(folder: Path, content: Path) -> None:
    """Black ink that is stored as opacity looks like black on white, and not like black."""
    gray = make_pixels(0)[:, :, :1]
    ink = np.dstack([np.zeros((SIZE, SIZE, 3), np.uint8), 255 - gray])
    stylizer = Stylizer("default")
    measured = stylizer.measure_style(Image.fromarray(ink, "RGBA"))
    paper = stylizer.measure_style(Image.fromarray(gray[:, :, 0]))
    assert measured.levels[0].mean.equal(paper.levels[0].mean)


def test_training_crops_do_not_see_hidden_colors(folder: Path) -> None:
    import torch

    from styletransfer.training.data import PicturePool, TrainingPairs

    crops = []
    for hidden in (0, 255):
        (folder / str(hidden)).mkdir()
        save(folder / str(hidden) / "a.png", hidden)
        pool = PicturePool(folder / str(hidden))
        crops.append(TrainingPairs([pool], [pool], 32, 0, 1)[0])
    assert torch.equal(crops[0][0], crops[1][0])
    assert torch.equal(crops[0][1], crops[1][1])
