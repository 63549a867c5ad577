"""The benchmark of paintings: honest splits, one step of every method, results that survive a kill."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks.paintings.network import SIZE, SymbolPenalty
from benchmarks.paintings.pictures import (
    MOVEMENTS,
    Painting,
    Split,
    read_images,
    read_index,
    split_by_artist,
    split_for_testing,
    split_for_validation,
    vary,
)
from benchmarks.paintings.report import draw_curves, regularization_table, whitening_table
from benchmarks.paintings.runs import REGULARIZERS, Results, run_missing, tuning_runs, whitening_runs
from benchmarks.paintings.training import Learner, Paintings, Run, train
from styletransfer.spectrum import norm_bounds

ROOT = Path(__file__).parents[2]
FIRST, SECOND = Run("whitening", "batch norm", 0, epochs=1), Run("whitening", "exact", 0, 4, epochs=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 200 tiny pictures of each movement, a color each, by 25 artists and one of two."""
    folder = tmp_path_factory.mktemp("paintings")
    generator = random.Random(0)
    with (
        tarfile.open(folder / "art.tar", "w") as archive,
        (folder / "art_index.csv").open("w", encoding="utf-8", newline="") as index,
    ):
        writer = csv.writer(index)
        writer.writerow(["name", "path"])
        for number in range(200 * len(MOVEMENTS)):
            label, work = divmod(number, 200)
            artist = "of-both" if work == 0 and label < 2 else f"artist-{label}-{work // 8}"
            color = tuple(40 * label + generator.randrange(30) for _ in range(3))
            content = io.BytesIO()
            Image.new("RGB", (12, 12), color).save(content, "png")
            entry = tarfile.TarInfo(f"art/{number}.png")
            entry.size = content.tell()
            content.seek(0)
            archive.addfile(entry, content)
            writer.writerow([f"{number}.png", f"{MOVEMENTS[label]}/{artist}_title-{number}.jpg"])
        writer.writerow(["other.png", "Fauvism/someone_title.jpg"])
    return folder


def artists(paintings: list[Painting]) -> set[str]:
    return {painting.artist for painting in paintings}


@pytest.mark.parametrize("seed", range(3))
def test_no_artist_is_in_both_parts_and_movements_are_balanced(folder: Path, seed: int) -> None:
    paintings = read_index(folder / "art_index.csv")
    assert len(paintings) == 1000
    chosen, tested = split_for_validation(paintings), split_for_testing(paintings, seed)
    for split, sizes in ((chosen, (120, 30)), (tested, (120, 50))):
        assert not artists(split.train) & artists(split.test)
        for part, size in zip(split, sizes, strict=True):
            assert Counter(painting.movement for painting in part) == dict.fromkeys(MOVEMENTS, size)
    assert not artists(chosen.test) & artists(tested.test)
    assert artists(tested.test) != artists(split_for_testing(paintings, seed + 1).test)


def test_artists_with_too_much_to_hold_out_are_an_error() -> None:
    paintings = [Painting(f"{i}", movement, f"only-{movement}") for i in range(9) for movement in MOVEMENTS]
    with pytest.raises(ValueError, match="draws of artists"):
        split_by_artist(paintings, 3, 9, seed=0)


def test_pictures_come_with_their_labels(folder: Path) -> None:
    paintings = read_index(folder / "art_index.csv")
    images = read_images(folder / "art.tar", Split(paintings[::7], paintings[1::7]))
    for (pictures, labels), part in zip(images, (paintings[::7], paintings[1::7]), strict=True):
        assert pictures.shape == (len(part), 3, 96, 96)
        assert [MOVEMENTS[label] for label in labels] == [painting.movement for painting in part]
        assert (pictures[:, 0, 0, 0] // 40 - labels).abs().max() == 0  # the color of the movement
    with pytest.raises(ValueError, match=r"lacks 1 paintings.*absent\.png"):
        read_images(folder / "art.tar", Split([Painting("absent.png", MOVEMENTS[0], "x")], []))


def test_variations_depend_on_the_generator_alone_and_keep_the_shape() -> None:
    pictures = torch.rand(4, 3, 96, 96)
    first, second = (vary(pictures, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    torch.testing.assert_close(first, vary(pictures, torch.Generator().manual_seed(1)))
    assert first.shape == pictures.shape
    assert (first - second).abs().mean() > 0.05


@pytest.mark.parametrize(
    "run",
    [run for run in whitening_runs(0) if run.dimension in (0, 16)] + tuning_runs()[: len(REGULARIZERS) - 1],
    ids=lambda run: f"{run.method}-{run.dimension}-{run.everywhere}",
)
def test_every_method_takes_a_step(run: Run) -> None:
    learner = Learner(run, steps=10)
    before = [parameter.clone() for parameter in learner.network.parameters()]
    loss = learner.step(torch.randn(8, 3, 96, 96), torch.arange(8) % len(MOVEMENTS))
    assert loss is not None
    assert 0.5 < loss < 4
    after = list(learner.network.parameters())
    assert all(parameter.isfinite().all() for parameter in after)
    assert sum(bool((a != b).any()) for a, b in zip(after, before, strict=True)) > 20


def test_dead_channels_break_plain_gradients_and_not_ours() -> None:
    losses = {}
    for method in ("eigh autograd", "exact"):
        learner = Learner(Run("whitening", method, 0, 16), steps=10)
        stem = next(learner.network.parameters())
        stem.data[:8] = 0
        losses[method] = learner.step(torch.randn(8, 3, 96, 96), torch.arange(8) % len(MOVEMENTS))
    assert losses["exact"] is not None
    assert losses["eigh autograd"] is None


def test_a_run_that_is_not_finite_is_a_result_without_accuracy(folder: Path) -> None:
    run = Run("regularization", "hoelder", 0, strength=math.inf)
    row = train(run, Paintings(folder).images(run))
    assert row == {**vars(run), "succeeded": False, "steps": 0}


def test_the_symbol_bounds_the_norms_closely() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 7, stride=6, padding=3), nn.Conv2d(8, 5, 3, padding=1))
    norms = [norm_bounds(layer, (SIZE[0] * 2, SIZE[1] * 2)) for layer in layers]
    penalty = SymbolPenalty(layers)()
    penalty.backward()
    assert penalty.item() >= 0.999 * sum(norm.lower**2 for norm in norms)
    assert penalty.item() == pytest.approx(sum(norm.upper**2 for norm in norms), rel=0.05)
    assert all(layer.weight.grad is not None for layer in layers)


def test_a_cap_holds_the_norms(folder: Path) -> None:
    run = Run("regularization", "norm cap", 0, strength=0.5, epochs=1)
    row = train(run, Paintings(folder).images(run))
    # Without a cap, 4. The norm is followed from step to step, and after 12 steps is a little behind.
    assert max(row["norms"]) < 1


def test_only_missing_runs_are_trained_and_equal_runs_are_equal(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    paintings = Paintings(folder)
    (row,) = run_missing([FIRST], paintings, Results(path, epochs=1))
    line = path.read_bytes()
    # A program that was killed while it wrote leaves part of a line.
    path.write_bytes(line + b'{"experiment": "whit')
    results = Results(path, epochs=1)
    assert path.read_bytes() == line
    (second,) = run_missing([FIRST, SECOND], paintings, results)
    assert second["method"] == "exact"
    assert list(run_missing([FIRST, SECOND], paintings, Results(path, epochs=1))) == []
    assert path.read_bytes().startswith(line)
    (again,) = run_missing([FIRST], paintings, Results(tmp_path / "other.jsonl", epochs=1))
    assert {**row, "step_ms": 0} == {**again, "step_ms": 0}
    assert Results(path, epochs=2).rows == []


def test_another_file_is_not_taken_for_results(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("remember\nthe milk", encoding="utf-8")
    with pytest.raises(ValueError, match=r"notes\.txt is not a file of results"):
        Results(path)
    assert path.read_text(encoding="utf-8") == "remember\nthe milk"


@pytest.mark.slow
def test_a_killed_program_goes_on(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    options = ["--folder", folder, "--results", path, "--seeds", "1", "--epochs", "1"]
    command = [sys.executable, "-m", "benchmarks.paintings", "whitening", *map(str, options)]
    lines: list[str] = []
    for more in (1, 2):
        wanted = len(lines) + more
        program = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 300
            while not path.exists() or path.read_bytes().count(b"\n") < wanted:
                assert program.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            program.send_signal(signal.SIGKILL)
            program.wait()
        found = [line for line in path.read_text(encoding="utf-8").splitlines(True) if line.endswith("\n")]
        assert found[: len(lines)] == lines
        lines = found
    assert [json.loads(line)["method"] for line in lines[:3]] == [run.method for run in whitening_runs(0)[:3]]


def result(run: Run, test: float, **fields: Any) -> dict[str, Any]:
    curve = [[10, 1.5, 40.0, test - 5], [20, 1.0, 70.0, test]]
    measured = {"train": 70.0, "test": test, "test_loss": 1.0, "curve": curve, "norms": [1.0, 3.0]}
    return {**vars(run), "succeeded": True, "steps": 240, **measured, **fields}


def test_tables_show_means_standard_errors_and_paired_differences(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    for seed, score in enumerate((50.0, 54.0)):
        results.append(result(Run("whitening", "batch norm", seed), score))
        results.append(result(Run("whitening", "exact", seed, 4), score + 2))
        results.append(result(Run("regularization", "none", seed), score))
        results.append(result(Run("regularization", "norm", seed, strength=0.01), score - 1))
    for strength, score in ((1e-4, 40.0), (1e-3, 45.0), (1e-2, 45.0)):
        run = Run("regularization", "norm", 0, strength=strength, validation=True)
        results.append(result(run, score, test_loss=1 - strength))
    results.append({**vars(Run("whitening", "exact", 2, 4)), "succeeded": False, "steps": 3})
    results.append(result(Run("whitening", "power iteration", 0, 16), 20.0, train=20.0))
    assert results.best_strength("norm") == 1e-2
    rows = {tuple(row[:2]): row[2:] for row in whitening_table(results).rows}
    assert rows["batch norm", "-"][:4] == [2, 2, 0, "52.0 ± 2.0"]
    assert rows["exact", 4][:5] == [3, 2, 0, "54.0 ± 2.0", "2.0 ± 0.0"]
    assert rows["power iteration", 16][1:4] == [1, 1, "20.0 ± -"]
    (norm,) = [row for row in regularization_table(results).rows if row[0] == "norm"]
    assert norm[1:] == [
        0.01,
        2,
        "51.0 ± 2.0",
        "-1.0 ± 0.0",
        "70.0 ± 0.0",
        "19.0 ± 2.0",
        "3.0 ± 0.0",
        "2.0 ± 0.0",
    ]
    pytest.importorskip("matplotlib")
    for path in draw_curves(results, tmp_path):
        with Image.open(path) as picture:
            assert picture.width > 500
