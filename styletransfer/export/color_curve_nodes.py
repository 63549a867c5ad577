"""Color curves as nodes of a graph; see `transfer.color_curves`, whose constants and steps these are."""

from __future__ import annotations

import numpy as np

from ..transfer.color_curves import (
    BLUR,
    LARGEST_SLOPE,
    LOWEST,
    NODES,
    OUTPUT_PIXELS,
    PICTURE_PIXELS,
    QUANTILES,
    SPREADING_STEPS,
    STEP,
    STRENGTH,
)
from .graph_builder import GraphBuilder, Value
from .matching_nodes import sample_pixels

# The sums of the slopes left of each node, as a product: [NODES - 1, NODES].
RUNNING_SUMS = np.triu(np.ones((NODES - 1, NODES), dtype=np.float32), 1)
# What is too steep moves to both neighbors, half of it to each.
SPREADING = sum(
    np.eye(NODES - 1, k=k, dtype=np.float32) * share for k, share in ((-1, 0.5), (0, -1), (1, 0.5))
)
STEEPEST = (LARGEST_SLOPE - 1) * STEP


def measure_quantiles(picture: Value) -> Value:
    """Measure the quantiles [3, QUANTILES] of the colors of a picture [1, 3, H, W]."""
    graph = picture.graph
    pixels = sample_pixels(picture, PICTURE_PIXELS)
    count = pixels.size(1)
    values, _ = graph.add_with_outputs("TopK", 2, pixels, count, axis=1, largest=0)
    shares = graph.constant(
        (np.arange(QUANTILES, dtype=np.float32) + np.float32(0.5)) / np.float32(QUANTILES)
    )
    place = graph.add("Max", shares * count.cast(np.float32) - 0.5, graph.constant(0.0))
    last = graph.add("Sub", count, graph.integers(1))
    place = graph.add("Min", place, last.cast(np.float32))
    below = place.cast(np.int64)
    above = graph.add("Min", graph.add("Add", below, graph.integers(1)), last)
    low, high = (graph.add("Gather", values, index, axis=1) for index in (below, above))
    return low + (high - low) * (place - below.cast(np.float32))


def bend_towards(picture: Value, quantiles: Value) -> Value:
    """Send a picture [1, 3, H, W] through the curves to the quantiles of a style."""
    graph = picture.graph
    nodes = graph.constant((np.arange(NODES) * STEP + LOWEST).astype(np.float32))
    pixels = sample_pixels(picture, OUTPUT_PIXELS).reshape(3, 1, -1)
    below = (nodes.reshape(NODES, 1) - pixels) / BLUR + 0.5
    distribution = graph.add("Clip", below, 0.0, 1.0).mean(2).reshape(3, NODES)
    wanted = _interpolate(quantiles, distribution * float(QUANTILES) - 0.5, QUANTILES)
    shifts = (wanted - nodes) * STRENGTH

    def spread(inner: GraphBuilder, rise: Value) -> tuple[Value]:
        excess = inner.add("Max", rise - STEEPEST, 0.0)
        return (rise + excess @ inner.constant(SPREADING),)

    (rise,) = graph.loop(SPREADING_STEPS, [_tail(shifts, NODES) - _head(shifts, NODES)], spread)
    shifts = graph.add("Min", rise, STEEPEST) @ graph.constant(RUNNING_SUMS)
    edges = graph.constant(np.zeros((3, 1), np.float32)), graph.constant(np.ones((3, 1), np.float32))
    shares = graph.add("Concat", edges[0], distribution, edges[1], axis=1)
    ends = _cut(shifts, 0, 1), _cut(shifts, NODES - 1, NODES)
    around = graph.add("Concat", ends[0], shifts, ends[1], axis=1)
    density = _tail(shares, NODES + 2) - _head(shares, NODES + 2)
    mean = (density * (_head(around, NODES + 2) + _tail(around, NODES + 2)) * 0.5).sum(1)
    curves = shifts - mean
    place = (picture.reshape(3, -1) - LOWEST) * (1 / STEP)
    shift = _interpolate(curves, place, NODES)
    return picture + graph.add("Reshape", shift, graph.add("Shape", picture))


def _interpolate(table: Value, place: Value, length: int) -> Value:
    """Read rows [3, length] between their values, at places [3, N] that are clamped to 0..length - 1."""
    graph = table.graph
    place = graph.add("Clip", place, 0.0, float(length - 1))
    below = graph.add("Min", place.cast(np.int64), graph.integers(length - 2))
    above = graph.add("Add", below, graph.integers(1))
    low, high = (graph.add("GatherElements", table, index, axis=1) for index in (below, above))
    return low + (high - low) * (place - below.cast(np.float32))


def _head(rows: Value, length: int) -> Value:
    return _cut(rows, 0, length - 1)


def _tail(rows: Value, length: int) -> Value:
    return _cut(rows, 1, length)


def _cut(rows: Value, start: int, stop: int) -> Value:
    graph: GraphBuilder = rows.graph
    return graph.add("Slice", rows, graph.integers(start), graph.integers(stop), graph.integers(1))
