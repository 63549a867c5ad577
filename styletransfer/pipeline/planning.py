"""Decide how to go over a picture: how tall the strips are, and what is stored between passes."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from .engine import Engine, Plan, is_needed_after
from .graph import Node

MIB = 2**20
# Without a limit of the user's: bytes, and bytes per pixel, that allow for plans of little work up to about
# 16 megapixels, and from there on for what leaves a laptop usable.
SMALL_BYTES, SMALL_BYTES_PER_PIXEL = 184 * MIB, 32
LARGE_BYTES, LARGE_BYTES_PER_PIXEL = 560 * MIB, 1
# Numbers that the maps of a strip hold per pixel of the picture, all levels together, as measured.
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
        quick = (
            each for each in TILES if each <= STRIP_ROWS or min(each, height) * width <= STRIP_PIXELS
        )
        tile = next((each for each in quick if row * min(each, height) <= limit // 3), stride)
    tile = max(stride, tile // stride * stride)
    room = limit - row * min(tile, height)
    stores = list(list_stores(engine.depth))
    fitting_stores = (store for store in stores if stored_bytes(engine, store, pixels) <= room)
    return Plan(tile, next(fitting_stores, stores[-1]))


def modest_bytes(pixels: int) -> int:
    """Return the bytes that the maps of a picture may take where nobody sets a limit."""
    return min(SMALL_BYTES + SMALL_BYTES_PER_PIXEL * pixels, LARGE_BYTES + LARGE_BYTES_PER_PIXEL * pixels)


def row_bytes(engine: Engine, width: int) -> int:
    """Return the bytes that the maps of a strip take per row of the picture."""
    return width * STRIP_VALUES * int(engine.dtype.itemsize)


def strip_bytes(engine: Engine, width: int, height: int) -> int:
    """Return the bytes of the least strip: what no plan can do without."""
    return row_bytes(engine, width) * min(1 << engine.depth, height)


def list_stores(depth: int) -> Iterator[frozenset[Node]]:
    """List what may be stored, the least work first.

    From a level on, encoder features are stored, and later merged maps; and one more merged map, whose room
    is that of what is no longer needed when it is made, with what the encoder begins that level from. Of the
    levels above, which are computed again in each pass, the decoder's small maps from below are stored, or
    from some level on only.
    """
    for finest in range(depth):
        features = {Node("features", level) for level in range(finest, depth + 1)}
        for merged in range(max(0, finest - 1), finest + 1):
            begun = {Node("pooled", merged - 1)} if 0 < merged < finest else set()
            yield frozenset(
                features
                | begun
                | {Node("merged", level) for level in range(merged, depth)}
                | {Node("upper", level) for level in range(merged)}
            )
    for finest in range(depth):
        yield frozenset(
            {Node("features", depth)} | {Node("upper", level) for level in range(finest, depth)}
        )
    yield frozenset()


def stored_bytes(engine: Engine, store: frozenset[Node], pixels: int) -> float:
    """Return the bytes of the stores when they are most."""
    present = {node for node in store if node.kind in {"features", "pooled"}}
    peak = total = _sum_bytes(engine, present, pixels)
    for level in range(engine.depth - 1, -1, -1):
        made = {node for node in store if node.level == level and node.kind in {"upper", "merged"}}
        kept = {node for node in present if is_needed_after(node, level, store)}
        # Stores that are read for the last time shrink as those that are made grow.
        present = kept | made
        total, before = _sum_bytes(engine, present, pixels), total
        peak = max(peak, before, total)
    return peak


def _sum_bytes(engine: Engine, nodes: set[Node], pixels: int) -> float:
    values = 0.0
    for node in nodes:
        halvings = node.level + (node.kind in {"upper", "pooled"})
        values += engine.widths[node.level] * pixels / 4**halvings
    return values * engine.dtype.itemsize
