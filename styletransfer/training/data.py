"""Training data: pictures from folders or tar archives, cropped at random but reproducibly.

Every crop depends on the seed and the number of the sample alone. So a resumed run needs no saved state of
its data, and any number of workers or GPUs gives the same crops.
"""

from __future__ import annotations

import io
import math
from array import array
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path, PurePath
from typing import NamedTuple, overload

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ImageError, StyleTransferError
from ..media import Picture, read_picture, readable_extensions
from ..tar_archive import is_plain_archive, list_files, read_members

# Crops cover between 0.35 and 1 times the short side of the picture and are stretched by at most a quarter.
MIN_COVER = 0.35
MAX_STRETCH = 1.25
# Number of corrupt pictures in a row after which a pool is given up.
MAX_TRIES = 20


class PicturePool:
    """The picture files of a folder and its subfolders, or of a tar archive.

    Those of an archive that is not compressed stay on the disk until they are drawn, so that it may be larger
    than the memory. Others are held in memory as they are.

    Args:
        path: The folder or the archive.

    Raises:
        StyleTransferError: The path does not exist, is not readable, or holds no pictures.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: Sequence[bytes]
        if is_plain_archive(path):
            self.files = ArchiveFiles(path)
        else:
            self.files = read_archive(path) if path.is_file() else read_folder(path)
        if not self.files:
            raise StyleTransferError(
                f"{path}: holds no pictures", hint="give a folder or tar archive of JPEG or PNG files"
            )

    def __len__(self) -> int:
        return len(self.files)

    def draw(self, generator: torch.Generator) -> tuple[Picture, int]:
        """Draw a picture at random.

        Args:
            generator: Source of all randomness.

        Returns:
            The picture, and the number of corrupt files that were drawn before it.

        Raises:
            StyleTransferError: Too many corrupt files were drawn in a row.
        """
        for skipped in range(MAX_TRIES):
            index = int(torch.randint(len(self.files), (), generator=generator))
            try:
                return read_picture(io.BytesIO(self.files[index])), skipped
            except ImageError:
                continue
        raise StyleTransferError(f"{self.path}: {MAX_TRIES} files in a row are not readable pictures")


class ArchiveFiles(Sequence[bytes]):
    """The picture files of a tar archive in the order of their names; each is read when it is asked for.

    The index takes 16 bytes per file. Any number of threads may read.

    Args:
        path: The archive, not compressed.

    Raises:
        StyleTransferError: The archive is damaged or cut off.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            found = sorted(
                (info.name, info.offset_data, info.size)
                for info in list_files(file, str(path))
                if is_picture_name(PurePath(info.name))
            )
        self._offsets = array("Q", (offset for _, offset, _ in found))
        self._sizes = array("Q", (size for _, _, size in found))

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        try:
            with self._path.open("rb") as file:
                file.seek(self._offsets[index])
                return file.read(self._sizes[index])
        except OSError as error:
            raise StyleTransferError(f"{self._path}: {error.strerror or error}") from error


def is_picture_name(path: PurePath) -> bool:
    """Return whether a file is a picture by its extension and is not hidden.

    Hidden files are left out because macOS stores the attributes of a.jpg as ._a.jpg.
    """
    return path.suffix.lower() in readable_extensions() and not path.name.startswith(".")


def read_folder(path: Path) -> list[bytes]:
    """Read the picture files below a folder in the order of their paths.

    Raises:
        StyleTransferError: There is no such folder.
    """
    if not path.is_dir():
        raise StyleTransferError(f"{path}: no such folder or archive")
    files = (file for file in sorted(path.rglob("*")) if is_picture_name(file))
    return [file.read_bytes() for file in files if file.is_file()]


def read_archive(path: Path) -> list[bytes]:
    """Read the picture files of a tar archive, compressed or not, in the order of their names.

    Raises:
        StyleTransferError: The file is not a readable tar archive.
    """
    with path.open("rb") as file:
        members = [
            member
            for member in read_members(file, str(path))
            if member.info.isfile() and is_picture_name(PurePath(member.info.name))
        ]
    return [member.data for member in sorted(members, key=lambda member: member.info.name)]


class TrainingPairs:
    """Numbered pairs of a content crop and a style crop.

    Negative numbers give pairs too, which are not among the `length` pairs for training.

    Args:
        contents: Pools of content pictures. A pool is drawn in proportion to the square root of its size, so
            that a large pool does not drown a small one of better pictures.
        styles: Pools of style pictures, drawn likewise.
        crop: Height and width of the crops.
        seed: Seed of the random crops.
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
        """Return the content and the style [3, crop, crop] in 0..1, and the number of corrupt files drawn."""
        crops, skipped = [], 0
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        for pools in self.pools:
            sizes = torch.tensor([float(len(pool)) for pool in pools]).sqrt()
            pool = pools[int(torch.multinomial(sizes, 1, generator=generator))]
            picture, corrupt = pool.draw(generator)
            picture = picture.as_style() if pools is self.pools[1] else picture.with_hidden_colors_filled()
            crops.append(crop_randomly(picture, self.crop, generator))
            skipped += corrupt
        return crops[0], crops[1], skipped


class Batch(NamedTuple):
    """A batch of pairs.

    Attributes:
        content: [B, 3, crop, crop] in 0..1.
        style: [B, 3, crop, crop] in 0..1.
        skipped: Number of corrupt files drawn.
    """

    content: Tensor
    style: Tensor
    skipped: int


def load_batches(
    pairs: TrainingPairs, batches: Iterable[Sequence[int]], workers: int, *, pin_memory: bool = False
) -> Generator[Batch, None, None]:
    """Load batches of pairs, in order and ahead of time.

    The workers are threads. Decoding and resizing release Python's global lock, and threads need no shared
    memory, which containers often lack.

    Args:
        pairs: The pairs.
        batches: Numbers of the pairs in each batch.
        workers: Number of threads, or 0 to load each batch when it is needed.
        pin_memory: Whether to put the batches into page-locked memory, from which copies to GPUs are faster.

    Yields:
        The batches.

    Raises:
        StyleTransferError: A pool has too many corrupt files.
    """

    def load(numbers: Sequence[int]) -> Batch:
        contents, styles, skipped = zip(*(pairs[number] for number in numbers), strict=True)
        content, style = torch.stack(contents), torch.stack(styles)
        if pin_memory:
            content, style = content.pin_memory(), style.pin_memory()
        return Batch(content, style, sum(skipped))

    if not workers:
        yield from map(load, batches)
        return
    remaining = iter(batches)
    pool = ThreadPoolExecutor(workers)
    try:
        pending = deque(pool.submit(load, numbers) for numbers in islice(remaining, 2 * workers))
        while pending:
            batch = pending.popleft().result()
            pending.extend(pool.submit(load, numbers) for numbers in islice(remaining, 1))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)


def crop_randomly(picture: Picture, size: int, generator: torch.Generator) -> Tensor:
    """Cut out a random part of a picture, stretch it, mirror it or not, and resize it.

    Args:
        picture: The picture. If it is smaller than the crop, it is enlarged.
        size: Height and width of the result.
        generator: Source of all randomness.

    Returns:
        [3, size, size] in 0..1.
    """
    cover, stretch, across, down, mirror = torch.rand(5, generator=generator).tolist()
    short = min(picture.height, picture.width)
    # Pictures that are large enough are never enlarged, because blurred crops would teach blurred strokes.
    smallest = min(short, max(MIN_COVER * short, size))
    side = smallest + cover * (short - smallest)
    ratio = math.exp((2 * stretch - 1) * math.log(MAX_STRETCH))
    height = max(1, round(min(side * math.sqrt(ratio), picture.height)))
    width = max(1, round(min(side / math.sqrt(ratio), picture.width)))
    top = int(down * (picture.height - height + 1))
    left = int(across * (picture.width - width + 1))
    part = picture.pixels[:, top : top + height, left : left + width]
    part = part.flip(-1) if mirror < 0.5 else part
    pixels = part.unsqueeze(0).float() / torch.iinfo(part.dtype).max
    return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True, align_corners=False)[0]
