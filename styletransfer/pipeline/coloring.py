"""The statistics to reach, with what the maps to them need worked out once for any number of contents."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from torch import Tensor

from ..linalg import Statistics, inverse_sqrt, matrix_sqrt, transfer_map
from ..transfer.maps import EPS, METHODS


class Coloring:
    """A target of the transfer.

    Args:
        levels: Mean and covariance to reach at every level, batch 1, the picture's first.
        transform: The map between the statistics, a key of `transfer.maps.METHODS`.
    """

    def __init__(self, levels: Sequence[Statistics], transform: str) -> None:
        self.levels = levels
        self.transform = transform

    @cached_property
    def roots(self) -> list[Tensor]:
        """Square roots [1, C, C] of the covariances."""
        return [matrix_sqrt(level.covariance, eps=EPS) for level in self.levels]

    def map_from(self, content: Statistics, level: int) -> tuple[Tensor, Tensor]:
        """Return matrix [C, C] and offset [C] of the map that gives features of a level the statistics."""
        target = self.levels[level]
        if METHODS[self.transform] != "eigh":
            matrix, offset = transfer_map(content, target, eps=EPS, method=METHODS[self.transform])
            return matrix[0], offset[0]
        matrix = (self.roots[level] @ inverse_sqrt(content.covariance, eps=EPS))[0]
        return matrix, target.mean[0] - matrix @ content.mean[0]
