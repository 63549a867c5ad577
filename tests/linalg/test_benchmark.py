"""The benchmark: its reference is accurate, the published methods are reproduced, and its commands run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch

from benchmarks.linalg.__main__ import main
from benchmarks.linalg.accuracy import accuracy
from benchmarks.linalg.features import CASES, make_pair
from benchmarks.linalg.peers import PEERS
from benchmarks.linalg.plots import draw_plots
from benchmarks.linalg.reference import reference_gradients
from benchmarks.linalg.tables import Table
from styletransfer.linalg import compute_statistics, inverse_sqrt, matrix_sqrt

from .matrices import (
    CLUSTERS,
    DISTINCT,
    exact_root,
    gradient,
    random_features,
    relative_error,
    with_eigenvalues,
)


def test_reference_against_50_digits() -> None:
    content, style, upstream = (x[0, :, :12].double().numpy() for x in make_pair("deep relu+eps", 4, 1024))
    found = reference_gradients(content, style, upstream, eps=1e-3)

    def moments(features: mpmath.matrix) -> tuple[mpmath.matrix, mpmath.matrix]:
        ones = mpmath.ones(1, features.cols)
        mean = features * ones.T / features.cols
        centered = features - mean * ones
        covariance = centered * centered.T / features.cols
        trace = mpmath.fsum(covariance[i, i] for i in range(covariance.rows))
        return mean * ones, covariance + mpmath.mpf(1e-3) * trace / covariance.rows * mpmath.eye(
            covariance.rows
        )

    def loss(x: mpmath.matrix, z: mpmath.matrix) -> mpmath.mpf:
        (mean_x, a), (mean_z, b) = moments(x), moments(z)
        result = exact_root(b, 0.5, 0) * exact_root(a, -0.5, 0) * (x - mean_x) + mean_z
        return mpmath.fsum(upstream[i, j] * result[i, j] for i in range(4) for j in range(12))

    with mpmath.workdps(60):
        x, z = mpmath.matrix(content.tolist()), mpmath.matrix(style.tolist())
        step = mpmath.mpf(10) ** -25
        for which, array in (("content", found.content), ("style", found.style)):
            for index in ((0, 0), (2, 7), (3, 11)):
                ends = []
                for sign in (1, -1):
                    moved = {"content": x.copy(), "style": z.copy()}
                    moved[which][index] += sign * step
                    ends.append(loss(moved["content"], moved["style"]))
                truth = float((ends[0] - ends[1]) / (2 * step))
                assert abs(array[index] - truth) < 1e-13 * np.abs(array).max()


@pytest.mark.parametrize("name", [name for name in CASES if name != "deep relu+eps"])
def test_features_have_their_spectrum(name: str) -> None:
    content, style, upstream = make_pair(name, 16, 256)
    assert content.shape == style.shape == upstream.shape == (1, 16, 256)
    assert content.dtype == torch.float32
    eigenvalues = torch.linalg.eigvalsh(compute_statistics(content).covariance)[0]
    ratios = {"separated": 2.0, "geometric": 1e6, "geometric+eps": 1e6, "clusters": 8.0}
    if name in ratios:
        assert float(eigenvalues[-1] / eigenvalues[0]) == pytest.approx(ratios[name], rel=1e-3)
    else:
        assert int((eigenvalues < 1e-6).sum()) == 4


@pytest.mark.parametrize("name", [name for name in PEERS if name != "cholesky"])
def test_values_and_gradients_of_published_methods(name: str) -> None:
    matrix, upstream = with_eigenvalues(DISTINCT), random_features(1, 4, 4)[0]
    for power, root in ((0.5, matrix_sqrt), (-0.5, inverse_sqrt)):
        a, b = (matrix.clone().requires_grad_() for _ in range(2))
        found, truth = PEERS[name](a, power), root(b)
        precise = "newton-schulz 5" not in name
        assert relative_error(found.detach(), truth.detach()) < (1e-2 if precise else 0.2)
        faithful = name in {"eigh autograd", "svd autograd", "clip 0.01", "pade [50/50]", "newton-schulz 10"}
        slope, true_slope = gradient(found, a, upstream), gradient(truth, b, upstream)
        error = relative_error(
            (slope + slope.mT) / 2, true_slope
        )  # The gradient of the SVD is not symmetric.
        assert error < (1e-4 if faithful else 0.5)


def test_published_taylor_is_wrong_at_equal_eigenvalues() -> None:
    cell = {row[0]: row for row in accuracy(channels=(8,)).rows}
    column = 2 + list(CASES).index("clusters")
    assert cell["taylor 9"][column] > 0.1  # type: ignore[operator]
    assert cell["fused, float64 statistics"][column] < 1e-6  # type: ignore[operator]
    assert CLUSTERS[0] == CLUSTERS[1]


@pytest.mark.parametrize("command", ["accuracy", "time", "memory", "fuzz", "wct"])
def test_commands_print_one_table(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks.linalg", command, "--quick", "--json"])
    threads = torch.get_num_threads()
    main()
    torch.set_num_threads(threads)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) > 5
    assert all(row.keys() == rows[0].keys() for row in rows)


def test_tables_are_markdown() -> None:
    table = Table("Title", ["name", "value"])
    table.add("a", 0.000123)
    table.add("b", 42)
    assert table.to_markdown().splitlines() == [
        "Title",
        "",
        "| name | value   |",
        "|------|---------|",
        "| a    | 0.00012 |",
        "| b    | 42      |",
    ]


@pytest.mark.slow
def test_plots_are_drawn(tmp_path: Path) -> None:
    cells = dict.fromkeys(CASES, 1e-3) | {"clusters": float("nan")}
    rows = [{"method": "taylor 9", "C": 16, **cells}]
    (tmp_path / "a").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    methods = ("one eigh", "exact", "eigh autograd", "taylor 9", "newton-schulz 5", "mpa-lya")
    times = [{"method": m, "dtype": "float32", "C": c, "ms": 1.0} for m in methods for c in (16, 32)]
    (tmp_path / "t").write_text("\n".join(json.dumps(row) for row in times), encoding="utf-8")
    written = draw_plots(tmp_path, tmp_path / "a", tmp_path / "t")
    assert len(written) == 3
    assert all(path.stat().st_size > 1000 for path in written)
