"""Paintings of five movements: read, balanced, split by artist, and varied for training."""

from __future__ import annotations

import csv
import io
import random
import tarfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.functional import pil_to_tensor

from ..classification import Images

MOVEMENTS = ("Impressionism", "Baroque", "Rococo", "Ukiyo_e", "Cubism")
PER_MOVEMENT = 170  # as many as the smallest movement has
HELD_OUT = 50  # of these, by artists whom the training never sees
VALIDATION = 30  # by artists whom no seed tests, for choosing strengths
DRAWS = 100  # of artists, until their numbers of paintings add up
SIDE = 96


class Painting(NamedTuple):
    """A file of the archive, its movement and its artist."""

    name: str
    movement: str
    artist: str


class Split(NamedTuple):
    """Paintings for training and for testing, equally many of each movement, no artist in both."""

    train: list[Painting]
    test: list[Painting]


def read_index(path: Path) -> list[Painting]:
    """Return the paintings of the five movements in an index whose `path` is Movement/artist_title.jpg."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["name"], *row["path"].partition("/")[::2]) for row in csv.DictReader(file)]
    return [Painting(name, kind, work.split("_")[0]) for name, kind, work in rows if kind in MOVEMENTS]


def split_by_artist(
    paintings: Iterable[Painting], held: int, total: int, seed: int, never_held: Collection[str] = ()
) -> Split:
    """Draw artists for testing until they have `held` paintings of each movement, and balance both parts.

    Args:
        paintings: What to choose from.
        held: Paintings of each movement for testing.
        total: Paintings of each movement in both parts together.
        seed: Seed of the draw.
        never_held: Artists who are for training only.

    Raises:
        ValueError: The paintings do not allow the split.
    """
    generator = random.Random(seed)
    works: dict[str, list[Painting]] = defaultdict(list)
    for painting in paintings:
        works[painting.artist].append(painting)
    artists = sorted(works)
    for _ in range(DRAWS):
        generator.shuffle(artists)
        held_artists = _draw_artists(
            works, [artist for artist in artists if artist not in never_held], held, total
        )
        parts = [
            [p for a in artists if (a in held_artists) == tested for p in works[a]]
            for tested in (False, True)
        ]
        sizes = [Counter(painting.movement for painting in part) for part in parts]
        if all(size[m] >= n for size, n in zip(sizes, (total - held, held), strict=True) for m in MOVEMENTS):
            break
    else:
        raise ValueError(f"no {DRAWS} draws of artists held {held} of {total} paintings of each movement")
    balanced: list[list[Painting]] = [[], []]
    for movement in MOVEMENTS:
        for part, there, wanted in zip(balanced, parts, (total - held, held), strict=True):
            part += generator.sample([p for p in there if p.movement == movement], wanted)
    return Split(*balanced)


def _draw_artists(works: dict[str, list[Painting]], artists: list[str], held: int, total: int) -> set[str]:
    """Go through artists, and hold those out who help to reach `held` paintings of each movement, or near it.

    An artist of several movements is held out of all of them, and no movement may give more than it has to
    spare. Small movements come first: they have fewer artists to choose from.
    """
    sizes = Counter(painting.movement for all_of_one in works.values() for painting in all_of_one)
    chosen: Counter[str] = Counter()
    drawn: set[str] = set()
    for movement in sorted(MOVEMENTS, key=lambda movement: sizes[movement]):
        for artist in artists:
            own = Counter(painting.movement for painting in works[artist])
            spared = all(chosen[m] + own[m] <= sizes[m] - (total - held) for m in own)
            if artist not in drawn and chosen[movement] < held and own[movement] and spared:
                drawn.add(artist)
                chosen += own
    return drawn


def split_for_validation(paintings: Iterable[Painting]) -> Split:
    """Return the split for choosing strengths. It trains on as many paintings as the splits for testing."""
    return split_by_artist(paintings, VALIDATION, PER_MOVEMENT - HELD_OUT + VALIDATION, seed=0)


def split_for_testing(paintings: Collection[Painting], seed: int) -> Split:
    """Return the split of a seed. Artists that chose strengths are never tested."""
    validated = {painting.artist for painting in split_for_validation(paintings).test}
    return split_by_artist(paintings, HELD_OUT, PER_MOVEMENT, seed, validated)


def read_images(archive: Path, split: Split) -> Images:
    """Return the paintings of a split, [N, 3, 96, 96] in 0..255, and the numbers of their movements."""
    parts = [_read(archive, part) for part in split]
    return Images(parts[0], parts[1])


def _read(archive: Path, paintings: Sequence[Painting]) -> tuple[Tensor, Tensor]:
    pictures = {}
    wanted = {painting.name for painting in paintings}
    with tarfile.open(archive) as file:
        for member in file:
            name = Path(member.name).name
            content = file.extractfile(member) if name in wanted else None
            if content is not None:
                with Image.open(io.BytesIO(content.read())) as picture:
                    small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
                pictures[name] = pil_to_tensor(small)
    missing = wanted - pictures.keys()
    if missing:
        raise ValueError(f"{archive} lacks {len(missing)} paintings of the index, {min(missing)} among them")
    labels = torch.tensor([MOVEMENTS.index(painting.movement) for painting in paintings])
    return torch.stack([pictures[painting.name] for painting in paintings]), labels


def normalize(pictures: Tensor) -> Tensor:
    """Return pictures of 0..255 in about -2..2, in the layout that convolutions compute fastest in."""
    return (pictures.float() / 64 - 2).contiguous(memory_format=torch.channels_last)


def vary(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Crop, stretch, mirror and recolor normalized pictures, each in its own way.

    A crop keeps half of the area or more. Its aspect ratio varies between 3/4 and 4/3, because the scans were
    squashed to squares. Brightness, contrast and saturation vary by a fifth.
    """

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(len(pictures)).uniform_(low, high, generator=generator)

    area, stretch = uniform(0.5, 1), uniform(-0.288, 0.288).exp()
    width, height = ((area * stretch).sqrt().clamp(max=1), (area / stretch).sqrt().clamp(max=1))
    mirror = torch.where(uniform(-1, 1) < 0, -1.0, 1.0)
    zero = torch.zeros_like(area)
    rows = (width * mirror, zero, uniform(-1, 1) * (1 - width), zero, height, uniform(-1, 1) * (1 - height))
    grid = functional.affine_grid(
        torch.stack(rows, 1).view(-1, 2, 3), list(pictures.shape), align_corners=False
    )
    cropped = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    mean = cropped.mean((1, 2, 3), keepdim=True)
    gray = cropped.mean(1, keepdim=True)
    brightness = uniform(-0.4, 0.4).view(-1, 1, 1, 1)
    contrast, saturation = (uniform(0.8, 1.2).view(-1, 1, 1, 1) for _ in range(2))
    colored = gray + saturation * (cropped - gray)
    return (mean + contrast * (colored - mean) + brightness).contiguous(memory_format=torch.channels_last)
