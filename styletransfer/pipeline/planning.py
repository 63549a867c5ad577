"""Decide how to go over a picture: how tall the strips are, and what is stored between passes."""

from __future__ import annotations

from functools import cache
from operator import attrgetter
from typing import NamedTuple

import torch
from torch import Tensor

from .engine import Engine, Plan, is_needed_after
from .graph import HALVED, PAINTED, Node

MIB = 2**20
# Without a limit of the user's: bytes, and bytes per pixel, that allow for plans of little work up to about
# 16 megapixels, and from there on for what leaves a laptop usable.
SMALL_BYTES, SMALL_BYTES_PER_PIXEL = 184 * MIB, 32
LARGE_BYTES, LARGE_BYTES_PER_PIXEL = 624 * MIB, 1
# Numbers that the maps of a strip hold per pixel of the picture, all scales together, as measured.
STRIP_VALUES = 110
TILES = (512, 256, 128, 64, 32)
# Larger strips leave the processor's cache, lower ones pay for more calls and more rows beside them.
STRIP_PIXELS, STRIP_ROWS = 2**17, 64


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
    if tile == 0:
        tile = -(-height // stride) * stride
    elif tile is None:
        quick = (each for each in TILES if each <= STRIP_ROWS or min(each, height) * width <= STRIP_PIXELS)
        tile = next((each for each in quick if row * min(each, height) <= limit // 3), stride)
    tile = max(stride, tile // stride * stride)
    room = limit - row * min(tile, height)
    # Where room is short, maps are kept in half precision before work is done twice.
    ways = (False, True) if engine.dtype == torch.float32 else (False,)
    fitting = (
        Plan(tile, store, halve)
        for store, full, halved in list_stores(engine.widths)
        for halve in ways
        if (halved if halve else full) * engine.dtype.itemsize * pixels <= room
    )
    return next(fitting, Plan(tile))


def modest_bytes(pixels: int) -> int:
    """Return the bytes that the maps of a picture may take where nobody sets a limit."""
    return min(SMALL_BYTES + SMALL_BYTES_PER_PIXEL * pixels, LARGE_BYTES + LARGE_BYTES_PER_PIXEL * pixels)


def row_bytes(engine: Engine, width: int) -> int:
    """Return the bytes that the maps of a strip take per row of the picture."""
    return width * STRIP_VALUES * int(engine.dtype.itemsize)


def strip_bytes(engine: Engine, width: int, height: int) -> int:
    """Return the bytes of the least strip: what no plan can do without."""
    return row_bytes(engine, width) * min(1 << engine.depth, height)


class Storage(NamedTuple):
    """Maps that may be stored together, and how many numbers that is when they are most, per pixel.

    Attributes:
        nodes: The maps.
        full: Numbers per pixel of the picture.
        halved: The same with the maps of the finest scales in half precision, which count half.
    """

    nodes: frozenset[Node]
    full: float
    halved: float


@cache
def list_stores(widths: tuple[int, ...]) -> list[Storage]:
    """List what may be stored, the least work, which needs most room, first.

    From a scale on, encoder features are stored, and later merged maps; and one more merged map, whose room
    is that of what is no longer needed when it is made, with what the encoder begins that scale from. Of the
    scales above, which are computed again in each pass, the decoder's small maps from below are stored, or
    from some scale on only. The painted map is stored at last, or computed again.

    Args:
        widths: Channels at every scale.
    """
    depth = len(widths) - 1
    stores: list[set[Node]] = []
    for finest in range(depth):
        features = {Node("features", scale) for scale in range(finest, depth + 1)}
        for merged in range(max(0, finest - 1), finest + 1):
            begun = {Node("pooled", merged - 1)} if 0 < merged < finest else set()
            later = {Node("merged", scale) for scale in range(merged, depth)}
            stores.append(features | begun | later | {Node("upper", scale) for scale in range(merged)})
    uppers = [{Node("upper", scale) for scale in range(finest, depth)} for finest in range(depth)]
    stores += [{Node("features", depth)} | upper for upper in uppers]
    stores.append(set())
    every = [frozenset(store | painted) for store in stores for painted in ({PAINTED}, set())]
    ways = [
        Storage(nodes, *(stored_numbers(widths, nodes, halve=halve) for halve in (False, True)))
        for nodes in every
    ]
    return sorted(ways, key=attrgetter("full"), reverse=True)


def stored_numbers(widths: tuple[int, ...], store: frozenset[Node], *, halve: bool) -> float:
    """Return how many numbers are stored when they are most, as `Storage` counts them."""

    def count(nodes: set[Node]) -> float:
        total = 0.0
        for node in nodes:
            halvings = node.scale + (node.kind in {"upper", "pooled"})
            channels = 3 if node == PAINTED else widths[node.scale]
            total += channels / 4**halvings / (2 if halve and node.scale < HALVED else 1)
        return total

    present = {node for node in store if node.kind in {"features", "pooled"}}
    peak = total = count(present)
    for done in (*(Node("merged", scale) for scale in range(len(widths) - 2, -1, -1)), PAINTED):
        kinds = {"painted"} if done == PAINTED else {"upper", "merged"}
        made = {node for node in store if node.scale == done.scale and node.kind in kinds}
        # Stores that are read for the last time shrink as those that are made grow.
        present = {node for node in present if is_needed_after(node, done, store)} | made
        total, before = count(present), total
        peak = max(peak, before, total)
    return peak
