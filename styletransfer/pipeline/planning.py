"""Decide how to go over a picture: how tall the strips are, and what is stored between passes."""

from __future__ import annotations

from functools import cache
from operator import attrgetter
from typing import NamedTuple

import torch
from torch import Tensor

from ..model import Architecture
from .arithmetic import Arithmetic
from .engine import Engine, Plan
from .graph import HALVED, PAINTED, Node
from .passes import list_passes

MIB = 2**20
# Without a limit of the user's: bytes, and bytes per pixel, that allow for plans of little work up to about
# 14 megapixels, and from there on for what leaves a laptop usable.
SMALL_BYTES, SMALL_BYTES_PER_PIXEL = 184 * MIB, 32
LARGE_BYTES, LARGE_BYTES_PER_PIXEL = 560 * MIB, 4
# Numbers that the maps of a strip hold per pixel of the picture, all scales together, as measured.
STRIP_VALUES = 110
# Products of a convolution that take as long as a number of a map that is put together.
MERGING = 72
TILES = (512, 256, 128, 64, 32)
# Larger strips leave the processor's cache, lower ones pay for more calls and more rows beside them.
STRIP_PIXELS, STRIP_ROWS = 2**17, 64
# What a strip may take of the limit. The least strips take longer, for the rows beside them.
STRIP_SHARE = 0.4


def plan_passes(
    engine: Engine, samples: Tensor, *, tile: int | None = None, limit: int | None = None
) -> Plan:
    """Plan the passes over a picture: the least work that fits.

    Args:
        engine: The network.
        samples: The picture, [3, H, W].
        tile: Rows per strip, rounded down to the network's stride; 0 for the whole picture at once, None for
            what fits.
        limit: Bytes that the maps may take; None for a modest share.
    """
    height, width = samples.shape[1:]
    pixels = height * width
    if limit is None:
        limit = modest_bytes(pixels)
    stride = 2**engine.depth
    row = row_bytes(engine, width)
    if tile is None:
        quick = (each for each in TILES if each <= STRIP_ROWS or min(each, height) * width <= STRIP_PIXELS)
        tiles = [each for each in quick if row * min(each, height) <= STRIP_SHARE * limit] or [stride]
    else:
        tiles = [tile or -(-height // stride) * stride]
    ways = [
        plan_stores(engine, max(stride, each // stride * stride), pixels, limit - row * min(each, height))
        for each in tiles
    ]
    # Higher strips are quicker, but leave less room: lower ones may save work.
    return min(ways, key=lambda way: way[0])[1]


def plan_stores(engine: Engine, tile: int, pixels: int, room: int) -> tuple[float, Plan]:
    """Return the plan of least work with strips of some rows that fits into a room of bytes, and its work."""
    # Where room is short, maps are kept in half precision before work is done twice: not those of an
    # arithmetic that rounds as it is, where a digit more or less may become a level.
    choices = (False, True) if engine.arithmetic.bearing == torch.float32 else (False,)
    stores = list_stores(engine.architecture, engine.arithmetic)
    fitting = (
        (way.work, Plan(tile, way.nodes, halve))
        for way in stores
        for halve in choices
        if (way.halved if halve else way.full) * pixels <= room
    )
    return next(fitting, (stores[-1].work, Plan(tile)))


def modest_bytes(pixels: int) -> int:
    """Return the bytes that the maps of a picture may take where nobody sets a limit."""
    return min(SMALL_BYTES + SMALL_BYTES_PER_PIXEL * pixels, LARGE_BYTES + LARGE_BYTES_PER_PIXEL * pixels)


def row_bytes(engine: Engine, width: int) -> int:
    """Return the bytes that the maps of a strip take per row of the picture."""
    return width * STRIP_VALUES * engine.arithmetic.content.itemsize


def strip_bytes(engine: Engine, width: int, height: int) -> int:
    """Return the bytes of the least strip: what no plan can do without."""
    return row_bytes(engine, width) * min(1 << engine.depth, height)


class Storage(NamedTuple):
    """Maps that may be stored together.

    Attributes:
        nodes: The maps.
        work: Products per pixel of the picture, over all passes.
        full: Bytes stored per pixel of the picture when they are most.
        halved: The same with the maps of the finest scales in half precision.
    """

    nodes: frozenset[Node]
    work: float
    full: float
    halved: float


@cache
def list_stores(architecture: Architecture, arithmetic: Arithmetic) -> list[Storage]:
    """List what may be stored, the least work first.

    From a scale on, encoder features are stored, and later merged maps; and one more merged map, whose room
    is that of what is no longer needed when it is made, with what the encoder begins that scale from. Of the
    scales above, which are computed again in each pass, the decoder's small maps from below are stored, or
    from some scale on only. The painted map is stored at last, or computed again.
    """
    depth = len(architecture.widths) - 1
    stores: list[set[Node]] = []
    for finest in range(depth + 1):
        features = {Node("features", scale) for scale in range(finest, depth + 1)}
        for merged in range(max(0, finest - 1), min(finest, depth - 1) + 1):
            begun = {Node("pooled", merged - 1)} if 0 < merged < finest else set()
            later = {Node("merged", scale) for scale in range(merged, depth)}
            stores.append(features | begun | later | {Node("upper", scale) for scale in range(merged)})
    uppers = [{Node("upper", scale) for scale in range(finest, depth)} for finest in range(depth)]
    stores += [{Node("features", depth)} | upper for upper in uppers]
    stores += [{Node("features", depth)}, set()]
    every = {frozenset(store | painted) for store in stores for painted in (set(), {PAINTED})}
    ways = sorted(
        (measure_storage(architecture, arithmetic, nodes) for nodes in every), key=attrgetter("work", "full")
    )
    # Of those with more work, only what needs less room.
    useful: list[Storage] = []
    for way in ways:
        if all(way.full < less.full or way.halved < less.halved for less in useful):
            useful.append(way)
    return useful


def measure_storage(architecture: Architecture, arithmetic: Arithmetic, store: frozenset[Node]) -> Storage:
    """Return what storing some maps costs and saves."""
    widths = architecture.widths
    present: set[Node] = set()
    work = full = halved = 0.0
    for step in list_passes(len(widths) - 1, store):
        work += sum(count_products(architecture, node) for node in step.computed)
        # Stores that are read for the last time shrink as those that are made grow.
        present = (present | step.made) - step.last
        sizes = {node: arithmetic.choose_for_store(node, architecture).itemsize for node in present}
        full = max(full, sum(count_numbers(widths, node) * size for node, size in sizes.items()))
        halves = {node: 2 if node.scale < HALVED else size for node, size in sizes.items()}
        halved = max(halved, sum(count_numbers(widths, node) * size for node, size in halves.items()))
    return Storage(store, work, full, halved)


def count_numbers(widths: tuple[int, ...], node: Node) -> float:
    """Return the numbers of a map per pixel of the picture."""
    halvings = node.scale + (node.kind in {"upper", "pooled"})
    return (3 if node.kind == "painted" else widths[node.scale]) / 4.0**halvings


def count_products(architecture: Architecture, node: Node) -> float:
    """Return the products that a map takes per pixel of the picture, made of those it is computed of."""
    widths, scale = architecture.widths, node.scale
    width = widths[scale]
    if node.kind in {"merged", "pooled"}:  # no products: their time, by memory, in those it would be worth
        return MERGING * width / 4.0**scale
    if node.kind == "features":
        pairs = (widths[scale - 1] if scale else 3) * width
        return 9 * (pairs + (architecture.convolutions[scale] - 1) * width**2) / 4.0**scale
    if node.kind == "upper":
        scale, after = scale + 1, width
        width = widths[scale]
    else:
        after = 3
    return 9 * ((architecture.decoder_depths[scale] - 1) * width**2 + width * after) / 4.0**scale
