"""Strips of a picture with the rows beside them that a network of couplings needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from ..errors import MemoryLimitError
from ..model import CouplingArchitecture
from ..options import RuntimeOptions, parse_bytes
from ..pipeline.memory_plan import MIB, default_memory
from ..pipeline.process_memory import available_memory

# Bytes per number of the features that a strip takes while it is encoded or decoded, all copies together, as
# measured.
BYTES_PER_NUMBER = 10
# Without a limit this much is taken, which holds the copies of most large pictures in one strip, or strips
# that have this many times the rows that are computed beside them.
USUAL_BYTES, ROWS_PER_REACH = 448 * MIB, 3


class Strip(NamedTuple):
    """Rows of a picture, and more rows around them as far as the picture goes.

    Attributes:
        rows: The rows that are wanted.
        inner: These rows and those from which they are decoded.
        outer: The rows of the picture from which the inner ones are encoded.
    """

    rows: slice
    inner: slice
    outer: slice

    def crop_outer(self, outer: torch.Tensor) -> torch.Tensor:
        """Return the inner rows of maps [B, C, h, W] of the outer ones."""
        first = self.inner.start - self.outer.start
        return outer[..., first : first + self.inner.stop - self.inner.start, :]

    def crop_inner(self, inner: torch.Tensor) -> torch.Tensor:
        """Return the wanted rows of maps [B, C, h, W] of the inner ones."""
        first = self.rows.start - self.inner.start
        return inner[..., first : first + self.rows.stop - self.rows.start, :]


def list_strips(architecture: CouplingArchitecture, height: int, rows: int) -> Iterator[Strip]:
    """List the strips of a picture.

    Args:
        architecture: The network's; all edges but the picture's own lie on its grid of blocks.
        height: Height of the picture.
        rows: Height of the strips, a multiple of `architecture.stride`.
    """
    reach = architecture.reach

    def widen(part: slice) -> slice:
        return slice(max(0, part.start - reach), min(height, part.stop + reach))

    for top in range(0, height, rows):
        wanted = slice(top, min(top + rows, height))
        inner = widen(wanted)
        yield Strip(wanted, inner, widen(inner))


def plan_strip_rows(
    architecture: CouplingArchitecture, size: tuple[int, int], runtime: RuntimeOptions, taken: int
) -> int:
    """Choose the height of the strips of a picture.

    Args:
        architecture: The network's.
        size: Height and width of the picture.
        runtime: The height that the user wants, or the limit of memory.
        taken: Bytes that are occupied besides.

    Raises:
        MemoryLimitError: The lowest strips would not fit into the user's limit.
    """
    (height, width), stride = size, architecture.stride
    whole = -(-height // stride) * stride
    if runtime.tile is not None:
        return min(max(stride, runtime.tile // stride * stride), whole) if runtime.tile else whole
    row = BYTES_PER_NUMBER * (architecture.channels + max(architecture.hidden)) * width
    beside = 4 * architecture.reach

    def fits(limit: int) -> int:
        """Return the height of the strips that fit, which is 0 or less if none do."""
        if row * min(whole, whole + beside) <= limit:
            return whole
        return (limit // row - beside) // stride * stride

    if runtime.max_memory is not None:
        limit = parse_bytes(runtime.max_memory) - taken
        if (rows := fits(limit)) < stride:
            least = row * min(whole, stride + beside)
            raise MemoryLimitError(
                f"{width}x{height} pixels need {(taken + least) // MIB + 1}M, "
                f"{runtime.max_memory} is the limit",
                hint="allow more memory or make the picture smaller",
            )
        return min(rows, whole)
    limit = max(USUAL_BYTES, default_memory(height * width))
    if (available := available_memory()) is not None:
        limit = min(limit, available // 2)
    return min(max(fits(limit), ROWS_PER_REACH * architecture.reach), whole)
