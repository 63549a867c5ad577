"""Plan the passes over a picture: the height of the strips and the maps that are stored between passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from operator import attrgetter
from typing import NamedTuple

import torch

from ..model import Architecture
from ..transfer.patch_matching import MAX_PATCHES, NEAREST, PASTE_BLOCK
from .device import PrecisionPolicy
from .feature_graph import HALF_PRECISION_SCALES, OUTPUT, Node, Pass, list_passes
from .streamed_maps import ProgressCallback, WorkSpan

MIB = 2**20
FLOAT_BYTES = 4
# Memory without a limit of the user, in bytes and in bytes per pixel. Up to about 14 megapixels it allows the
# plans with the least work; above, it leaves a laptop usable.
SMALL_BYTES, SMALL_BYTES_PER_PIXEL = 184 * MIB, 32
LARGE_BYTES, LARGE_BYTES_PER_PIXEL = 560 * MIB, 4
# Numbers that the maps of a strip hold per pixel of the picture, all scales together, as measured.
STRIP_VALUES_PER_PIXEL = 110
# Rows of encoder features that wait for the decoder, in multiples of the network's stride, as measured.
WAITING_STRIDES = 32
TILES = (512, 256, 128, 64, 32)
# Larger strips leave the processor's cache; lower ones cost more calls and recompute more rows beside them.
STRIP_PIXELS, STRIP_ROWS = 2**17, 64
# Share of the limit that a strip may take. The lowest strips take more time for the rows beside them.
STRIP_SHARE = 0.4
# A number of a map that is merged or pooled takes as long as this many products of a convolution.
PRODUCTS_PER_MERGED_NUMBER = 72
# Finding the best of many scores takes as long as this many products per score.
PRODUCTS_PER_SCORE = 100


@dataclass(frozen=True)
class StreamingPlan:
    """How to go over a picture.

    Attributes:
        tile: Rows of the picture per strip.
        store: The maps that are stored by the pass that computes them first. All others are computed again
            whenever they are needed.
        half_precision: Whether the maps of the finest scales are stored in half precision.
        memory_ceiling: Bytes that the process should occupy at most, freed memory included; None for no
            ceiling.
        strict: Whether the ceiling is a limit of the user, which is kept whatever time that takes.
    """

    tile: int
    store: frozenset[Node] = frozenset()
    half_precision: bool = False
    memory_ceiling: int | None = None
    strict: bool = False


class StorageCost(NamedTuple):
    """A set of maps that may be stored, with what it costs.

    Attributes:
        nodes: The maps.
        work: Products per pixel of the picture, over all passes.
        full: Largest number of bytes stored at a time, per pixel of the picture.
        half: The same with the maps of the finest scales in half precision.
    """

    nodes: frozenset[Node]
    work: float
    full: float
    half: float


def plan_passes(
    architecture: Architecture,
    precision: PrecisionPolicy,
    size: Sequence[int],
    *,
    tile: int | None = None,
    limit: int | None = None,
) -> StreamingPlan:
    """Plan the passes over a picture with the least work that fits into memory.

    Args:
        architecture: Architecture of the network.
        precision: Types of the maps.
        size: Height and width of the picture.
        tile: Rows per strip, rounded down to the network's stride; 0 for the whole picture at once, None for
            what fits.
        limit: Bytes that the maps may take; None for `default_memory`.
    """
    height, width = size
    pixels = height * width
    if limit is None:
        limit = default_memory(pixels)
    stride = architecture.stride
    row = row_bytes(precision, width)
    if tile is None:
        fast = (each for each in TILES if each <= STRIP_ROWS or min(each, height) * width <= STRIP_PIXELS)
        tiles = [each for each in fast if row * min(each, height) <= STRIP_SHARE * limit] or [stride]
    else:
        tiles = [tile or -(-height // stride) * stride]
    plans = [
        _plan_storage(
            architecture,
            precision,
            max(stride, each // stride * stride),
            pixels,
            limit - row * min(each, height),
        )
        for each in tiles
    ]
    # Higher strips are faster but leave less memory, so that lower strips may save work.
    return min(plans, key=lambda plan: plan[0])[1]


def default_memory(pixels: int) -> int:
    """Return the bytes that the maps of a picture may take without a limit of the user."""
    return min(SMALL_BYTES + SMALL_BYTES_PER_PIXEL * pixels, LARGE_BYTES + LARGE_BYTES_PER_PIXEL * pixels)


def row_bytes(precision: PrecisionPolicy, width: int) -> int:
    """Return the bytes that the maps of a strip take per row of the picture."""
    return width * STRIP_VALUES_PER_PIXEL * precision.content.itemsize


def minimum_bytes(architecture: Architecture, precision: PrecisionPolicy, height: int, width: int) -> int:
    """Return the bytes of the lowest strip, which every plan needs."""
    return row_bytes(precision, width) * min(architecture.stride, height)


def waiting_bytes(architecture: Architecture, precision: PrecisionPolicy, height: int, width: int) -> int:
    """Return the bytes of features that wait, beside a strip, until the decoder reaches their rows.

    The decoder needs coarse rows below its own, so the encoder is ahead of it, however low the strips are.
    """
    values = sum(channels / 4.0**scale for scale, channels in enumerate(architecture.widths))
    rows = min(height, WAITING_STRIDES * architecture.stride)
    return round(width * rows * values * precision.content.itemsize)


def matching_bytes(architecture: Architecture) -> int:
    """Return the bytes that matching takes, whatever the size of the picture."""
    values, largest = 0, 0
    for scale, width in enumerate(architecture.widths):
        if (key_scale := architecture.key_scale(scale)) is not None:
            piece = ((1 << (key_scale - scale)) + 2) ** 2 * width
            values += MAX_PATCHES * (piece + (architecture.key_widths[scale]))
            largest = max(largest, PASTE_BLOCK * piece)
    return FLOAT_BYTES * (values + largest)


@cache
def list_storage(architecture: Architecture, precision: PrecisionPolicy) -> list[StorageCost]:
    """List the sets of maps that may be stored, the one with the least work first.

    From some scale on, encoder features are stored, and later merged maps; and one finer merged map, which
    takes the memory of maps that are no longer needed when it is computed, together with the pooled map from
    which the encoder continues. For the finer scales, which are computed again in each pass, the decoder's
    small maps are stored, either all or from some scale on. The output map is stored or computed again.
    """
    depth = architecture.depth
    matched = {
        Node(kind, scale)
        for scale in range(depth + 1)
        if (key_scale := architecture.key_scale(scale)) is not None
        for kind in (("matches", "matched") if key_scale == scale else ("matched",))
    }
    candidates: list[set[Node]] = []
    for finest in range(depth + 1):
        encoded = {Node("encoded", scale) for scale in range(finest, depth + 1)}
        for merged in range(max(0, finest - 1), min(finest, depth - 1) + 1):
            begun = {Node("pooled", merged - 1)} if 0 < merged < finest else set()
            later = {Node("merged", scale) for scale in range(merged, depth)}
            candidates.append(encoded | begun | later | {Node("decoded", scale) for scale in range(merged)})
    decoded = [{Node("decoded", scale) for scale in range(finest, depth)} for finest in range(depth)]
    candidates += [{Node("encoded", depth)} | each for each in decoded]
    candidates += [{Node("encoded", depth)}, set()]
    # What is matched takes long to compute and, at its coarse scales, little memory. Where memory is short,
    # only the choice of patches is kept, or nothing.
    chosen = {node for node in matched if node.kind == "matches"}
    every = {
        frozenset(nodes | output | kept)
        for nodes in candidates
        for output in (set(), {OUTPUT})
        for kept in (matched, chosen, set())
    }
    costs = sorted(
        (measure_storage(architecture, precision, nodes) for nodes in every), key=attrgetter("work", "full")
    )
    # A set with more work is useful only if it needs less memory.
    useful: list[StorageCost] = []
    for cost in costs:
        if all(cost.full < other.full or cost.half < other.half for other in useful):
            useful.append(cost)
    return useful


def measure_storage(
    architecture: Architecture, precision: PrecisionPolicy, store: frozenset[Node]
) -> StorageCost:
    """Return the work and the memory of storing some maps."""
    present: set[Node] = set()
    work = full = half = 0.0
    for step in list_passes(architecture, store):
        work += sum(count_products(architecture, node) for node in step.computed)
        # Stores that are read for the last time shrink while new ones grow.
        present = (present | step.stored) - step.released
        sizes = {node: precision.store_dtype(node, architecture).itemsize for node in present}
        full = max(full, sum(count_numbers(architecture, node) * size for node, size in sizes.items()))
        halves = {node: 2 if node.scale < HALF_PRECISION_SCALES else size for node, size in sizes.items()}
        half = max(half, sum(count_numbers(architecture, node) * size for node, size in halves.items()))
    return StorageCost(store, work, full, half)


def count_numbers(architecture: Architecture, node: Node) -> float:
    """Return how many numbers a map holds per pixel of the picture."""
    halvings = node.scale + (node.kind in {"decoded", "pooled"})
    channels = {"output": 3, "matches": 2 * NEAREST}.get(node.kind, architecture.widths[node.scale])
    return channels / 4.0**halvings


def count_products(architecture: Architecture, node: Node) -> float:
    """Return how many products it takes to compute a map from its sources, per pixel of the picture."""
    widths, scale = architecture.widths, node.scale
    width = widths[scale]
    if node.kind in {"merged", "pooled"}:  # no products; the time that memory takes counts as products
        return PRODUCTS_PER_MERGED_NUMBER * width / 4.0**scale
    if node.kind == "matches":
        keys = architecture.key_widths[scale]
        return (9 * width + MAX_PATCHES) * keys / 4.0**scale + PRODUCTS_PER_SCORE * MAX_PATCHES / 4.0**scale
    if node.kind == "matched":
        key_scale = architecture.key_scale(scale)
        assert key_scale is not None
        pieces = ((1 << (key_scale - scale)) + 2) ** 2 * width / 4.0**key_scale
        return PRODUCTS_PER_MERGED_NUMBER * NEAREST * pieces
    if node.kind == "encoded":
        pairs = (widths[scale - 1] if scale else 3) * width
        return 9 * (pairs + (architecture.convolutions[scale] - 1) * width**2) / 4.0**scale
    if node.kind == "decoded":
        scale, after = scale + 1, width
        width = widths[scale]
    else:
        after = 3
    return 9 * ((architecture.decoder_depths[scale] - 1) * width**2 + width * after) / 4.0**scale


def _plan_storage(
    architecture: Architecture, precision: PrecisionPolicy, tile: int, pixels: int, room: int
) -> tuple[float, StreamingPlan]:
    """Return the work and the plan of the least work for strips of some rows and a room of some bytes."""
    # Maps are stored in half precision before work is repeated, but not under a policy that rounds anyway,
    # where rounding twice may change an 8-bit value.
    choices = (False, True) if precision.tolerant == torch.float32 else (False,)
    costs = list_storage(architecture, precision)
    fitting = (
        (cost.work, StreamingPlan(tile, cost.nodes, half))
        for cost in costs
        for half in choices
        if (cost.half if half else cost.full) * pixels <= room
    )
    return next(fitting, (costs[-1].work, StreamingPlan(tile)))


def divide_work(
    architecture: Architecture, passes: Sequence[Pass], progress: ProgressCallback | None
) -> list[WorkSpan]:
    """Divide the work on a picture among passes, by their products."""
    work = [sum(count_products(architecture, node) for node in step.computed) for step in passes]
    ends = list(accumulate(work, initial=0.0))
    return [WorkSpan(progress, start / ends[-1], stop / ends[-1]) for start, stop in pairwise(ends)]
