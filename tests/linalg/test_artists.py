"""Sparse readouts of style statistics: optimal, sparse, honest about chance, and read from real files."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmarks.paintings.explain import (
    FOLDS,
    StyleStatistics,
    compare_artists,
    divide,
    fit_readouts,
    hold_out,
    read_works,
)
from styletransfer.media import read_picture


def two_classes(informative: int) -> tuple[Tensor, Tensor]:
    """40 points of 60 standard normal numbers; the first ones differ between the classes."""
    labels = torch.arange(40) % 2
    points = torch.randn(40, 60, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    points[:, :informative] += 4 * labels[:, None]
    return points, labels


def test_the_fit_satisfies_the_conditions_of_optimality() -> None:
    points, labels = two_classes(2)
    for penalty, readout in zip((0.3, 0.6), fit_readouts(points, labels, (0.3, 0.6)), strict=True):
        inputs = (points - readout.mean) / readout.deviation
        error = torch.sigmoid(readout.scores(points)) - labels
        gradient = inputs.T @ error / len(points)
        strength = penalty * (inputs.T @ (labels - labels.double().mean())).abs().max() / len(points)
        used = readout.weights != 0
        assert abs(error.mean()) < 1e-4
        torch.testing.assert_close(
            gradient[used], -strength * readout.weights[used].sign(), rtol=0, atol=1e-4
        )
        assert (gradient[~used].abs() <= strength + 1e-4).all()
        assert used[:2].all()
        assert used.sum() < 8


def test_held_out_accuracy_is_high_where_there_is_a_difference_and_chance_where_there_is_none() -> None:
    points, labels = two_classes(2)
    found = hold_out(points, labels)
    assert min(found.accuracies) > 0.9
    assert found.chosen[:2].min() > 0.9
    nothing = hold_out(*two_classes(0))
    assert 0.2 < sum(nothing.accuracies) / len(nothing.accuracies) < 0.8


def test_folds_hold_as_many_of_each() -> None:
    labels = torch.tensor([0] * 16 + [1] * 17)
    fold = divide(labels, FOLDS, 0)
    for label in (0, 1):
        counts = fold[labels == label].bincount(minlength=FOLDS)
        assert counts.max() - counts.min() <= 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An archive of 8 smooth and 8 grained pictures by two artists, and one by a third."""
    generator = torch.Generator().manual_seed(1)
    rows = ["name,path"]
    with tarfile.open(tmp_path / "art.tar", "w") as archive:
        for number in range(17):
            artist = ("ann-smooth", "bob-grain", "cy-other")[number // 8]
            tone = torch.randint(60, 190, (1, 1, 3), generator=generator)
            grain = torch.randint(-50, 50, (40, 36, 1), generator=generator) * (artist == "bob-grain")
            buffer = io.BytesIO()
            Image.fromarray((tone + grain).to(torch.uint8).numpy()).save(buffer, "PNG")
            member = tarfile.TarInfo(f"art/{number:02}.png")
            member.size = buffer.tell()
            buffer.seek(0)
            archive.addfile(member, buffer)
            rows.append(f"{number:02}.png,Movement/{artist}_a-title-{number}.png")
    (tmp_path / "art_index.csv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path


def test_works_are_read_by_artist(folder: Path) -> None:
    works = read_works(folder, "bob-grain")
    assert [work.title for work in works] == [f"a-title-{number}" for number in range(8, 16)]
    assert works[0].picture.shape == (1, 3, 40, 36)
    with pytest.raises(ValueError, match="1 pictures of 'cy-other'"):
        read_works(folder, "cy-other")


def test_grain_is_found_and_drawn(folder: Path) -> None:
    accuracy, decisive = compare_artists(["ann-smooth", "bob-grain"], folder, folder / "sheet.png")
    assert accuracy.rows[0][:2] == ["all", "100 (100 to 100)"]
    # The many that follow weigh next to nothing, and which they are depends on the weights of the network.
    strongest = [str(name) for name, _, weight, _ in decisive.rows if int(weight) > 0]
    assert len(strongest) > 5
    assert all("variance" in name for name in strongest)
    assert {row[1] for row in decisive.rows} == {"bob-grain"}
    sheet = read_picture(folder / "sheet.png")
    assert sheet.width > 200


def test_statistics_are_those_of_the_features() -> None:
    measure = StyleStatistics()
    picture = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(2))
    found = dict(zip(measure.names, measure.measure(picture).tolist(), strict=True))
    green = picture[0, 1]
    assert found[0, 1, "mean"] == pytest.approx(green.mean().item(), rel=1e-5)
    assert found[0, 1, "variance"] == pytest.approx(green.var().log().item(), rel=1e-5)
    response = measure.response(picture, measure.names.index((3, 5, "variance")))
    assert response.shape == (24, 32)
    assert 0 <= response.min() <= response.max() <= 1
