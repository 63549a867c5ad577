"""Training data: pools of pictures, corrupt files, and crops that depend on seed and number alone."""

from __future__ import annotations

import io
import tarfile
import threading
import tracemalloc
from pathlib import Path

import pytest
import torch

from styletransfer.errors import StyleTransferError
from styletransfer.media import write_picture
from styletransfer.training import PicturePool, TrainingPairs
from styletransfer.training.data import crop_randomly, load_batches

from .conftest import make_noise


def test_archive_and_folder_hold_the_same_files(picture_folder: Path, tmp_path: Path) -> None:
    for mode, name in (("w:gz", "pictures.tar.gz"), ("w", "pictures.tar")):
        with tarfile.open(tmp_path / name, mode) as archive:  # type: ignore[call-overload]
            archive.add(picture_folder, "pictures")
        assert list(PicturePool(tmp_path / name).files) == PicturePool(picture_folder).files


def test_a_plain_archive_stays_on_the_disk(tmp_path: Path) -> None:
    data = io.BytesIO()
    write_picture(make_noise(0, 100, 100), data, format="png")
    with tarfile.open(tmp_path / "pictures.tar", "w") as archive:
        for number in range(300):
            info = tarfile.TarInfo(f"{number % 7}/{number}.png")
            info.size = len(data.getvalue())
            archive.addfile(info, io.BytesIO(data.getvalue()))
    PicturePool(tmp_path / "pictures.tar")  # what is imported on first use does not count
    tracemalloc.start()
    pool = PicturePool(tmp_path / "pictures.tar")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(pool) == 300
    assert set(pool.files) == {data.getvalue()}
    assert peak < (tmp_path / "pictures.tar").stat().st_size / 20
    with (tmp_path / "pictures.tar").open("r+b") as file:
        file.truncate(100_000)
    with pytest.raises(StyleTransferError, match=r"pictures\.tar: not a readable tar archive"):
        PicturePool(tmp_path / "pictures.tar")


def test_archives_made_by_macos_hold_no_pictures_twice(picture_folder: Path, tmp_path: Path) -> None:
    """macOS stores the attributes of 0.png as ._0.png, which has the extension of a picture and is none."""
    with tarfile.open(tmp_path / "pictures.tar", "w") as archive:
        for path in sorted(picture_folder.iterdir()):
            attributes = tarfile.TarInfo(f"pictures/._{path.name}")
            attributes.size = 4
            archive.addfile(attributes, io.BytesIO(b"\0\5\x16\7"))
            archive.add(path, f"pictures/{path.name}")
    assert list(PicturePool(tmp_path / "pictures.tar").files) == PicturePool(picture_folder).files


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


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_do_not_depend_on_the_number_of_workers(picture_folder: Path, workers: int) -> None:
    pool = PicturePool(picture_folder)
    pairs = TrainingPairs([pool], [pool], 32, seed=0, length=20)
    numbers = [[0, 1], [5, 3], *([6, number] for number in range(8))]
    batches = list(load_batches(pairs, numbers, workers))
    assert len(batches) == len(numbers)
    for batch, expected in zip(batches, numbers, strict=True):
        for index, number in enumerate(expected):
            assert torch.equal(batch.content[index], pairs[number][0])
            assert torch.equal(batch.style[index], pairs[number][1])
        assert batch.skipped == sum(pairs[number][2] for number in expected)


def test_workers_need_no_shared_memory(picture_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers may have no /dev/shm, without which processes can share neither locks nor tensors."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refuse)
    pool = PicturePool(picture_folder)
    pairs = TrainingPairs([pool], [pool], 32, seed=0, length=20)
    assert len(list(load_batches(pairs, [[0, 1], [2, 3]], workers=2))) == 2


def test_loading_stops_when_it_is_abandoned(picture_folder: Path) -> None:
    pool = PicturePool(picture_folder)
    pairs = TrainingPairs([pool], [pool], 32, seed=0, length=2000)
    before = threading.active_count()
    batches = load_batches(pairs, [[number] for number in range(2000)], workers=2)
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_errors_of_workers_are_raised(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"nothing")
    pool = PicturePool(tmp_path)
    pairs = TrainingPairs([pool], [pool], 32, seed=0, length=2)
    with pytest.raises(StyleTransferError, match="not readable pictures"):
        list(load_batches(pairs, [[0], [1]], workers=2))
