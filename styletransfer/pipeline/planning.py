"""Decide how to go over a picture: how tall the strips are, and what is stored between passes."""

from __future__ import annotations

from functools import cache
from operator import itemgetter

from torch import Tensor

from .engine import Engine, Plan, is_needed_after
from .graph import PAINTED, Node

MIB = 2**20
# Without a limit of the user's: bytes, and bytes per pixel, that allow for plans of little work up to about
# 16 megapixels, and from there on for what leaves a laptop usable.
SMALL_BYTES, SMALL_BYTES_PER_PIXEL = 184 * MIB, 32
LARGE_BYTES, LARGE_BYTES_PER_PIXEL = 560 * MIB, 1
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
    plans = list_stores(engine.widths)
    fitting = (store for values, store in plans if values * pixels * engine.dtype.itemsize <= room)
    return Plan(tile, next(fitting, frozenset()))


def modest_bytes(pixels: int) -> int:
    """Return the bytes that the maps of a picture may take where nobody sets a limit."""
    return min(SMALL_BYTES + SMALL_BYTES_PER_PIXEL * pixels, LARGE_BYTES + LARGE_BYTES_PER_PIXEL * pixels)


def row_bytes(engine: Engine, width: int) -> int:
    """Return the bytes that the maps of a strip take per row of the picture."""
    return width * STRIP_VALUES * int(engine.dtype.itemsize)


def strip_bytes(engine: Engine, width: int, height: int) -> int:
    """Return the bytes of the least strip: what no plan can do without."""
    return row_bytes(engine, width) * min(1 << engine.depth, height)


@cache
def list_stores(widths: tuple[int, ...]) -> list[tuple[float, frozenset[Node]]]:
    """List what may be stored, the least work, which needs most room, first.

    From a scale on, encoder features are stored, and later merged maps; and one more merged map, whose room
    is that of what is no longer needed when it is made, with what the encoder begins that scale from. Of the
    scales above, which are computed again in each pass, the decoder's small maps from below are stored, or
    from some scale on only. The painted map is stored at last, or computed again.

    Args:
        widths: Channels at every scale.

    Returns:
        Pairs of how many numbers are stored at most, per pixel of the picture, and of what is stored.
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
    plans = [frozenset(store | painted) for store in stores for painted in ({PAINTED}, set())]
    return sorted(((stored_values(widths, plan), plan) for plan in plans), key=itemgetter(0), reverse=True)


def stored_values(widths: tuple[int, ...], store: frozenset[Node]) -> float:
    """Return how many numbers are stored when they are most, per pixel of the picture."""
    present = {node for node in store if node.kind in {"features", "pooled"}}
    peak = total = _count_values(widths, present)
    for done in (*(Node("merged", scale) for scale in range(len(widths) - 2, -1, -1)), PAINTED):
        kinds = {"painted"} if done == PAINTED else {"upper", "merged"}
        made = {node for node in store if node.scale == done.scale and node.kind in kinds}
        # Stores that are read for the last time shrink as those that are made grow.
        present = {node for node in present if is_needed_after(node, done, store)} | made
        total, before = _count_values(widths, present), total
        peak = max(peak, before, total)
    return peak


def _count_values(widths: tuple[int, ...], nodes: set[Node]) -> float:
    values = 0.0
    for node in nodes:
        halvings = node.scale + (node.kind in {"upper", "pooled"})
        values += (3 if node == PAINTED else widths[node.scale]) / 4**halvings
    return values
