"""The classification benchmark: its networks train, and failed runs are counted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.classification import (
    CHANNELS,
    METHODS,
    TASKS,
    Images,
    PeerWhitening,
    build_resnet18,
    build_small,
    classify,
    exact,
    train_once,
)


@pytest.fixture
def patterns() -> Images:
    """Return ten patterns with a little noise, which any network that trains can tell apart."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(320) % 10
    clean = torch.randn(10, 1, 8, 8, generator=generator)[labels]
    pictures = clean + 0.3 * torch.randn(clean.shape, generator=generator)
    return Images((pictures[:256], labels[:256]), (pictures[256:], labels[256:]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("position", ["before", "after"])
def test_every_layer_fits_the_small_network(method: str, position: str) -> None:
    network = build_small(METHODS[method](4), position)
    assert network(torch.rand(3, 1, 8, 8)).shape == (3, 10)


@pytest.mark.slow
@pytest.mark.parametrize("position", ["before", "after"])
def test_resnet_accepts_color_images(position: str) -> None:
    network = build_resnet18(exact(4), position)
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_training_learns_and_fills_the_table(patterns: Images) -> None:
    table = classify(
        TASKS["digits"],
        patterns,
        methods=["exact"],
        dimensions=[16],
        position="after",
        seeds=1,
        epochs=8,
        device=torch.device("cpu"),
    )
    (row,) = table.rows
    assert row[:4] == ["exact", 16, 1, 100.0]
    assert float(row[4]) > 50


def test_run_with_nonfinite_values_fails(patterns: Images) -> None:
    def broken(matrix: Tensor, power: float) -> Tensor:
        return matrix * torch.nan

    network = build_small(PeerWhitening(CHANNELS, 4, broken), "before")
    assert train_once(TASKS["digits"], patterns, network, 1, torch.device("cpu")) is None


def test_digits_are_complete(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    images = TASKS["digits"].load(tmp_path)
    assert len(images.train[1]) + len(images.test[1]) == 1797
    assert images.train[0].shape[1:] == (1, 8, 8)
