"""Training data: pools of pictures, corrupt files, and crops that depend on seed and number alone."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
import torch

from styletransfer.errors import StyleTransferError
from styletransfer.training import PicturePool, TrainingPairs
from styletransfer.training.data import crop_randomly

from .conftest import make_noise


def test_archive_and_folder_hold_the_same_files(picture_folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "pictures.tar.gz", "w:gz") as archive:
        archive.add(picture_folder, "pictures")
    assert PicturePool(tmp_path / "pictures.tar.gz").files == PicturePool(picture_folder).files


def test_corrupt_files_are_skipped_and_counted(picture_folder: Path) -> None:
    pool = PicturePool(picture_folder)
    pairs = TrainingPairs([pool], [pool], 32, seed=0, length=20)
    assert sum(pairs[number][2] for number in range(20)) > 0
    assert all(pairs[number][0].shape == (3, 32, 32) for number in range(20))


@pytest.mark.parametrize("content", [{}, {"a.jpg": b"x", "b.png": b""}])
def test_pools_without_pictures_are_refused(tmp_path: Path, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(StyleTransferError, match=str(tmp_path)):
        PicturePool(tmp_path).draw(torch.Generator())
    with pytest.raises(StyleTransferError, match="nowhere"):
        PicturePool(tmp_path / "nowhere")


def test_samples_depend_on_seed_and_number_alone(picture_folder: Path) -> None:
    pool = PicturePool(picture_folder)
    first, again = (TrainingPairs([pool], [pool], 32, seed=5, length=9) for _ in range(2))
    assert torch.equal(first[7][0], again[7][0])
    other = TrainingPairs([pool], [pool], 32, seed=6, length=9)
    assert not torch.equal(first[7][0], other[7][0])


@pytest.mark.parametrize("size", [(48, 40), (10, 70), (1, 1), (200, 200)])
def test_crops_have_the_requested_size_and_vary(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    crops = [crop_randomly(make_noise(0, *size), 32, generator) for _ in range(3)]
    assert all(crop.shape == (3, 32, 32) and 0 <= crop.min() <= crop.max() <= 1 for crop in crops)
    assert size == (1, 1) or not torch.equal(crops[0], crops[1])
