"""`python -m examples.paint` paints the same picture for the same seed, at every size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).parents[2]
STYLES = sorted(path.stem for path in (ROOT / "examples" / "style").iterdir())


def start_painting(*arguments: str | int | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "examples.paint", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def thumbnail(path: Path) -> NDArray[np.float64]:
    with Image.open(path) as picture:
        return np.asarray(picture.resize((16, 16), Image.Resampling.BOX), np.float64)


@pytest.fixture(scope="module")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the folders of two runs at the smallest size, which run in parallel to save time."""
    folders = [tmp_path_factory.mktemp("paintings") for _ in range(2)]
    for process in [start_painting("all", "--size", 64, "-o", folder) for folder in folders]:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    return folders


@pytest.mark.slow
def test_all_paints_what_the_examples_hold(paintings: list[Path]) -> None:
    assert sorted(path.stem for path in paintings[0].iterdir()) == STYLES


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_two_runs_paint_the_same_picture(style: str, paintings: list[Path]) -> None:
    first, second = (folder / f"{style}.jpg" for folder in paintings)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_the_shipped_picture_is_what_the_program_paints(style: str, paintings: list[Path]) -> None:
    small = thumbnail(paintings[0] / f"{style}.jpg")
    shipped = thumbnail(ROOT / "examples" / "style" / f"{style}.jpg")
    likeness = np.corrcoef(small.ravel(), shipped.ravel())[0, 1]
    assert likeness > 0.96  # 0.972 to 0.996 measured; the next seed stays below 0.95


def test_another_seed_is_another_picture(tmp_path: Path) -> None:
    pictures = []
    for seed in (1, 2):
        process = start_painting("marbling", "--size", 64, "--seed", seed, "-o", tmp_path / str(seed))
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        pictures.append(thumbnail(Path(output.strip())))
    assert np.corrcoef(pictures[0].ravel(), pictures[1].ravel())[0, 1] < 0.9


@pytest.mark.parametrize("arguments", [("monet",), ("ink", "--size", "63"), ("ink", "--size", "large")])
def test_a_wrong_argument_is_reported_in_one_line(arguments: tuple[str, ...], tmp_path: Path) -> None:
    process = start_painting(*arguments, "-o", tmp_path / "paintings")
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.splitlines()[-1].startswith("python -m examples.paint: error:")
    assert not (tmp_path / "paintings").exists()
