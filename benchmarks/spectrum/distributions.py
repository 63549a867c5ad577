"""Distances of estimated distributions of singular values to the exact ones."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from time import process_time
from typing import get_args

import torch

from styletransfer.spectrum import conv_operator, singular_values
from styletransfer.spectrum.distribution import DistributionMethod

from ..linalg.tables import Table
from .layers import Layer

LARGEST = 2600  # largest side of a dense matrix
SIZES = (16, 12, 9)


def compare_distributions(layers: Sequence[Layer], most: int) -> Table:
    """Compare all methods with the dense matrix: Wasserstein-1 distance over that of "circular".

    Args:
        layers: Layers to compare. Left out are 1 x 1 kernels, and layers too large for a dense matrix
            on 9 x 9 pixels.
        most: Largest number of cases.
    """
    distances: dict[DistributionMethod, list[float]] = {}
    tops: dict[DistributionMethod, list[float]] = {}
    seconds: dict[DistributionMethod, list[float]] = {}
    cases = list(_cases(layers))[:most]
    for layer, size in cases:
        conv = layer.conv()
        exact = _exact(layer, size)
        for method in get_args(DistributionMethod):
            if method == "exact":
                continue
            start = process_time()
            values = singular_values(conv, (size, size), method)
            seconds.setdefault(method, []).append(process_time() - start)
            distances.setdefault(method, []).append(float((values - exact).abs().mean()))
            tops.setdefault(method, []).append(float(abs(values[0] / exact[0] - 1)))
    table = Table(
        f"Wasserstein-1 distance to the exact singular values, {len(cases)} cases",
        ["method", "mean over circular", "greatest over circular", "largest value off by", "seconds at most"],
    )
    for method, found in distances.items():
        ratios = [a / b for a, b in zip(found, distances["circular"], strict=True)]
        cells = (
            f"{mean(ratios):.3f}",
            f"{max(ratios):.3f}",
            f"{max(tops[method]):.2%}",
            f"{max(seconds[method]):.2f}",
        )
        table.add(method, *cells)
    return table


def _cases(layers: Sequence[Layer]) -> list[tuple[Layer, int]]:
    cases = []
    for layer in layers:
        side = min(layer.weight.shape[:2])
        size = next((n for n in SIZES if side * n * n <= LARGEST), None)
        if size and layer.weight[0, 0].numel() > 1:
            cases.append((layer, size))
    return cases


def _exact(layer: Layer, size: int) -> torch.Tensor:
    matrix = conv_operator(layer.conv(), (size, size)).double().dense()
    matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    values: torch.Tensor = torch.linalg.eigvalsh(matrix @ matrix.T)
    return values.clamp_min(0).sqrt().flip(0)
