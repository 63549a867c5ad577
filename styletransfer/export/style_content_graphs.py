"""The two graphs of a network: what is measured of a style, and a content repainted by it.

The style graph turns a picture into the values that the content graph takes beside the content, under the
same names. So a style is measured once, its values can be kept, and styles can be blended in between.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from ..model import Architecture, Autoencoder
from ..pipeline.network_runner import QUERY_PATCHES
from ..transfer.color_curves import QUANTILES
from ..transfer.patch_matching import MAX_PATCHES
from .color_curve_nodes import bend_towards, measure_quantiles
from .graph_builder import Axis, GraphBuilder, Value
from .matching_nodes import (
    FoundMatches,
    balance_use,
    find_matches,
    mix_pieces,
    normalize_rows,
    sample_pieces,
)
from .network_nodes import NetworkNodes, clip_softly
from .statistics_nodes import MeasuredMap, find_color_root, find_roots, measure_map

CONTENT, STYLE, MATCH, PICTURE = "content", "style", "match", "picture"


def list_style_values(architecture: Architecture) -> dict[str, tuple[Axis, ...]]:
    """List the values that describe a style, with their shapes: what the style graph returns."""
    shapes: dict[str, tuple[Axis, ...]] = {}
    for level, width in enumerate((3, *architecture.widths)):
        shapes |= {f"mean_{level}": (width,), f"covariance_{level}": (width, width)}
    for scale, width in enumerate(architecture.widths):
        key_scale = architecture.key_scale(scale)
        if key_scale is not None:
            size = (1 << (key_scale - scale)) + 2
            shapes[f"pieces_{scale}"] = f"patches_{key_scale}", size * size * width
    shapes |= {f"shares_{scale}": (f"patches_{scale}",) for scale in architecture.key_scales}
    return shapes | {"colors": (3, QUANTILES)}


def build_style_graph(network: Autoencoder, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Build the graph that measures a style [1, 3, H, W], RGB in 0..1."""
    graph = GraphBuilder()
    nodes = NetworkNodes(graph, network)
    architecture = network.architecture
    picture = graph.input(STYLE, 1, 3, "style_height", "style_width")
    features = nodes.encode(picture)
    measured = [
        measure_map(value, width) for value, width in zip(features, (3, *architecture.widths), strict=True)
    ]
    values: dict[str, Value] = {"colors": measure_quantiles(picture)}
    for level, each in enumerate(measured):
        values |= {f"mean_{level}": each.mean, f"covariance_{level}": each.covariance}
    finest = min(
        (scale for scale in range(architecture.depth + 1) if architecture.key_scale(scale) is not None),
        default=architecture.depth + 1,
    )
    decoded: Value | None = None
    for scale in range(architecture.depth, finest - 1, -1):
        merged = nodes.merge(decoded, features, scale)
        width = architecture.widths[scale]
        own = measure_map(merged, width)
        roots = find_roots(own.covariance, width)
        key_scale = architecture.key_scale(scale)
        assert key_scale is not None
        stride = 1 << (key_scale - scale)
        pieces = sample_pieces(own.apply(roots.inverse), width, stride, MAX_PATCHES)
        values[f"pieces_{scale}"] = pieces
        if key_scale == scale:
            count = pieces.size(0)
            share = graph.constant(1.0) / count.cast(np.float32)
            values[f"shares_{scale}"] = graph.add("Expand", share, count)
        if scale > finest:
            target = measured[scale + 1]
            root = find_roots(target.covariance, width).root
            decoded = nodes.decode(own.apply(root @ roots.inverse, target.mean), scale)
    shapes = list_style_values(architecture)
    return graph.build("style", {name: (values[name], shapes[name]) for name in shapes}, metadata)


def build_content_graph(network: Autoencoder, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Build the graph that repaints a content [1, 3, H, W], RGB in 0..1, with what is known of a style."""
    graph = GraphBuilder()
    nodes = NetworkNodes(graph, network)
    architecture = network.architecture
    content = graph.input(CONTENT, 1, 3, "height", "width")
    style = {name: graph.input(name, *shape) for name, shape in list_style_values(architecture).items()}
    match = graph.input(MATCH, 1) if architecture.key_scales else None
    features = nodes.encode(content)
    found: dict[int, FoundMatches] = {}
    decoded: Value | None = None
    for scale in range(architecture.depth, -1, -1):
        width = architecture.widths[scale]
        own = measure_map(nodes.merge(decoded, features, scale), width)
        if match is not None and architecture.key_scale(scale) is not None:
            own = measure_map(_match_map(nodes, own, scale, style, match, found), width)
        root = find_roots(style[f"covariance_{scale + 1}"], width).root
        matrix = root @ find_roots(own.covariance, width).inverse
        decoded = nodes.decode(own.apply(matrix, style[f"mean_{scale + 1}"]), scale)
    assert decoded is not None
    own = measure_map(decoded, 3)
    matrix = find_color_root(style["covariance_0"]) @ find_roots(own.covariance, 3).inverse
    colored = own.apply(matrix, style["mean_0"])
    picture = clip_softly(bend_towards(colored, style["colors"]))
    return graph.build("content", {PICTURE: (picture, (1, 3, "height", "width"))}, metadata)


def _match_map(
    nodes: NetworkNodes,
    own: MeasuredMap,
    scale: int,
    style: Mapping[str, Value],
    match: Value,
    found: dict[int, FoundMatches],
) -> Value:
    """Whiten a map and mix it with the pieces of the style; without matching, leave it as it is.

    Args:
        nodes: The network.
        own: The map.
        scale: Its scale.
        style: What is known of the style.
        match: Factor for the strength of matching, [1].
        found: Matches of coarser scales; those of this scale are added.
    """
    architecture, graph = nodes.architecture, nodes.graph
    width, key_scale = architecture.widths[scale], architecture.key_scale(scale)
    assert key_scale is not None
    whitening = find_roots(own.covariance, width).inverse
    white = own.apply(whitening)
    if key_scale == scale:
        keys = normalize_rows(nodes.find_keys(style[f"pieces_{scale}"], scale))
        samples = sample_pieces(white, width, 1, QUERY_PATCHES)
        sampled = normalize_rows(nodes.find_keys(samples, scale))
        bias = balance_use(sampled, keys, style[f"shares_{scale}"])
        queries = normalize_rows(nodes.find_queries(white, scale))
        found[scale] = find_matches(queries, keys, bias, white.size(2), white.size(3))
    strength = match * architecture.match_strengths[scale]
    stride = 1 << (key_scale - scale)
    mixed = mix_pieces(white, style[f"pieces_{scale}"], found[key_scale], stride, strength)
    return graph.add("Where", match > 0.0, mixed, own.like)
