"""Bounds of the norm by our methods and by published ones, on the same layers in the same run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import mean
from time import process_time

from torch import Tensor

from styletransfer.spectrum import norm_bounds
from styletransfer.spectrum.conv_operator import PaddingMode
from styletransfer.spectrum.norm_bounds import NormMethod

from ..linalg.tables import Table
from .layers import ExactNorms, Layer
from .peers import PEERS

OURS: tuple[NormMethod, ...] = ("unfoldings", "taps", "hoelder", "tensor", "gram")
TOLERANCE = 1e-9  # relative error of the exact norm, by which a bound may miss it
Estimate = Callable[[Layer, int], float]


def compare_norms(
    layers: Sequence[Layer], sizes: Sequence[int], exact: ExactNorms, *, peers: bool = True
) -> Table:
    """Compare all methods with zero padding: ratio to the exact norm, violations and CPU time."""
    table = Table(
        f"Norm of {len(layers)} zero-padded layers over the exact one",
        ["method", "size", "mean", "least", "greatest", "below exact", "seconds"],
    )
    methods: dict[str, Estimate] = {"ours, upper": _upper, "ours, lower": _lower}
    if peers:
        methods |= {name: _library(name) for name in OURS}
        methods |= {name: _peer(function) for name, function in PEERS.items()}
    for size in sizes:
        norms = [exact(layer, size) for layer in layers]
        for name, estimate in methods.items():
            start = process_time()
            ratios = [estimate(layer, size) / norm for layer, norm in zip(layers, norms, strict=True)]
            _add(table, [name, size], ratios, process_time() - start)
    return table


def compare_paddings(
    layers: Sequence[Layer], sizes: Sequence[int], exact: ExactNorms, paddings: Iterable[PaddingMode]
) -> Table:
    """Compare our interval with the exact norm, for every padding."""
    table = Table(
        f"Norm bounds of {len(layers)} layers over the exact norm",
        ["padding", "end", "size", "mean", "least", "greatest", "below exact", "seconds"],
    )
    for padding in paddings:
        for size in sizes:
            start = process_time()
            intervals = [norm_bounds(layer.conv(padding), (size, size)) for layer in layers]
            seconds = process_time() - start
            norms = [exact(layer, size, padding) for layer in layers]
            pairs = list(zip(intervals, norms, strict=True))
            _add(
                table, [padding, "upper", size], [interval.upper / norm for interval, norm in pairs], seconds
            )
            _add(
                table, [padding, "lower", size], [interval.lower / norm for interval, norm in pairs], seconds
            )
    return table


def _add(table: Table, head: list[str | int], ratios: list[float], seconds: float) -> None:
    numbers = [ratio for ratio in ratios if not math.isnan(ratio)]
    below = sum(ratio < 1 - TOLERANCE for ratio in numbers)
    cells = [f"{value:.4f}" for value in (mean(numbers), min(numbers), max(numbers))]
    missing = len(ratios) - len(numbers)
    table.add(*head, *cells, f"{below}" + (f", {missing} NaN" if missing else ""), f"{seconds:.1f}")


def _upper(layer: Layer, size: int) -> float:
    return norm_bounds(layer.conv(), (size, size)).upper


def _lower(layer: Layer, size: int) -> float:
    return norm_bounds(layer.conv(), (size, size)).lower


def _library(method: str) -> Estimate:
    return lambda layer, size: norm_bounds(layer.conv(), (size, size), method).upper  # type: ignore[arg-type]


def _peer(function: Callable[[Tensor, int], float]) -> Estimate:
    return lambda layer, size: function(layer.weight, size)
