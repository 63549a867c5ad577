"""Training pictures: folders or tar archives of them, cropped at random but reproducibly.

Every crop is a function of the seed and the number of the sample alone. A resumed run needs no state of
its data, any number of worker processes gives the same crops, and so does any number of GPUs.
"""

from __future__ import annotations

import io
import math
import tarfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import ImageError, StyleTransferError
from ..media import Picture, read_picture, readable_extensions

# Crops cover 0.35 to 1 times the short side of the picture and are stretched by at most a quarter.
SMALLEST_COVER = 0.35
LARGEST_STRETCH = 1.25
# Tries to find an intact picture for a sample before the pool as a whole is given up.
TRIES = 20


class PicturePool:
    """The pictures of a folder, with its subfolders, or of a tar archive, held in memory as their files.

    Args:
        path: The folder or archive.

    Raises:
        StyleTransferError: There is no such path, or no picture in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = read_archive(path) if path.is_file() else read_folder(path)
        if not self.files:
            raise StyleTransferError(
                f"{path}: holds no pictures", hint="give a folder or tar of JPEG or PNG files"
            )

    def __len__(self) -> int:
        return len(self.files)

    def draw(self, generator: torch.Generator) -> tuple[Picture, int]:
        """Draw a picture.

        Returns:
            The picture, and how many corrupt files were drawn and passed over before it.

        Raises:
            StyleTransferError: Nearly all files are corrupt.
        """
        for skipped in range(TRIES):
            index = int(torch.randint(len(self.files), (), generator=generator))
            try:
                return read_picture(io.BytesIO(self.files[index])), skipped
            except ImageError:
                continue
        raise StyleTransferError(f"{self.path}: {TRIES} files in a row are no readable pictures")


def read_folder(path: Path) -> list[bytes]:
    """Read the picture files below a folder, in the order of their names."""
    if not path.is_dir():
        raise StyleTransferError(f"{path}: no such folder or archive")
    endings = readable_extensions()
    files = (file for file in sorted(path.rglob("*")) if file.suffix.lower() in endings)
    return [file.read_bytes() for file in files if file.is_file() and not file.name.startswith(".")]


def read_archive(path: Path) -> list[bytes]:
    """Read the picture files of a tar archive, compressed or not, in the order of their names."""
    endings = readable_extensions()
    try:
        with tarfile.open(path) as archive:
            members = sorted(
                (member for member in archive if member.isfile()), key=lambda member: member.name
            )
            files = (archive.extractfile(m) for m in members if Path(m.name).suffix.lower() in endings)
            return [file.read() for file in files if file is not None]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise StyleTransferError(f"{path}: no readable tar archive ({error})") from error


class TrainingPairs(Dataset[tuple[Tensor, Tensor, int]]):
    """Pairs of a content and a style crop, by number.

    Args:
        contents: Pools of content pictures. A pool is drawn in proportion to the square root of its size, so
            that a small one of better pictures is not drowned by a large one.
        styles: Pools of style pictures.
        crop: Height and width of the crops.
        seed: Another seed, other crops.
        length: Number of pairs.
    """

    def __init__(
        self, contents: list[PicturePool], styles: list[PicturePool], crop: int, seed: int, length: int
    ) -> None:
        self.pools = (contents, styles)
        self.crop = crop
        self.seed = seed
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, int]:
        """Return content [3, crop, crop], style [3, crop, crop], both 0..1, and corrupt files passed over."""
        crops, skipped = [], 0
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        for pools in self.pools:
            sizes = torch.tensor([float(len(pool)) for pool in pools]).sqrt()
            pool = pools[int(torch.multinomial(sizes, 1, generator=generator))]
            picture, passed = pool.draw(generator)
            crops.append(crop_randomly(picture, self.crop, generator))
            skipped += passed
        return crops[0], crops[1], skipped


def crop_randomly(picture: Picture, size: int, generator: torch.Generator) -> Tensor:
    """Cut a random part of a picture, stretch, scale and mirror it.

    Args:
        picture: At least one pixel; smaller ones than the crop are enlarged.
        size: Height and width of the result.
        generator: Source of all randomness.

    Returns:
        [3, size, size] in 0..1.
    """
    cover, stretch, across, down, mirror = torch.rand(5, generator=generator).tolist()
    short = min(picture.height, picture.width)
    # Never enlarged where the picture is large enough: blurred crops would teach blurred strokes.
    smallest = min(short, max(SMALLEST_COVER * short, size))
    side = smallest + cover * (short - smallest)
    ratio = math.exp((2 * stretch - 1) * math.log(LARGEST_STRETCH))
    height = max(1, round(min(side * math.sqrt(ratio), picture.height)))
    width = max(1, round(min(side / math.sqrt(ratio), picture.width)))
    top = int(down * (picture.height - height + 1))
    left = int(across * (picture.width - width + 1))
    part = picture.pixels[:, top : top + height, left : left + width]
    part = part.flip(-1) if mirror < 0.5 else part
    pixels = part.unsqueeze(0).float() / torch.iinfo(part.dtype).max
    return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True, align_corners=False)[0]
