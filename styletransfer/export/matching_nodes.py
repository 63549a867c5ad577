"""Matching as nodes of a graph; see `transfer.patch_matching`, whose constants and steps these are.

Positions of maps are rows, [N, ...], and pieces are [M, P * P * C] with P = stride + 2, as in a `PatchBank`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..transfer.patch_matching import (
    AMBIGUITY,
    BALANCE_RATE,
    BALANCE_STEPS,
    LEAST_USE,
    NEAREST,
    TEMPERATURE,
)
from .graph_builder import Value

# Score of what is not there, so that its weight is zero.
NO_SCORE = -1e4


class FoundMatches(NamedTuple):
    """For each of N positions the pieces that are mixed there.

    Attributes:
        indices: Positions in the bank, NEAREST times [N].
        weights: Their weights, NEAREST times [N, 1].
        total: The sum of the weights, [N, 1].
        height: Number of rows of positions, an integer [1].
        width: Number of positions in a row, an integer [1].
    """

    indices: list[Value]
    weights: list[Value]
    total: Value
    height: Value
    width: Value


def sample_pieces(white: Value, channels: int, stride: int, most: int) -> Value:
    """Cut out pieces at no more than `most` places that are spread evenly over a map [1, C, H, W]."""
    graph = white.graph
    size = stride + 2
    edges = [white.size(2), white.size(3)]
    rows, columns = _spread_positions(_divide_up(edges[0], stride), _divide_up(edges[1], stride), most)
    around = graph.constant(np.arange(-1, stride + 1, dtype=np.int64)[None])
    sampled = white
    for axis, positions, edge in ((2, rows, edges[0]), (3, columns, edges[1])):
        pixels = graph.add("Mul", positions.reshape(-1, 1), graph.integers(stride))
        pixels = graph.add("Add", pixels, around).reshape(-1)
        last = graph.add("Sub", edge, graph.integers(1))
        pixels = graph.add("Min", graph.add("Max", pixels, graph.integers(0)), last)
        sampled = graph.add("Gather", sampled, pixels, axis=axis)
    pieces = sampled.reshape(channels, rows.size(0), size, columns.size(0), size)
    return pieces.transpose(1, 3, 2, 4, 0).reshape(-1, size * size * channels)


def sample_pixels(maps: Value, most: int) -> Value:
    """Take no more than `most` pixels that are spread evenly over a map [1, 3, H, W], as [3, N]."""
    rows, columns = _spread_positions(maps.size(2), maps.size(3), most)
    sampled = maps.graph.add("Gather", maps, rows, axis=2)
    return maps.graph.add("Gather", sampled, columns, axis=3).reshape(3, -1)


def _divide_up(edge: Value, stride: int) -> Value:
    graph = edge.graph
    return graph.add("Div", graph.add("Add", edge, graph.integers(stride - 1)), graph.integers(stride))


def _spread_positions(height: Value, width: Value, most: int) -> tuple[Value, Value]:
    """Repeat `pipeline.regions.spread_positions` in the same precision, so that no place differs."""
    graph = height.graph
    area = graph.add("Mul", height, width).cast(np.float64)
    root = graph.add("Sqrt", graph.add("Div", graph.constant(np.array([float(most)])), area))
    share = graph.add("Min", root, graph.constant(np.array([1.0])))
    rows = graph.add("Mul", share, height.cast(np.float64)).cast(np.int64)
    limit = graph.integers(most)
    rows = graph.add("Min", graph.add("Max", rows, graph.integers(1)), limit)
    columns = graph.add("Min", width, graph.add("Div", limit, rows))
    return _spread(rows, height), _spread(columns, width)


def _spread(count: Value, length: Value) -> Value:
    graph = count.graph
    step = graph.add("Div", length.cast(np.float64), count.cast(np.float64)).cast(np.float32)
    zero, one = (graph.constant(np.array(number, dtype=np.int64)) for number in (0, 1))
    stop = graph.add("Squeeze", count)
    centers = graph.add("Range", zero, stop, one).cast(np.float32) + 0.5
    return (centers * step).cast(np.int64)


def normalize_rows(rows: Value) -> Value:
    """Scale rows to unit length; zero rows stay zero."""
    length = rows.graph.add("ReduceL2", rows, rows.graph.integers(1), keepdims=1)
    return rows / rows.graph.add("Max", length, rows.graph.constant(1e-12))


def balance_use(queries: Value, keys: Value, shares: Value) -> Value:
    """Find the bias [M] with which pieces are used as much as they are due; all queries count alike."""
    graph = queries.graph
    count = shares.size(0).cast(np.float32)
    scores = queries @ keys.transpose(1, 0)
    bias = graph.add("Log", shares * count) * TEMPERATURE
    for _ in range(BALANCE_STEPS):
        chosen = graph.add("Softmax", (scores + bias) / TEMPERATURE, axis=1)
        use = chosen.mean(0).reshape(-1) / shares
        bounded = graph.add("Max", use, graph.constant(LEAST_USE))
        bias = bias - graph.add("Log", bounded) * (BALANCE_RATE * TEMPERATURE)
    return bias


def find_matches(queries: Value, keys: Value, bias: Value, height: Value, width: Value) -> FoundMatches:
    """Find the nearest pieces of N positions, whose queries and keys are unit vectors [N, D] and [M, D]."""
    graph = queries.graph
    scores = queries @ keys.transpose(1, 0) + bias
    count = graph.add("Min", keys.size(0), graph.integers(NEAREST + 1))
    best, indices = graph.add_with_outputs("TopK", 2, scores, count, axis=1)
    # Small banks have fewer pieces than are looked for.
    missing = graph.add("Sub", graph.integers(NEAREST + 1), count)
    padding = graph.join(0, 0, 0, missing)
    best = graph.add("Pad", best, padding, graph.constant(NO_SCORE))
    indices = graph.add("Pad", indices, padding, graph.constant(np.array(0, dtype=np.int64)))
    nearest = _take_column(best, 0)
    likelihoods = graph.add("Exp", (best - nearest) / TEMPERATURE)
    left_out = _take_column(likelihoods, NEAREST)
    kept = [_take_column(likelihoods, index) - left_out for index in range(NEAREST)]
    total = _add_all(kept)
    divisor = total + AMBIGUITY
    columns = [_take_column(indices, index).reshape(-1) for index in range(NEAREST)]
    return FoundMatches(columns, [each / divisor for each in kept], total / divisor, height, width)


def mix_pieces(white: Value, pieces: Value, matches: FoundMatches, stride: int, strength: Value) -> Value:
    """Mix a white map [1, C, H, W] with the pieces that were found for its positions."""
    graph = white.graph
    size = stride + 2
    # Channels first, as `Col2Im` adds them up.
    squares = graph.add("Reshape", pieces, graph.integers(0, size * size, -1)).transpose(0, 2, 1)
    ordered = graph.add("Flatten", squares, axis=1)
    mixture = _add_all(
        [
            graph.add("Gather", ordered, index, axis=0) * weight
            for index, weight in zip(matches.indices, matches.weights, strict=True)
        ]
    )
    ones = graph.constant(np.ones((1, size * size), dtype=np.float32))
    total = matches.total * ones
    one_each = graph.add("Expand", graph.constant(1.0), graph.add("Shape", total))
    count = _add_overlaps(one_each, matches, stride)
    pasted = _add_overlaps(mixture, matches, stride) / count
    weight = _add_overlaps(total, matches, stride) / count
    edges = graph.join(white.size(2), white.size(3))
    pasted, weight = (
        graph.add("Slice", each, graph.integers(0, 0), edges, graph.integers(2, 3))
        for each in (pasted, weight)
    )
    return white + strength * (pasted - weight * white)


def _add_overlaps(pieces: Value, matches: FoundMatches, stride: int) -> Value:
    """Add pieces [N, C * P * P] where they overlap, [1, C, h * stride, w * stride]."""
    graph = pieces.graph
    size = stride + 2
    columns = graph.add("Unsqueeze", pieces.transpose(1, 0), graph.integers(0))
    edges = graph.join(matches.height, matches.width)
    edges = graph.add("Mul", edges, graph.integers(stride))
    block = graph.integers(size, size)
    return graph.add("Col2Im", columns, edges, block, pads=[1] * 4, strides=[stride] * 2)


def _take_column(rows: Value, index: int) -> Value:
    graph = rows.graph
    return graph.add("Slice", rows, graph.integers(index), graph.integers(index + 1), graph.integers(1))


def _add_all(values: list[Value]) -> Value:
    total = values[0]
    for each in values[1:]:
        total = total + each
    return total
