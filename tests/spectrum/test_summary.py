"""The summary of a layer against the dense matrix."""

from __future__ import annotations

import pytest
import torch
from conv_layers import conv, dense_matrix

from styletransfer.spectrum import summarize_layer


def test_ranks_are_those_of_the_matrix() -> None:
    layer = conv(2, 3, padding=1, padding_mode="replicate")
    summary = summarize_layer(layer, (7, 8), "exact")
    squares = torch.linalg.svdvals(dense_matrix(layer, 2, (7, 8))).square()
    assert summary.stable_rank == pytest.approx(float(squares.sum() / squares[0]))
    share = squares.cumsum(0) / squares.sum()
    assert summary.energy_rank == int((share < 0.9).sum()) + 1
    assert summary.norm.lower <= summary.values[0] <= summary.norm.upper


def test_a_zero_layer_has_rank_zero() -> None:
    layer = conv(1, 1, padding=1)
    layer.weight.data.zero_()
    summary = summarize_layer(layer, (6, 6))
    assert (summary.norm.upper, summary.stable_rank, summary.energy_rank) == (0, 0, 0)
